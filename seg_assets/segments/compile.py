"""Segments to Ibis: every distinct atom of all segments becomes one column of one table of facts, and a verdict is a boolean over that table.

Counts of one event type share one pass over its events. A count over a window that ends now needs no counting: it is at least n where the n-th newest
event is in the window, so any number of thresholds and windows are read from a few instants. Chains and keyed groups take one pass each; nested segments
are inlined, so they are true for the same instant. Why a person is in and until when is in `evidence.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any as Anything

import ibis
import ibis.expr.types as ir

from seg_assets.lake.functions import largest
from seg_assets.segments.ast import All, Any, Attribute, Calendar, Did, Ever, Fixed, InSegment, Rolling, Segment, Then, Where, cuts, leaves
from seg_assets.segments.binding import Bound, Resolved, Same, resolve
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.keyed import in_count, key_counts
from seg_assets.segments.scene import Cuts, Keep, Scene, build_scene, conjunction, disjunction, left_joined
from seg_assets.segments.sequences import chain_events, chain_now, chain_starts
from seg_assets.segments.times import FOREVER, dates_in, micros


@dataclass(frozen=True)
class Consent:
    """An atom that no one writes: the person allows a purpose at as_of."""

    purpose: str


MAX_RANK = 32
"""Counts up to so many events are read from the newest ones; larger ones are counted."""

Leaf = Attribute | Did | Then | Same | Consent


@dataclass(frozen=True)
class Atom:
    """One thing to find out per person. `calendar` is that of its segment where the clause depends on it, else None."""

    leaf: Leaf
    calendar: str | None


@dataclass(frozen=True)
class Rule:
    """A segment's whole condition: its `where`, consents included and nested segments inlined, over atoms."""

    segment: Segment
    condition: Bound | Atom
    atoms: tuple[Atom, ...]


def rules_of(segments: SegmentSet) -> dict[str, Rule]:
    """The rule of every segment of the set, in its order."""
    rules: dict[str, Rule] = {}
    for name, segment in segments.segments.items():
        parts = [_with_atoms(resolve(segment.where), segment, segments, rules), *(Atom(Consent(p), None) for p in segment.needs)]
        condition = Bound(All, tuple(parts)) if len(parts) > 1 else parts[0]
        rules[name] = Rule(segment, condition, tuple(dict.fromkeys(_atoms(condition))))
    return rules


def _with_atoms(condition: Resolved, segment: Segment, segments: SegmentSet, rules: Mapping[str, Rule]) -> Anything:
    if isinstance(condition, Bound):
        return Bound(condition.kind, tuple(_with_atoms(part, segment, segments, rules) for part in condition.parts))
    if isinstance(condition, InSegment):
        return rules[condition.segment].condition
    written = condition.condition if isinstance(condition, Same) else condition
    bounded = any(isinstance(leaf, Did | Then) and isinstance(leaf.window, Calendar | Fixed) for leaf in leaves(written))
    return Atom(condition, segment.calendar if bounded or dates_in(written, segments.catalog) else None)


def _atoms(condition: Anything) -> Iterator[Atom]:
    if isinstance(condition, Atom):
        yield condition
    else:
        for part in condition.parts:
            yield from _atoms(part)


def verdict(condition: Anything, truth: Callable[[Atom], ir.BooleanValue]) -> ir.BooleanValue:
    """A rule's condition as an expression over the truth of its atoms."""
    if isinstance(condition, Atom):
        return truth(condition)
    parts = [verdict(part, truth) for part in condition.parts]
    if condition.kind is All:
        return conjunction(parts)
    return disjunction(parts) if condition.kind is Any else ~disjunction(parts)


def scene_of(
    segments: SegmentSet,
    persons: ir.Table,
    events: ir.Table,
    consents: ir.Table | None,
    as_of: dt.datetime,
    *,
    given: Cuts | None = None,
    keep: Keep = lambda table: table,
) -> Scene:
    """The scene with all that the segments' windows, clauses, dates, shares and thresholds need."""
    calendars: dict[tuple[str | None, Calendar | Fixed], None] = {}
    clauses: list[tuple[str | None, Did | Then]] = []
    for segment in segments.segments.values():
        clauses += [(segment.calendar, leaf) for leaf in leaves(segment.where) if isinstance(leaf, Did | Then)]
        calendars |= {(segment.calendar, Fixed(day, day)): None for day in sorted(dates_in(segment.where, segments.catalog))}
    named = {leaf.name for s in segments.segments.values() for leaf in leaves(s.where) if isinstance(leaf, Attribute)}
    shares = {name for name in named if segments.catalog.attributes[name].share}
    bounds = [cut for s in segments.segments.values() for cut in cuts(s.where)]
    calendars |= {(calendar, clause.window): None for calendar, clause in clauses if isinstance(clause.window, Calendar | Fixed)}
    return build_scene(
        persons, events, consents, as_of, segments.catalog, calendars=calendars, clauses=clauses, cuts=bounds, shares=shares, given=given, keep=keep
    )


