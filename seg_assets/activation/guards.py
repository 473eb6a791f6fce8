"""What stops removals: an empty or stale source, and more of them at once than anybody would mean."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

GUARD_FLOOR = 10
"""Fewer removals than this never trip the guard of shares: a share of a tiny audience says nothing."""
GUARD = "removal guard: "


@dataclass(frozen=True)
class Guards:
    """How many members a delivery may remove.

    Args:
        share: largest share of an audience.
        count: largest number of an audience's members; None: any.
        stale: why the memberships are not to be trusted with removals, if they are not.
    """

    share: float = 0.2
    count: int | None = None
    stale: str | None = None


def guarded(rows: ir.Table, held: ir.Table, people: ir.Table, guards: Guards) -> ir.Table:
    """Adds `guard`: why the removals of an audience are stopped, null where they are not. Urgent ones are never stopped.

    Args:
        rows: operations: audience, op, urgent.
        held: audience, one row per member the destination holds.
        people: everybody known; when there is nobody, the source is taken to be broken.
        guards: of the destination.
    """
    sizes = held.group_by("audience").aggregate(size=held.count())
    removals = rows.filter((rows["op"] == "remove") & ~rows.urgent).group_by("audience").aggregate(removals=ibis._.count())
    shares = removals.join(sizes, "audience")
    shares = shares.cross_join(people.limit(1).aggregate(known=ibis._.count()))
    null = ibis.null("string")
    many = (shares.removals > shares["size"] * guards.share) & (shares.removals >= GUARD_FLOOR)
    over = (shares.removals > guards.count) if guards.count is not None else ibis.literal(False)
    why = ibis.cases(
        (shares.known == 0, f"{GUARD}nobody is known, so the source is taken to be empty by mistake"),
        (ibis.literal(guards.stale is not None), f"{GUARD}{guards.stale}"),
        (many, f"{GUARD}more than {guards.share:.0%} of the audience would be removed at once"),
        (over, f"{GUARD}more than {guards.count} members of the audience would be removed at once"),
        else_=null,
    )
    stopped = shares.select("audience", guard=why).filter(ibis._.guard.notnull())
    rows = rows.left_join(stopped, "audience").drop("audience_right")
    return rows.mutate(guard=((rows["op"] == "remove") & ~rows.urgent).ifelse(rows.guard, null))
