"""Chains of events: one linear pass per step, no self-joins.

Going backwards, `reach_k` of an event taken as step k is the earliest instant from which a chain through it counts: the minimum of `reach_{k+1}`
over the events the next step may be, a window frame over the ordered stream (docs/segments.md, Algorithms). `within` over the whole chain bounds the
time of the last event instead, which grows with that instant.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from seg_assets.segments.ast import Absence, Step, Then, looked_at
from seg_assets.segments.scene import Scene, conjunction, union


def chain_events(scene: Scene, then: Then, calendar: str | None) -> ir.Table:
    """Every event that can be part of a chain, now or at a later instant without new events.

    Returns:
        person_id, key, event_id, t, boundaries, and per step k: `reach_k`, null where the event can't be step k of a whole chain. For a chain with `within`,
        `reach_k` is the time of the chain's last event; else the first instant at which the rest of the chain counts.
    """
    rows = _promising(scene, _rows(scene, then, calendar), then, calendar)
    waits = _waits_inside(then)
    if waits:
        rows = _at_moments(scene, rows, then, calendar)
    order = _Order(rows, then)
    span = scene.span(then.window, calendar, rows)
    usable = {}
    for k, step in enumerate(then.steps):
        tests = [scene.matches(rows, step.event, step.where, calendar), span.matters(rows.t)]
        tests += [order.nothing(scene.matches(rows, a.event, a.where, calendar), a) for a in step.absences]
        tests += [rows.t + a.span <= rows.moment for a in step.absences] if waits else []
        usable[f"usable_{k}"] = conjunction(tests)
    table = rows.mutate(**usable)
    last = len(then.steps) - 1
    for k in range(last, -1, -1):
        span = scene.span(then.window, calendar, table)
        own = _own_reach(table, then.steps[k], span.enter(table.t) if k == last else None, then)
        if k < last:
            following = _Order(table, then).earliest(table[f"reach_{k + 1}"], then.steps[k + 1], then)
            own = following if own is None else ibis.greatest(own, following)
            usable_here = table[f"usable_{k}"] & following.notnull()
        else:
            usable_here = table[f"usable_{k}"]
        table = table.mutate(**{f"reach_{k}": usable_here.ifelse(own, ibis.null("int64"))})
    reaches = [f"reach_{k}" for k in range(last + 1)]
    extra = [c for c in table.columns if c.startswith("frame_") or c == "moment"]
    used = table.filter(ibis.coalesce(*(table[name] for name in reaches)).notnull())
    return used.select("person_id", "key", "event_id", "t", *reaches, *extra)


def chain_starts(scene: Scene, then: Then, calendar: str | None, events: ir.Table) -> ir.Table:
    """The events a chain can start with.

    Args:
        scene, then, calendar: as for `chain_events`.
        events: what that gave.

    Returns:
        person_id, key, event_id, t, reach_0 (as in `chain_events`), and the chain's validity: it counts at the instants of [enter, leave).
    """
    table = events.filter(events.reach_0.notnull())
    span = scene.span(then.window, calendar, table)
    enter: Any = table.reach_0
    if then.within is not None:
        table = table.filter(table.reach_0 - table.t <= then.within)
        last = table.reach_0
        passed = [table.moment] if _waits_inside(then) else [last + a.span for a in then.steps[-1].absences]
        enter = ibis.greatest(span.enter(last), last, *passed)
    starts = table.mutate(enter=enter, leave=span.leave(table.t))
    return starts.filter(starts.enter < starts.leave).select("person_id", "key", "event_id", "t", "reach_0", "enter", "leave")


def chain_now(scene: Scene, starts: ir.Table) -> ir.Table:
    """The starts whose chain counts at as_of."""
    return starts.filter(starts.enter <= scene.now, starts.leave > scene.now)


def cited_events(scene: Scene, then: Then, calendar: str | None, events: ir.Table) -> ir.Table:
    """Per person with a chain at as_of, the events of one: the chain with the latest start, each further event as early as it can be.

    Returns:
        person_id, events (array of ids, in the order of the steps).
    """
    chosen = _first(chain_now(scene, chain_starts(scene, then, calendar, events)), ibis.desc("t"), ibis.desc("event_id"))
    chosen = chosen.select("person_id", "key", "event_id", "t", bound="reach_0", events=ibis.array([chosen.event_id]))
    for k, step in enumerate(then.steps[1:], start=1):
        rows = events.filter(events[f"reach_{k}"].notnull()).select("person_id", "key", "event_id", "t", reach=f"reach_{k}")
        before = chosen.select("person_id", "key", "bound", "events", before_t="t", before_id="event_id")
        pairs = rows.inner_join(before, ["person_id", "key"])
        later = (
            (pairs.t > pairs.before_t) | ((pairs.t == pairs.before_t) & (pairs.event_id > pairs.before_id)) if then.ties else pairs.t > pairs.before_t
        )
        tests = [later, pairs.reach <= pairs.bound]
        tests += [pairs.t - pairs.before_t <= step.within] if step.within is not None else []
        chosen = _first(pairs.filter(*tests), "t", "event_id")
        chosen = chosen.select("person_id", "key", "event_id", "t", "bound", events=chosen.events.concat(ibis.array([chosen.event_id])))
    return chosen.select("person_id", "events")


def _first(table: ir.Table, *order: Any) -> ir.Table:
    """One row per person: the first in `order`."""
    ranked = table.mutate(rank=ibis.row_number().over(group_by="person_id", order_by=[*order, "key"]))
    return ranked.filter(ranked["rank"] == 0).drop("rank")


def _rows(scene: Scene, then: Then, calendar: str | None) -> ir.Table:
    """The events any step or absence can be, with the key the chain is tied by. An absence follows a step: it is never older than the window either."""
    asked = looked_at(then)
    rows = scene.events(asked, {name for properties in asked.values() for name in properties}, {calendar})
    rows = rows.filter(scene.since(rows, then.window, calendar))
    if not then.on:
        return rows.mutate(key=ibis.literal(""))
    return rows.filter(rows[f"p_{then.on}"].notnull()).mutate(key=rows[f"p_{then.on}"].cast("string"))


def _promising(scene: Scene, rows: ir.Table, then: Then, calendar: str | None) -> ir.Table:
    """The rows of those keys that have an event for every step: the others, mostly many, have no chain and need not be put in order."""
    span = scene.span(then.window, calendar, rows)
    have = [(scene.matches(rows, step.event, step.where, calendar) & span.matters(rows.t)).any() for step in then.steps]
    found = rows.group_by("person_id", "key").having(conjunction(have)).agg(rows=rows.count())
    return rows.semi_join(found, ["person_id", "key"])


def _waits_inside(then: Then) -> bool:
    """Whether spans of absences must pass inside a chain whose whole length is bounded."""
    return then.within is not None and any(step.absences for step in then.steps[:-1])


def _at_moments(scene: Scene, rows: ir.Table, then: Then, calendar: str | None) -> ir.Table:
    """The rows once per instant from as_of on at which the span of an absence has just passed, as `moment`; the key says which.

    Where such spans stand inside a chain of bounded length, the earliest last event is not the chain that counts first, so every instant at which
    more of the events become usable is looked at by itself.
    """
    ends = [rows.select("person_id", moment=ibis.literal(scene.now, "int64"))]
    for step in then.steps:
        for absence in step.absences:
            hits = rows.filter(scene.matches(rows, step.event, step.where, calendar), rows.t + absence.span > scene.now)
            ends.append(hits.select("person_id", moment=hits.t + absence.span))
    joined = rows.inner_join(union(ends).distinct(), "person_id")
    return joined.mutate(key=joined.key + "@" + joined.moment.cast("string"))


def _own_reach(table: ir.Table, step: Step, enter: ir.IntegerValue | None, then: Then) -> Any:
    """What the step itself asks of the instant: that it is in the window, and that the spans of its absences have passed."""
    if then.within is not None:
        return None if enter is None else table.t
    asked = [] if enter is None else [table.t, enter]
    asked += [table.t + a.span for a in step.absences]
    return ibis.greatest(*asked) if len(asked) > 1 else asked[0] if asked else None


class _Order:
    """What comes after an event: strictly later in time, or (with ties) later in the order (event_time, event_id)."""

    def __init__(self, table: ir.Table, then: Then) -> None:
        self.table, self.ties = table, then.ties

    def _later(self, span: int | None) -> Any:
        return ibis.range_window(following=(1, span), group_by=["person_id", "key"], order_by="t")

    def _same_instant(self) -> Any:
        return ibis.rows_window(following=(1, None), group_by=["person_id", "key", "t"], order_by="event_id")

    def nothing(self, blocks: ir.BooleanValue, absence: Absence) -> ir.BooleanValue:
        """No blocking event at a later instant: at all, or within the absence's span."""
        if absence.lasting:
            last = blocks.ifelse(self.table.t, ibis.null("int64")).max().over(group_by=["person_id", "key"])
            return (last <= self.table.t).fill_null(True)
        return blocks.cast("int64").sum().over(self._later(absence.span)).fill_null(0) == 0

    def earliest(self, reach: ir.IntegerValue, step: Step, then: Then) -> ir.IntegerValue:
        """The least `reach` among the events the next step can be."""
        spans = [s for s in (step.within, then.within) if s is not None]
        later = reach.min().over(self._later(min(spans) if spans else None))
        if not self.ties:
            return later
        tied = reach.min().over(self._same_instant())
        return ibis.coalesce(ibis.least(later, tied), later, tied)
