"""The plan of a delivery: what must change at a destination so that it holds what the segments say. Pure: no network, no personal data.

Who may be held is decided in `eligibility.py`, what stops removals in `guards.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from seg_assets.activation.eligibility import Audience, Rules, eligible
from seg_assets.activation.guards import Guards, guarded
from seg_assets.project.destinations import OnLeave
from seg_assets.schema.tables import PLAN

REJECTED = "rejected before, and nothing has changed since"
GONE = "the person is known no more: merged into another, who is delivered instead, or erased"
LEFT = "left the segment"
MOVED = "reached by another address now: the earlier one is taken out, and the next delivery adds the person"
LOST = "the address the person was delivered under is known no more: take it out at the destination"
CONTENT_CHARS, ADDRESS_CHARS = 32, 16
"""A payload's hash: so many characters for what is told, and so many for whom it is told about."""
CLEARED = "cleared".ljust(CONTENT_CHARS)
"""Stands for the hash of what is told when fields are all empty."""
NOTHING = "\x1e"
WHOLLY = ("archive", "erase")
"""Ways of leaving that take the whole record."""


@dataclass(frozen=True)
class Target:
    """Where a plan goes.

    Args:
        destination, object: names.
        match_key: identifier the destination matches persons by ("email", "phone", "user_id", "person_id").
        fields: name in the payload to the person's column it carries.
        max_remove: largest share of an audience one delivery may remove.
        max_remove_count: largest number of an audience's members; None: any.
        stale: why nobody is to be removed on the strength of these memberships, if that is so.
        skip: fields that are not sent where they have no value.
        create, update: whether new members, and changes of those who are there, are sent.
        on_leave: what happens to members who leave.
        exclusive, suppress: see `eligibility.Rules`.
        caps: additions a person may have at most, those of `added` and of this plan together, by the reason further ones are blocked with.
    """

    destination: str
    object: str
    match_key: str
    fields: Mapping[str, str] = field(default_factory=dict)
    max_remove: float = 0.2
    max_remove_count: int | None = None
    stale: str | None = None
    skip: frozenset[str] = frozenset()
    create: bool = True
    update: bool = True
    on_leave: OnLeave = "remove"
    exclusive: bool = False
    suppress: tuple[str, ...] = ()
    caps: Mapping[str, int] = field(default_factory=dict)


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
    added: Mapping[str, ir.Table] | None = None,
    former: ir.Table | None = None,
    resync: bool = False,
) -> ir.Table:
    """Adds, updates and removals, each with the reason it is blocked, if it is.

    Args:
        target: where to.
        audiences: segments to deliver, in order of priority.
        memberships: person_id, segment (and holdout, if the segments have one).
        people: person_id and the columns named in `target.fields`.
        reach: person_id, reach_hash: a keyed hash of the match key's value; persons without one are missing.
        consents: `profiles/consents`.
        committed: audience, person_id, payload_hash, generation: what the destination acknowledged.
        unsettled: audience, person_id, op, payload_hash, generation: newest operations it may or may not have applied. Where one is no longer
            what is wanted, the opposite is sent, whatever was acknowledged before.
        rejected: op_id of operations it refused for good.
        added: person_id, n: additions that count already, for each of `target.caps`.
        former: person_id, reach_hash: values persons had before and are still known; None: none. Who is held under one of them is taken out under it.
        resync: sends every member again, whether something changed or not; removals stay what they are.

    Returns:
        Columns of `schema.tables.PLAN`. Persons already held as they should be are not part of it.
    """
    members = eligible(Rules(target.match_key, target.exclusive, target.suppress), audiences, memberships, reach, consents)
    desired = _one_per_key(_with_payload(target, members, people), target, committed).drop("reach_hash").cache()
    rows = _operations(target, _left(target, _moved(target, _states(desired, committed, unsettled), former)), resync)
    if target.on_leave in WHOLLY:  # who stays anywhere must be known
        rows = rows.cache()
    stays = rows.filter((rows["op"] != "remove") & (rows.held.notnull() | (rows.wanted.notnull() & rows.blocked.isnull()))).select("person_id")
    rows = _identified(target, rows.filter(rows["op"] != "none")).cache()
    held = committed.filter(committed.payload_hash.notnull())
    leaving = rows.filter(rows["op"] == "remove")
    leaving = guarded(_still_reached(target, leaving, reach, desired), held, people, Guards(target.max_remove, target.max_remove_count, target.stale))
    reason = ibis.cases((leaving.at.isnull(), GONE), (leaving.lost, LOST), else_=ibis.coalesce(leaving.shared, leaving.guard))
    coming = _capped(target, audiences, rows.filter(rows["op"] != "remove"), added or {})
    rows = ibis.union(coming, leaving.mutate(blocked=reason).select(*coming.columns))
    refused = rows.left_join(rejected.select("op_id", refused=ibis.literal(True)), "op_id")
    again = refused.refused.fill_null(False).ifelse(REJECTED, ibis.null("string"))
    return _manner(target, refused.mutate(blocked=ibis.coalesce(refused.blocked, again)), stays).select(*PLAN.schema.names).cast(dict(PLAN.schema))


