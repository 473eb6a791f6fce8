"""When verdicts flip without a new event.

Every atom's future is known: it is an interval `[lo, hi)` of truth, or a list of instants at which it flips. A rule flips at the first of its atoms'
instants at which the rule, evaluated there, differs from now. Instants are microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any as Anything

import ibis
import ibis.expr.types as ir

from seg_assets.segments.ast import Did, Then
from seg_assets.segments.binding import Same
from seg_assets.segments.compile import Atom, Rule, verdict
from seg_assets.segments.keyed import clauses, holds, in_count, key_events
from seg_assets.segments.scene import Scene, left_joined, union
from seg_assets.segments.sequences import chain_now, chain_starts
from seg_assets.segments.times import FOREVER, Micros, Span

COLUMN_ROUTE = 16
"""Up to so many ends of intervals, candidates are compared column by column; beyond it, row by row, which grows linearly."""


@dataclass(frozen=True)
class Fixed:
    """As now, for ever. `met` names a boolean column."""

    met: str

    def at(self, table: ir.Table, _instant: ir.IntegerValue) -> Anything:
        return table[self.met]


@dataclass(frozen=True)
class Interval:
    """True at the instants of [lo, hi), two columns."""

    lo: str
    hi: str

    def at(self, table: ir.Table, instant: ir.IntegerValue) -> Anything:
        return (instant >= table[self.lo]) & (instant < table[self.hi])


@dataclass(frozen=True)
class Flips:
    """Now as the column `met`, and the opposite after each instant of the array column `flips` (null where there is none)."""

    met: str
    flips: str

    def at(self, table: ir.Table, instant: ir.IntegerValue) -> Anything:
        flips: Anything = table[self.flips]
        passed = flips.filter(lambda flip: flip <= instant).length().fill_null(0)
        return table[self.met] != (passed % 2 == 1)


Timeline = Fixed | Interval | Flips


def has_interval(scene: Scene, atom: Atom) -> bool:
    """Whether an atom's future is one interval: counts and chains without absences, in windows that events only leave."""
    leaf = atom.leaf
    if isinstance(leaf, Did | Then):
        loses = Span(leaf.window, scene.now).only_loses
        return loses and not (isinstance(leaf, Then) and any(step.absences for step in leaf.steps))
    return not isinstance(leaf, Same)


def chain_end(scene: Scene, then: Then, calendar: str | None, chain: ir.Table) -> ir.Table:
    """Per person with a chain, the instant until which one counts: person_id, hi. For atoms that have an interval."""
    return chain_now(scene, chain_starts(scene, then, calendar, chain)).group_by("person_id").agg(hi=lambda t: t.leave.max())


def flips(scene: Scene, atom: Atom, chain: ir.Table | None) -> ir.Table:
    """The instants after as_of at which an atom flips.

    Args:
        scene, atom: of what.
        chain: for a sequence, its events.

    Returns:
        person_id, flips (array, ascending); persons whose atom never flips are absent.
    """
    leaf = atom.leaf
    if isinstance(leaf, Then):
        assert chain is not None
        changes = _sweep(_deltas(chain_starts(scene, leaf, atom.calendar, chain)), ["person_id"], lambda n: n["d0"] > 0, False, scene)
    elif isinstance(leaf, Did):
        rows = scene.events([leaf.event], [name for name, _ in leaf.where], {atom.calendar})
        rows = _validity(scene, rows, leaf, atom.calendar)
        changes = _sweep(_deltas(rows), ["person_id"], lambda n: in_count(leaf, n["d0"]), not leaf.count.low, scene)
    else:
        assert isinstance(leaf, Same)
        changes = _sweep(_key_deltas(scene, leaf, atom.calendar), ["person_id"], lambda n: n["d0"] > 0, False, scene)
    later = changes.filter(changes["at"] > scene.now)
    return later.group_by("person_id").agg(flips=later["at"].collect().sort())


def _validity(scene: Scene, rows: ir.Table, did: Did, calendar: str | None) -> ir.Table:
    """The matching events with the interval each one counts in."""
    span = scene.span(did.window, calendar, rows)
    rows = rows.filter(scene.matches(rows, did.event, did.where, calendar), span.matters(rows.t))
    span = scene.span(did.window, calendar, rows)
    rows = rows.mutate(enter=span.enter(rows.t), leave=span.leave(rows.t))
    return rows.filter(rows.enter < rows.leave)


