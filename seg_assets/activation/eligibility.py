"""Which members a destination may hold now, and why not the others. Tables in, tables out; what must change at the destination is in `plan.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir


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
class Rules:
    """What a destination asks of members beside their audience's own needs.

    Args:
        match_key: identifier the destination matches persons by.
        exclusive: a person is in the first audience that may have them, in the order given, and in no other.
        suppress: segments whose members are in no audience.
    """

    match_key: str
    exclusive: bool = False
    suppress: tuple[str, ...] = field(default=())


def eligible(rules: Rules, audiences: Sequence[Audience], memberships: ir.Table, reach: ir.Table, consents: ir.Table) -> ir.Table:
    """Members of the audiences, those held out left aside, each with the reason they may not be delivered.

    Args:
        rules: of the destination.
        audiences: in order of priority.
        memberships: person_id, segment (and holdout, if the segments have one).
        reach: person_id, reach_hash: a keyed hash of the match key's value; persons without one are missing.
        consents: `profiles/consents`.

    Returns:
        audience, person_id, reach_hash, blocked (null: may be delivered), urgent (blocked for consent or suppression).
    """
    members = memberships.filter(memberships.segment.isin([a.segment for a in audiences]))
    held_out = members.holdout if "holdout" in members.columns else ibis.literal(False)
    rows = members.select("person_id", audience="segment", held_out=held_out)
    rows = rows.left_join(reach.select("person_id", "reach_hash"), "person_id").drop("person_id_right")
    refusals = [*_suppressed(rows, rules, memberships), *_without_consent(rows, audiences, consents)]
    forbidden = ibis.cases(*refusals, else_=ibis.null("string")) if refusals else ibis.null("string")
    small = [a.segment for a in audiences if a.below_minimum]
    too_small = rows.audience.isin(small) if small else ibis.literal(False)
    rows = rows.mutate(forbidden=forbidden, too_small=too_small)
    rows = _claimed(rows, audiences) if rules.exclusive else rows.mutate(elsewhere=ibis.null("string"))
    rows = rows.filter(~rows.held_out)
    blocked = ibis.cases(
        (rows.too_small, "the segment is below its minimum size"),
        (rows.reach_hash.isnull(), f"no {rules.match_key} to reach the person by"),
        (rows.forbidden.notnull(), rows.forbidden),
        else_=rows.elsewhere,
    )
    return rows.select("audience", "person_id", "reach_hash", blocked=blocked, urgent=rows.forbidden.notnull())


def _suppressed(rows: ir.Table, rules: Rules, memberships: ir.Table) -> list[tuple[ir.BooleanValue, str]]:
    return [
        (rows.person_id.isin(memberships.filter(memberships.segment == segment).person_id), f"suppressed: in the segment {segment}")
        for segment in rules.suppress
    ]


def _without_consent(rows: ir.Table, audiences: Sequence[Audience], consents: ir.Table) -> list[tuple[ir.BooleanValue, str]]:
    granted = consents.filter(consents.granted)
    branches = []
    for purpose in sorted({p for a in audiences for p in a.needs}):
        needing = [a.segment for a in audiences if purpose in a.needs]
        allowed = rows.person_id.isin(granted.filter(granted.purpose == purpose).person_id)
        branches.append((rows.audience.isin(needing) & ~allowed, f"no consent to {purpose}"))
    return branches


def _claimed(rows: ir.Table, audiences: Sequence[Audience]) -> ir.Table:
    """With `elsewhere`: the audience that comes first for the person. One that holds the person out claims them too, so that a control group gets nothing."""
    rank = ibis.cases(*((rows.audience == a.segment, n) for n, a in enumerate(audiences)), else_=len(audiences))
    rows = rows.mutate(rank=rank.cast("int64"))
    claims = rows.filter(~rows.too_small & rows.forbidden.isnull() & rows.reach_hash.notnull())
    first = claims.group_by("person_id").aggregate(first=claims["rank"].min())
    rows = rows.left_join(first, "person_id").drop("person_id_right")
    names = ibis.cases(*((rows["first"] == n, a.segment) for n, a in enumerate(audiences)), else_="")
    return rows.mutate(
        elsewhere=(rows["first"] < rows["rank"]).ifelse(ibis.literal("in the audience ") + names + ", which comes first", ibis.null("string"))
    )