def _with_payload(target: Target, members: ir.Table, people: ir.Table) -> ir.Table:
    """Members with `wanted`: a hash of their match key and of what the destination shall hold for them."""
    payload = people.select("person_id", **{f"field_{n}": c for n, c in target.fields.items()})
    joined = members.left_join(payload, "person_id").drop("person_id_right")
    text = joined.reach_hash.fill_null("")
    for name in sorted(target.fields):
        value = joined[f"field_{name}"].cast("string")
        told = ibis.literal(f"\x1f{name}=") + (value if name in target.skip else value.fill_null(NOTHING))
        text = text + (told.fill_null("") if name in target.skip else told)
    return joined.select(
        "audience", "person_id", "reach_hash", "blocked", "urgent", wanted=text.hexdigest("md5") + address(joined.reach_hash.fill_null(""))
    )


def _one_per_key(rows: ir.Table, target: Target, committed: ir.Table) -> ir.Table:
    """Blocks all but one of an audience's members who are reached by one address: whoever is held already stays, else the lowest id."""
    sendable = rows.filter(rows.blocked.isnull())
    suspects = sendable.group_by("audience", number=sendable.reach_hash.hash()).aggregate(persons=sendable.count()).filter(ibis._.persons > 1)
    suspected = sendable.mutate(number=sendable.reach_hash.hash()).semi_join(
        suspects, ["audience", "number"]
    )  # numbers are compared faster than texts
    crowded = suspected.group_by("audience", "reach_hash").aggregate(persons=suspected.count()).filter(ibis._.persons > 1)
    rivals = suspected.join(crowded, ["audience", "reach_hash"]).select("audience", "reach_hash", "person_id")
    held = committed.filter(committed.payload_hash.notnull()).select("audience", "person_id", held=ibis.literal(True))
    rivals = rivals.left_join(held, ["audience", "person_id"])
    keepers = rivals.group_by("audience", "reach_hash").aggregate(
        keeper=ibis.coalesce(rivals.person_id.min(where=rivals.held.notnull()), rivals.person_id.min())
    )
    rows = rows.left_join(keepers, ["audience", "reach_hash"]).drop("audience_right", "reach_hash_right")
    other = (rows.keeper != rows.person_id).fill_null(False)
    return rows.mutate(blocked=ibis.coalesce(rows.blocked, other.ifelse(_shared(target), ibis.null("string")))).drop("keeper")


def _shared(target: Target) -> str:
    return f"another member is reached by the same {target.match_key}"


