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
        rejected: op_id of operations it refused for good.

    Returns:
        Columns of `schema.tables.PLAN`. Persons already held as they should be are not part of it.
    """
    desired = _desired(target, audiences, memberships, people, reach, consents)
    held = committed.filter(committed.payload_hash.notnull())
    both = desired.outer_join(committed, [("audience", "audience"), ("person_id", "person_id")], rname="{name}_held")
    rows = both.select(
        audience=ibis.coalesce(both.audience, both.audience_held),
        person_id=ibis.coalesce(both.person_id, both.person_id_held),
        wanted=both.payload_hash,
        held=both.payload_hash_held,
        generation=both.generation.fill_null(0) + 1,
        blocked=both.blocked,
    )
    sendable = rows.wanted.notnull() & rows.blocked.isnull()
    op = ibis.cases(
        (sendable & rows.held.isnull(), "add"),
        (sendable & (rows.held != rows.wanted), "update"),
        (sendable, "none"),
        (rows.held.notnull(), "remove"),
        (rows.wanted.notnull(), "add"),
        else_="none",
    )
    rows = rows.mutate(op=op, payload_hash=ibis.coalesce(rows.wanted, rows.held, ibis.literal("")))
    rows = rows.filter(rows["op"] != "none")
    identity = ["op", "audience", "person_id", "payload_hash", "generation"]
    text = ibis.literal(f"{target.destination}\x1f{target.object}")
    for name in identity:
        text = text + ibis.literal("\x1f") + rows[name].cast("string")
    rows = rows.mutate(op_id=text.hexdigest("md5"))
    rows = _guarded(rows, held, target.max_remove)
    refused = rows.left_join(rejected.select("op_id", refused=ibis.literal(True)), "op_id")
    refused = refused.left_join(reach.select("person_id", reachable=ibis.literal(True)), "person_id", rname="{name}_reach")
    reason = ibis.coalesce(
        ibis.cases((refused["op"] != "remove", refused.blocked), (refused.reachable.isnull(), GONE), else_=refused.guard),
        ibis.ifelse(refused.refused.fill_null(False), REJECTED, ibis.null("string")),
    )
    return refused.mutate(blocked=reason).select(*PLAN.schema.names).cast(dict(PLAN.schema))


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
