"""The plan of a delivery: what must change at a destination so that it holds what the segments say. Pure: no network, no personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from seg_assets.schema.tables import PLAN

REJECTED = "rejected before, and nothing has changed since"
GONE = "the person is known no more: merged into another, who is delivered instead, or erased"
GUARD_FLOOR = 10
"""Fewer removals than this never trip the guard: a share of a tiny audience says nothing."""


@dataclass(frozen=True)
class Audience:
    """A segment as a destination is to hold it.

    Args:
        segment: its id.
        needs: consent purposes every member must have granted.
        below_minimum: smaller than its minimum size: members are not delivered, and those delivered before are removed.
    """

    segment: str
    needs: tuple[str, ...] = ()
    below_minimum: bool = False


@dataclass(frozen=True)
class Target:
    """Where a plan goes.

    Args:
        destination, object: names.
        match_key: identifier the destination matches persons by ("email", "phone", "user_id", "person_id").
        fields: name in the payload to the person's column it carries.
        max_remove: largest share of an audience one delivery may remove.
    """

    destination: str
    object: str
    match_key: str
    fields: Mapping[str, str] = field(default_factory=dict)
    max_remove: float = 0.2


def plan(
    target: Target,
    audiences: Sequence[Audience],
    *,
    memberships: ir.Table,
    people: ir.Table,
    reach: ir.Table,
    consents: ir.Table,
    committed: ir.Table,
    unsettled: ir.Table,
    rejected: ir.Table,
) -> ir.Table:
    """Adds, updates and removals, each with the reason it is blocked, if it is.

    Args:
        target: where to.
        audiences: segments to deliver.
        memberships: person_id, segment (and holdout, if the segments have one).
        people: person_id and the columns named in `target.fields`.
        reach: person_id, reach_hash: a keyed hash of the match key's value; persons without one are missing.
        consents: `profiles/consents`.
        committed: audience, person_id, payload_hash, generation: what the destination acknowledged.
        unsettled: audience, person_id, op, payload_hash, generation: newest operations it may or may not have applied. Where one is no longer
            what is wanted, the opposite is sent, whatever was acknowledged before.
        rejected: op_id of operations it refused for good.

    Returns:
        Columns of `schema.tables.PLAN`. Persons already held as they should be are not part of it.
    """
    desired = _desired(target, audiences, memberships, people, reach, consents)
    rows = _states(desired, committed, unsettled)
    is_open, sendable = rows.open_op.notnull(), rows.wanted.notnull() & rows.blocked.isnull()
    again = is_open & sendable.ifelse((rows.open_op != "remove") & (rows.open_hash == rows.wanted), rows.open_op == "remove")
    op = ibis.cases(
        (again, rows.open_op),
        (sendable & rows.held.isnull(), "add"),
        (sendable & (is_open | (rows.held != rows.wanted)), "update"),
        (sendable, "none"),
        (rows.held.notnull() | is_open, "remove"),
        (rows.wanted.notnull(), "add"),
        else_="none",
    )
    rows = rows.mutate(op=op).filter(ibis._["op"] != "none")
    rows = rows.mutate(
        # A repetition keeps its id; everything else gets one that was never used, or a destination would take it for a repetition.
        generation=again.ifelse(rows.open_generation, ibis.coalesce(rows.open_generation, rows.held_generation, ibis.literal(0)) + 1),
        payload_hash=ibis.cases((again, rows.open_hash), (rows["op"] == "remove", ibis.coalesce(rows.held, rows.open_hash)), else_=rows.wanted),
    )
    identity = ["op", "audience", "person_id", "payload_hash", "generation"]
    text = ibis.literal(f"{target.destination}\x1f{target.object}")
    for name in identity:
        text = text + ibis.literal("\x1f") + rows[name].cast("string")
    rows = rows.mutate(op_id=text.hexdigest("md5"))
    rows = _guarded(rows, committed.filter(committed.payload_hash.notnull()), target.max_remove)
    refused = rows.left_join(rejected.select("op_id", refused=ibis.literal(True)), "op_id")
    refused = refused.left_join(reach.select("person_id", reachable=ibis.literal(True)), "person_id", rname="{name}_reach")
    reason = ibis.coalesce(
        ibis.cases((refused["op"] != "remove", refused.blocked), (refused.reachable.isnull(), GONE), else_=refused.guard),
        ibis.ifelse(refused.refused.fill_null(False), REJECTED, ibis.null("string")),
    )
    return refused.mutate(blocked=reason).select(*PLAN.schema.names).cast(dict(PLAN.schema))


def _states(desired: ir.Table, committed: ir.Table, unsettled: ir.Table) -> ir.Table:
    """Every person and audience that any of the tables knows: wanted (hash), blocked; held (hash), held_generation; open_op, open_hash, open_generation."""
    key = ["audience", "person_id"]
    held = committed.select(*key, held="payload_hash", held_generation="generation")
    open_ = unsettled.select(*key, open_op="op", open_hash="payload_hash", open_generation="generation")
    rows = ibis.union(*(t.select(*key) for t in (desired, held, open_)), distinct=True)
    for known in (desired.rename(wanted="payload_hash"), held, open_):
        rows = rows.left_join(known, key).drop("audience_right", "person_id_right")
    return rows


def _desired(target: Target, audiences: Sequence[Audience], memberships: ir.Table, people: ir.Table, reach: ir.Table, consents: ir.Table) -> ir.Table:
    """audience, person_id, payload_hash, blocked: every member, with what the destination shall hold."""
    members = memberships.filter(memberships.segment.isin([a.segment for a in audiences]))
    if "holdout" in members.columns:
        members = members.filter(~members.holdout)
    joined = members.select("person_id", audience="segment").left_join(reach, "person_id").drop("person_id_right")
    joined = joined.left_join(people.select("person_id", **{f"field_{n}": c for n, c in target.fields.items()}), "person_id").drop("person_id_right")
    text = joined.reach_hash.fill_null("")
    for name in sorted(target.fields):
        text = text + ibis.literal(f"\x1f{name}=") + joined[f"field_{name}"].cast("string").fill_null("\x1e")
    small = [a.segment for a in audiences if a.below_minimum]
    blocked = ibis.cases(
        (joined.audience.isin(small) if small else ibis.literal(False), "the segment is below its minimum size"),
        (joined.reach_hash.isnull(), f"no {target.match_key} to reach the person by"),
        *_without_consent(joined, audiences, consents),
        else_=ibis.null("string"),
    )
    return joined.select("audience", "person_id", payload_hash=text.hexdigest("md5"), blocked=blocked)


def _without_consent(members: ir.Table, audiences: Sequence[Audience], consents: ir.Table) -> list[tuple[ir.BooleanValue, str]]:
    granted = consents.filter(consents.granted)
    branches = []
    for purpose in sorted({p for a in audiences for p in a.needs}):
        needing = [a.segment for a in audiences if purpose in a.needs]
        allowed = members.person_id.isin(granted.filter(granted.purpose == purpose).person_id)
        branches.append((members.audience.isin(needing) & ~allowed, f"no consent to {purpose}"))
    return branches


def _guarded(rows: ir.Table, held: ir.Table, max_remove: float) -> ir.Table:
    """Adds `guard`: why the removals of an audience are stopped, null where they are not."""
    sizes = held.group_by("audience").aggregate(size=held.count())
    removals = rows.filter(rows["op"] == "remove").group_by("audience").aggregate(removals=ibis._.count())
    shares = removals.join(sizes, "audience")
    stopped = shares.filter((shares.removals > shares["size"] * max_remove) & (shares.removals >= GUARD_FLOOR))
    stopped = stopped.select("audience", guard=ibis.literal(f"removal guard: more than {max_remove:.0%} of the audience would be removed at once"))
    return rows.left_join(stopped, "audience").drop("audience_right")