def _still_reached(target: Target, rows: ir.Table, reach: ir.Table, desired: ir.Table) -> ir.Table:
    """Removals with `at`: what the address begins with that is to be taken out; `lost`: it is not known any more; `shared`: why it would take away
    somebody else who stays."""
    now = reach.select("person_id", now=address(reach.reach_hash))
    rows = rows.left_join(now, "person_id").drop("person_id_right")
    told = address_in(rows.payload_hash).nullif("")
    rows = rows.mutate(at=ibis.coalesce(rows.was, rows.now), lost=rows.was.isnull() & (told != rows.now).fill_null(False))
    staying = desired.filter(desired.blocked.isnull()).select("audience", at=address_in(desired.wanted), stays=ibis.literal(True))
    rows = rows.left_join(staying.semi_join(rows, ["audience", "at"]).distinct(), ["audience", "at"]).drop("audience_right", "at_right")
    return rows.mutate(shared=rows.stays.fill_null(False).ifelse(_shared(target), ibis.null("string")))


def _moved(target: Target, rows: ir.Table, former: ir.Table | None) -> ir.Table:
    """With `was`: what the earlier address begins with, where a person is held under one that is still known; and `moved`: it is to be taken out first."""
    if former is None:
        return rows.mutate(was=ibis.null("string"), moved=ibis.literal(False))
    known = former.select("person_id", was=address(former.reach_hash)).distinct()
    rows = rows.mutate(under=address_in(ibis.coalesce(rows.held, rows.open_hash)))
    rows = rows.left_join(known, [rows.person_id == known.person_id, rows.under == known.was]).drop("person_id_right", "under")
    elsewhere = rows.was.notnull() & (address_in(rows.wanted) != rows.was) & (rows.held.left(CONTENT_CHARS) != CLEARED)
    return rows.mutate(moved=ibis.literal(target.on_leave != "nothing") & elsewhere.fill_null(False) & rows.blocked.isnull() & rows.open_op.isnull())


def _states(desired: ir.Table, committed: ir.Table, unsettled: ir.Table) -> ir.Table:
    """Every person and audience that any of the tables knows: wanted (hash), blocked, urgent; held (hash), held_generation; open_op, open_hash,
    open_generation."""
    held = committed.select("audience", "person_id", held="payload_hash", held_generation="generation")
    open_ = unsettled.select("audience", "person_id", open_op="op", open_hash="payload_hash", open_generation="generation")
    rows = desired
    for known in (held, open_):
        joined = rows.outer_join(known, ["audience", "person_id"])
        key = {name: ibis.coalesce(joined[name], joined[f"{name}_right"]) for name in ("audience", "person_id")}
        rows = joined.mutate(**key).drop("audience_right", "person_id_right")
    return rows.mutate(urgent=rows.urgent.fill_null(False))


def _left(target: Target, rows: ir.Table) -> ir.Table:
    """With `cause` of leaving; where leaving means empty fields, those are what is wanted."""
    null = ibis.null("string")
    rows = rows.mutate(cause=ibis.cases((rows.moved, MOVED), (rows.blocked.notnull(), rows.blocked), (rows.wanted.isnull(), LEFT), else_=null))
    if target.on_leave != "clear":
        return rows.mutate(cleared=ibis.literal(False))
    cleared = rows.cause.notnull() & ~rows.urgent & rows.held.notnull()
    empty = ibis.literal(CLEARED) + address_in(rows.held)
    return rows.mutate(cleared=cleared, wanted=cleared.ifelse(empty, rows.wanted), blocked=cleared.ifelse(null, rows.blocked))


def _operations(target: Target, rows: ir.Table, resync: bool) -> ir.Table:
    is_open, sendable = rows.open_op.notnull(), rows.wanted.notnull() & rows.blocked.isnull()
    again = is_open & sendable.ifelse((rows.open_op != "remove") & _same(rows.open_hash, rows.wanted), rows.open_op == "remove")
    changed = ~_same(rows.held, rows.wanted) | (ibis.literal(resync) & ~rows.cleared)
    stays = ibis.literal(target.on_leave == "nothing") & ~rows.urgent & ~is_open
    op = ibis.cases(
        (again, rows.open_op),
        (rows.moved & ~rows.cleared, "remove"),
        (sendable & rows.held.isnull(), "add" if target.create else "none"),
        (sendable & is_open, "update"),
        (sendable & changed, "update" if target.update else "none"),
        (sendable, "none"),
        (rows.held.notnull() & stays, "none"),
        (rows.held.notnull() | is_open, "remove"),
        (rows.wanted.notnull(), "add" if target.create else "none"),
        else_="none",
    )
    return rows.mutate(op=op, again=again)