def _key_deltas(scene: Scene, group: Same, calendar: str | None) -> ir.Table:
    """Where, for some key of a person, the group's truth begins (+1) and ends (-1)."""
    rows, named = key_events(scene, group, calendar), clauses(group)
    deltas = union(_deltas(_validity(scene, rows, leaf, calendar), ["person_id", "key"], i, len(named)) for i, leaf in enumerate(named))
    changes = _sweep(
        deltas,
        ["person_id", "key"],
        lambda n: holds(group.condition, {leaf: in_count(leaf, n[f"d{i}"]) for i, leaf in enumerate(named)}),
        False,
        scene,
    )
    return changes.select("person_id", "at", d0=changes.truth.ifelse(1, -1))


def _deltas(rows: ir.Table, keys: Sequence[str] = ("person_id",), index: int = 0, width: int = 1) -> ir.Table:
    """Intervals [enter, leave) as steps: +1 at `enter`, -1 at `leave`, in column `d<index>` of `width` columns."""

    def steps(at: str, delta: int) -> ir.Table:
        return rows.select(*keys, at=rows[at], **{f"d{i}": ibis.literal(delta if i == index else 0, "int64") for i in range(width)})

    ends = steps("leave", -1)
    return steps("enter", 1).union(ends.filter(ends["at"] < FOREVER))


def _sweep(rows: ir.Table, keys: list[str], truth: Callable[[Mapping[str, Anything]], Anything], initially: bool, scene: Scene) -> ir.Table:
    """The instants, from as_of on, at which the truth over running sums of the steps changes.

    Returns:
        keys, at, truth (from `at` on).
    """
    names = [c for c in rows.columns if c.startswith("d")]
    clipped = rows.mutate(at=ibis.greatest(rows["at"], scene.now))
    summed = clipped.group_by(*keys, "at").agg(**{n: clipped[n].sum() for n in names})
    window = ibis.cumulative_window(group_by=keys, order_by="at")
    running = summed.select(*keys, "at", **{n: summed[n].sum().over(window).cast("int64") for n in names})
    states = running.select(*keys, "at", truth=truth({n: running[n] for n in names}))
    before = states.truth.lag().over(ibis.window(group_by=keys, order_by="at")).fill_null(initially)
    marked = states.mutate(before=before)
    return marked.filter(marked.truth != marked.before).drop("before")


def with_valid_until(table: ir.Table, rule: Rule, timelines: Mapping[Atom, Timeline], now: Micros) -> ir.Table:
    """Adds the next instant at which the rule's verdict flips.

    Args:
        table: one row per person, with the columns the timelines name.
        rule: the rule.
        timelines: of its atoms.
        now: as_of.

    Returns:
        `table` with `valid_until`: microseconds, `FOREVER` where the verdict never flips.
    """

    def at(rows: ir.Table, instant: Anything) -> ir.BooleanValue:
        return verdict(rule.condition, lambda atom: timelines[atom].at(rows, instant))

    here = [timelines[atom] for atom in rule.atoms]
    ends = [end for t in here if isinstance(t, Interval) for end in (t.lo, t.hi)]
    lists = [t.flips for t in here if isinstance(t, Flips)]
    if not ends and not lists:
        return table.mutate(valid_until=ibis.literal(FOREVER, "int64"))
    table = table.mutate(present=at(table, ibis.literal(now, "int64")))
    if not lists and len(ends) <= COLUMN_ROUTE:
        candidates = [((table[end] > now) & (at(table, table[end]) != table.present)).ifelse(table[end], FOREVER) for end in ends]
        return table.mutate(valid_until=ibis.least(*candidates)).drop("present")
    instants = [ibis.coalesce(table[name], ibis.literal([], "array<int64>")) for name in lists]
    instants += [ibis.array([table[name] for name in ends])] if ends else []
    rows = table.mutate(candidate=reduce(lambda a, b: a.concat(b), instants).unnest())
    rows = rows.filter(rows.candidate > now, rows.candidate < FOREVER)
    flipped = rows.filter(at(rows, rows.candidate) != rows.present)
    firsts = flipped.group_by("person_id").agg(valid_until=flipped.candidate.min())
    found = left_joined(table.drop("present"), firsts)
    return found.mutate(valid_until=found.valid_until.fill_null(FOREVER))