def _ranks(did: Did) -> list[int]:
    """Which of the newest events decide a count: the low-th, and the first that would be too many."""
    return [n for n in (did.count.low, (did.count.high if did.count.high is not None else -1) + 1) if n]


@dataclass(frozen=True)
class Kind:
    """Events that a clause counts, whatever the window and the number."""

    event: str
    where: Where
    calendar: str | None


@dataclass(frozen=True)
class Facts:
    """One row per person with what the atoms of the rules are decided from: instants, counts, booleans, ends of consents.

    Args:
        rules: what is asked.
        scene: of what.
        keep: computes what is read more than once; by default everything stays one lazy expression.
    """

    rules: Mapping[str, Rule]
    scene: Scene
    keep: Keep = field(default=lambda table: table)
    _chains: dict[Atom, ir.Table] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> dict[Atom, str]:
        """A name for every atom: of its column, except that attributes are tested on their own columns."""
        atoms = dict.fromkeys(atom for rule in self.rules.values() for atom in rule.atoms)
        return {atom: f"a{i}" for i, atom in enumerate(atoms)}

    @cached_property
    def attributes(self) -> list[str]:
        return sorted({a.leaf.name for rule in self.rules.values() for a in rule.atoms if isinstance(a.leaf, Attribute)})

    def table(self) -> ir.Table:
        """The facts.

        Returns:
            person_id, the attributes tested, boundaries of calendars per person, the instants of the newest events of each kind (`-FOREVER` where there are
            fewer), and a0, a1, ... (see `names`) for all other atoms. Only attributes, boundaries and consents can be null.
        """
        scene = self.scene
        frames = [c for c in scene.people.columns if c.startswith("frame_")]
        table = scene.people.select("person_id", *frames, *(n for n in self.attributes if n in scene.people.columns))
        columns = {atom: name for atom, name in self.names.items() if not isinstance(atom.leaf, Attribute)}
        by_type: dict[str, list[Atom]] = {}
        parts: list[ir.Table] = []
        for atom, name in columns.items():
            leaf = atom.leaf
            if isinstance(leaf, Did):
                by_type.setdefault(leaf.event, []).append(atom)
            else:
                parts.append(self._column(atom, name))
        table = left_joined(table, *parts, *(self._events(event, atoms) for event, atoms in by_type.items()))
        nothing = {name: 0 if isinstance(atom.leaf, Did) else False for atom, name in columns.items() if not isinstance(atom.leaf, Consent)}
        nothing |= {f"{name}_{rank}": -FOREVER for name, ranks in self.kinds.values() for rank in ranks}
        return table.mutate(**{name: table[name].fill_null(value) for name, value in nothing.items() if name in table.columns})

    def columns(self, rule: Rule) -> list[str]:
        """Those of `table` that a rule's verdict is read from."""
        found = {c: None for c in self.scene.people.columns if c.startswith("frame_")}
        for atom in rule.atoms:
            if isinstance(atom.leaf, Attribute):
                found[atom.leaf.name] = None
            elif isinstance(atom.leaf, Did) and (kind := self._kind(atom)):
                found |= {f"{self.kinds[kind][0]}_{rank}": None for rank in _ranks(atom.leaf)}
            else:
                found[self.names[atom]] = None
        return list(found)

    @cached_property
    def kinds(self) -> dict[Kind, tuple[str, list[int]]]:
        """For every kind of event that is decided by its newest: a name, and the ranks that are asked for."""
        ranks: dict[Kind, set[int]] = {}
        for atom in self.names:
            if isinstance(atom.leaf, Did) and (kind := self._kind(atom)):
                ranks.setdefault(kind, set()).update(_ranks(atom.leaf))
        return {kind: (f"newest{i}", sorted(asked)) for i, (kind, asked) in enumerate(ranks.items())}

    def _kind(self, atom: Atom) -> Kind | None:
        """The kind of event whose newest decide a count; None where it must be counted, as its window ends before now or it needs too many."""
        did: Anything = atom.leaf
        up_to_now = (
            isinstance(did.window, Ever) or did.window == Rolling(getattr(did.window, "older", 0)) or getattr(did.window, "which", "") == "this"
        )
        return Kind(did.event, did.where, atom.calendar) if up_to_now and max(_ranks(did)) <= MAX_RANK else None

    def _events(self, event: str, atoms: list[Atom]) -> ir.Table:
        """All that the counts of one event type are decided from, in one pass over its events."""
        scene = self.scene
        dids = {atom: atom.leaf for atom in atoms if isinstance(atom.leaf, Did)}
        properties = {name for did in dids.values() for name, _ in did.where}
        rows = scene.events([event], properties, {a.calendar for a in atoms})
        found: dict[str, ir.Value] = {}
        ranked: dict[str, list[int]] = {}
        for atom, did in dids.items():
            mine = scene.matches(rows, event, did.where, atom.calendar)
            kind = self._kind(atom)
            if kind:
                name, ranked[name] = self.kinds[kind]
                found[name] = largest(rows.t, ranked[name][-1], mine) if ranked[name] != [1] else rows.t.max(where=mine)
            else:
                found[self.names[atom]] = rows.count(where=mine & scene.span(did.window, atom.calendar, rows).holds(rows.t))
        table = rows.group_by("person_id").agg(**found)
        instants = {f"{name}_{rank}": table[name] if ranks == [1] else table[name][rank - 1] for name, ranks in ranked.items() for rank in ranks}
        return table.select("person_id", *(name for name in found if name not in ranked), **instants)

    def _column(self, atom: Atom, name: str) -> ir.Table:
        """One row per person for whom a chain, keyed group or consent holds."""
        scene, leaf = self.scene, atom.leaf
        if isinstance(leaf, Consent):
            return self._consent(leaf, name)
        if isinstance(leaf, Then):
            found = chain_now(scene, chain_starts(scene, leaf, atom.calendar, self.chain(atom)))
        else:
            assert isinstance(leaf, Same)
            found = key_counts(scene, leaf, atom.calendar).filter(lambda t: t.met)
        return found.select("person_id").distinct().mutate(**{name: ibis.literal(True)})

    def chain(self, atom: Atom) -> ir.Table:
        """The events that can be part of an atom's chain; see `chain_events`."""
        assert isinstance(atom.leaf, Then)
        if atom not in self._chains:
            self._chains[atom] = self.keep(chain_events(self.scene, atom.leaf, atom.calendar))
        return self._chains[atom]

    def _consent(self, consent: Consent, name: str) -> ir.Table:
        """When a consent that holds at as_of ends, in microseconds."""
        scene = self.scene
        if scene.consents is None:
            return scene.people.filter(ibis.literal(False)).select("person_id", **{name: ibis.null("int64")})
        table = scene.consents.filter(scene.consents.purpose == consent.purpose, scene.consents.granted.fill_null(False))
        ends = table.select("person_id", end=micros(table.expires_at).fill_null(FOREVER))
        return ends.filter(ends.end > scene.now).group_by("person_id").agg(**{name: lambda t: t.end.max()})

    def truth(self, table: ir.Table, atom: Atom) -> ir.BooleanValue:
        """Whether the atom holds at as_of, over the facts.

        Raises:
            SegmentError: the persons lack the attribute it tests.
        """
        leaf = atom.leaf
        if isinstance(leaf, Attribute):
            field = self.scene.catalog.attributes[leaf.name]
            return self.scene.holds(self.scene.attribute(table, leaf.name), leaf.test, field, atom.calendar, table)
        if isinstance(leaf, Did) and (kind := self._kind(atom)):
            return self._in_window(table, atom, leaf, self.kinds[kind][0])
        value: Anything = table[self.names[atom]]
        if isinstance(leaf, Did):
            return in_count(leaf, value)
        return value.notnull() if isinstance(leaf, Consent) else value

    def _in_window(self, table: ir.Table, atom: Atom, did: Did, name: str) -> ir.BooleanValue:
        """A count from the newest events: the low-th is in the window, the one after the high-th is not."""
        span = self.scene.span(did.window, atom.calendar, table)

        def at_least(number: int) -> ir.BooleanValue:
            instant: Anything = table[f"{name}_{number}"]
            return instant > -FOREVER if isinstance(did.window, Ever) else span.holds(instant)

        bounds = [at_least(did.count.low)] if did.count.low else []
        bounds += [~at_least(did.count.high + 1)] if did.count.high is not None else []
        return conjunction(bounds)

    def verdict(self, table: ir.Table, name: str) -> ir.BooleanValue:
        """Whether each person is in the segment at as_of, over the facts. Never null."""
        return verdict(self.rules[name].condition, lambda atom: self.truth(table, atom))