def address(reach_hash: ir.StringValue) -> ir.StringValue:
    """Whom a payload is told about, as its hash holds it: the beginning of `reach_hash`."""
    return reach_hash.left(ADDRESS_CHARS)


def address_in(payload_hash: ir.StringValue) -> ir.StringValue:
    """The address that a payload's hash holds; empty in those of versions that wrote down none."""
    return payload_hash.substr(CONTENT_CHARS, ADDRESS_CHARS)


def _same(hash: ir.StringValue, other: ir.StringValue) -> ir.BooleanValue:
    """Whether the same is told, which the address is part of; earlier versions wrote down no more than that."""
    return hash.left(CONTENT_CHARS) == other.left(CONTENT_CHARS)


def _identified(target: Target, rows: ir.Table) -> ir.Table:
    """With generation, payload_hash and op_id. A repetition keeps its id; everything else gets one that was never used, or a destination would take it for
    a repetition."""
    rows = rows.mutate(
        generation=rows.again.ifelse(rows.open_generation, ibis.coalesce(rows.open_generation, rows.held_generation, ibis.literal(0)) + 1),
        payload_hash=ibis.cases((rows.again, rows.open_hash), (rows["op"] == "remove", ibis.coalesce(rows.held, rows.open_hash)), else_=rows.wanted),
        cause=(rows["op"] == "remove").ifelse(rows.cause, ibis.null("string")),
        urgent=(rows["op"] == "remove") & rows.urgent,
    )
    text = ibis.literal(f"{target.destination}\x1f{target.object}")
    for name in ("op", "audience", "person_id", "payload_hash", "generation"):
        text = text + ibis.literal("\x1f") + rows[name].cast("string")
    return rows.mutate(op_id=text.hexdigest("md5")).drop("wanted", "held", "held_generation", "open_op", "open_hash", "open_generation", "moved")


def _manner(target: Target, rows: ir.Table, stays: ir.Table) -> ir.Table:
    """With `leave`. The whole record goes only where nothing keeps the person at the destination: no audience, and no removal that is blocked."""
    null = ibis.null("string")
    if target.on_leave == "clear":
        return rows.mutate(leave=(rows.cleared & (rows["op"] == "update")).ifelse("clear", null))
    if target.on_leave not in WHOLLY:
        return rows.mutate(leave=null)
    removed = rows["op"] == "remove"
    kept = ibis.union(stays, rows.filter(removed & rows.blocked.notnull()).select("person_id"), distinct=True)
    return rows.mutate(leave=(removed & rows.blocked.isnull() & ~rows.person_id.isin(kept.person_id)).ifelse(target.on_leave, null))


def _capped(target: Target, audiences: Sequence[Audience], rows: ir.Table, added: Mapping[str, ir.Table]) -> ir.Table:
    """Blocks additions beyond a cap, those of the audiences that come first excepted."""
    if not target.caps:
        return rows
    priority = ibis.cases(*((rows.audience == a.segment, n) for n, a in enumerate(audiences)), else_=len(audiences))
    counts = (rows["op"] == "add") & rows.blocked.isnull() & ~rows.again
    turn = ibis.row_number().over(group_by=[rows.person_id, counts], order_by=[priority, rows.audience])
    rows = rows.mutate(_counts=counts, _turn=turn + 1)
    for name, most in target.caps.items():
        rows = rows.left_join(added[name].select("person_id", _n="n"), "person_id").drop("person_id_right")
        over = rows._counts & (rows._turn + rows._n.fill_null(0) > most)
        rows = rows.mutate(blocked=over.ifelse(name, rows.blocked)).drop("_n")
    return rows.drop("_counts", "_turn")
