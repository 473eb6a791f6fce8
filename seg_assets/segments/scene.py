"""What one evaluation looks at: persons, their events up to as_of, consents, calendars and the thresholds of data-driven bounds.

Everything is an Ibis expression; nothing here knows what a segment is made of beyond the literals it tests.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from typing import Any

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir

from seg_assets.errors import SegmentError
from seg_assets.schema.types import UTC
from seg_assets.segments.ast import (
    Between,
    Calendar,
    Compare,
    Cut,
    Did,
    Fixed,
    Missing,
    Not,
    OneOf,
    Present,
    Scalar,
    Test,
    Then,
    Where,
    Window,
    looked_at,
)
from seg_assets.segments.catalog import TIMEZONE, Catalog, Field
from seg_assets.segments.times import FOREVER, Micros, Span, frame_of, micros, needs_zone, to_micros, zones
from seg_assets.segments.workspace import rows_table

Cuts = Mapping[tuple[str, Cut], Any]
"""The value every data-driven bound stands for; None where nobody has a value."""

Keep = Callable[[ir.Table], ir.Table]
"""Computes what is read more than once, or leaves it an expression."""

Bounded = Calendar | Fixed
"""Windows with boundaries of their own."""

NUMERIC = "decimal(38, 9)"


def conjunction(parts: Iterable[ir.BooleanValue]) -> ir.BooleanValue:
    """All of the parts; true for none. Built as a balanced tree, so that long conditions stay shallow."""
    return _balanced([*parts], lambda a, b: a & b, True)


def disjunction(parts: Iterable[ir.BooleanValue]) -> ir.BooleanValue:
    """Any of the parts; false for none."""
    return _balanced([*parts], lambda a, b: a | b, False)


def _balanced(parts: list[ir.BooleanValue], join: Any, empty: bool) -> ir.BooleanValue:
    while len(parts) > 1:
        parts = [join(*pair) if len(pair) == 2 else pair[0] for pair in (parts[i : i + 2] for i in range(0, len(parts), 2))]
    return parts[0] if parts else ibis.literal(empty)


def left_joined(left: ir.Table, *rights: ir.Table) -> ir.Table:
    """`left` with the columns of others, which have at most one row per person. One selection for all: Ibis compiles that much faster than one each."""
    joined = left
    for i, right in enumerate(rights):
        joined = joined.left_join(right, "person_id", rname=f"{{name}}_{i}")
    return joined.select(*left.columns, *(c for right in rights for c in right.columns if c != "person_id"))


@dataclass(frozen=True)
class Scene:
    """The inputs of one evaluation.

    Args:
        people: one row per person: person_id, attributes, and `frame_*` columns where `calendar: profile` needs boundaries per person.
        stream: the events that can matter to the definitions, as `_looked_at` reads them.
        consents: the PERSON_CONSENTS table, or None.
        as_of, now: the instant, as a datetime and in microseconds.
        catalog: types of properties and attributes.
        frames: boundaries by calendar and window; a string names a column of `people`.
        cuts: resolved bounds.
    """

    people: ir.Table
    stream: ir.Table
    consents: ir.Table | None
    as_of: dt.datetime
    catalog: Catalog
    frames: Mapping[tuple[str | None, Window], tuple[int | str, ...]]
    cuts: Cuts

    @property
    def now(self) -> Micros:
        return to_micros(self.as_of)

    def only(self, persons: ir.Table) -> Scene:
        """The same scene with some of its persons; thresholds stay those of all."""
        return replace(self, people=self.people.semi_join(persons, "person_id"), stream=self.stream.semi_join(persons, "person_id"))

    def since(self, rows: ir.Table, window: Window, calendar: str | None) -> ir.BooleanValue:
        """Which of `events(...)` are not too old for a window, now and later."""
        first = self.span(window, calendar, rows).first
        return ibis.literal(True) if first is None else rows.t >= first

    def span(self, window: Window, calendar: str | None, table: ir.Table) -> Span:
        """The window at work on `table`, which is `people` or made by `events`."""
        bounds = self.frames.get((calendar, window), ())
        return Span(window, self.now, tuple(table[b] if isinstance(b, str) else b for b in bounds))

    def events(self, types: Iterable[str], properties: Iterable[str], calendars: Iterable[str | None] = ()) -> ir.Table:
        """Events of some types up to as_of, from the earliest on that some definition can need: ask for a window, or a `first`, on top.

        Args:
            types: event types to keep.
            properties: properties to carry, each in a column `p_<name>`, typed by the catalog.
            calendars: those whose boundaries per person are needed.

        Returns:
            person_id, event_id, event_type, t (microseconds), p_..., frame_....
        """
        rows = self.stream.filter(self.stream.event_type.isin(sorted(set(types))))
        table = rows.select("person_id", "event_id", "event_type", "t", *(f"p_{name}" for name in sorted(set(properties))))
        wanted_calendars = set(calendars)
        columns = sorted({b for (calendar, _), frame in self.frames.items() if calendar in wanted_calendars for b in frame if isinstance(b, str)})
        return table.inner_join(self.people.select("person_id", *columns), "person_id") if columns else table

    def matches(self, table: ir.Table, event: str, where: Where, calendar: str | None) -> ir.BooleanValue:
        """Which rows of `events(...)` are this event with these properties."""
        fields = self.catalog.events[event]
        tests = [self.holds(table[f"p_{name}"], test, fields[name], calendar, table) for name, test in where]
        return conjunction([table.event_type == event, *tests])

    def attribute(self, table: ir.Table, name: str) -> ir.Value:
        """The value of an attribute in `people`, with NaN as missing.

        Raises:
            SegmentError: the person table does not have it.
        """
        if name not in table.columns:
            raise SegmentError(f"the persons have no attribute {name!r}", hint="it is in the taxonomy, but no table delivers it")
        value = table[name]
        return ibis.cases((value.isnan(), ibis.null(value.type())), else_=value) if isinstance(value, ir.FloatingValue) else value

    def holds(self, value: ir.Value, test: Test, field: Field, calendar: str | None, table: ir.Table) -> ir.BooleanValue:
        """A test as a boolean that is never null: on a missing value it is false."""
        if isinstance(test, Missing):
            return value.isnull()
        present = value.notnull()
        if isinstance(test, Present):
            return present
        if isinstance(test, Not):
            return present & ~self.holds(value, test.test, field, calendar, table)
        if isinstance(value, ir.TimestampValue):
            value = micros(value)
        return present & self._compare(value, test, field, calendar, table)

    def _compare(self, value: Any, test: Test, field: Field, calendar: str | None, table: ir.Table) -> Any:
        def bound(scalar: Scalar | Cut) -> tuple[Any, Any]:
            """The literal; for a date that a timestamp is compared with, the first instant of that day and of the next."""
            if isinstance(scalar, Cut):
                return (literal(self.cuts[field.name, scalar], value.type()),) * 2
            if field.type == "timestamp" and not isinstance(scalar, dt.datetime) and isinstance(scalar, dt.date):
                start, end = (table[b] if isinstance(b, str) else b for b in self.frames[calendar, Fixed(scalar, scalar)])
                return start, end - 1
            return (literal(scalar, value.type()),) * 2

        def compare(op: str, scalar: Scalar | Cut) -> Any:
            if isinstance(scalar, Cut) and self.cuts[field.name, scalar] is None:
                return ibis.literal(False)
            first, last = bound(scalar)
            if op == "=":
                return value == first if first is last else (value >= first) & (value <= last)
            return {"<": lambda: value < first, "<=": lambda: value <= last, ">": lambda: value > last, ">=": lambda: value >= first}[op]()

        match test:
            case Compare(op, scalar):
                return compare(op, scalar)
            case Between(low, high):
                return compare(">=", low) & compare("<=", high)
            case OneOf(values) if field.type == "timestamp":
                return disjunction(compare("=", v) for v in values)
            case OneOf(values):
                return value.isin([literal(v, value.type()) for v in values])
        raise AssertionError(test)


def literal(value: Any, dtype: dtypes.DataType) -> ir.Scalar:
    """A literal to compare a column of `dtype` with. Values never become SQL text by hand."""
    if isinstance(value, dt.datetime):
        return ibis.literal(to_micros(value), "int64")
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        if dtype.is_decimal():
            return ibis.literal(Decimal(str(value)), NUMERIC)
        return ibis.literal(value, "int64") if isinstance(value, int) and dtype.is_integer() else ibis.literal(float(value), "float64")
    return ibis.literal(value)


def _property(stream: ir.Table, field: Field) -> Any:
    if not field.json:
        return stream[field.name]
    found: Any = stream.properties.try_cast("json")[field.name]
    if field.numeric:
        return found.float
    if field.type == "boolean":
        return found.bool
    return found.str.try_cast('timestamp("UTC")' if field.type == "timestamp" else field.type) if field.type != "string" else found.str


def build_scene(
    people: ir.Table,
    stream: ir.Table,
    consents: ir.Table | None,
    as_of: dt.datetime,
    catalog: Catalog,
    *,
    calendars: Iterable[tuple[str | None, Bounded]] = (),
    clauses: Iterable[tuple[str | None, Did | Then]] = (),
    cuts: Iterable[tuple[str, Cut]] = (),
    shares: Iterable[str] = (),
    given: Cuts | None = None,
    keep: Keep = lambda table: table,
) -> Scene:
    """The scene of an evaluation.

    Args:
        people, stream, consents: person attributes, events, consents.
        as_of: aware.
        catalog: types.
        calendars: windows whose boundaries the definitions need, each with its segment's calendar.
        clauses: what the definitions ask of events, each with its segment's calendar.
        cuts: data-driven bounds to resolve from `people`.
        shares: derived attributes to compute from events where `people` has no column of that name.
        given: bounds that are known already and not resolved again.
        keep: computes what is read again and again, the events that can matter above all; by default it stays an expression.
    """
    scene = Scene(people, stream, consents, as_of, catalog, {}, given or {})
    scene = _with_frames(_with_shares(scene, shares, keep), calendars)
    scene = replace(scene, stream=keep(_looked_at(scene, clauses)))
    resolved = {key: (given or {}).get(key) if key in (given or {}) else _rank(scene, *key) for key in sorted(set(cuts), key=repr)}
    return replace(scene, cuts=resolved)


def _looked_at(scene: Scene, clauses: Iterable[tuple[str | None, Did | Then]]) -> ir.Table:
    """The events up to as_of that can matter to some clause, now or later: person_id, event_id, event_type, t (microseconds), and `p_<name>` per property read."""
    first: dict[str, int | None] = {}
    fields: dict[str, Field] = {}
    for calendar, clause in clauses:
        bounds = scene.frames.get((calendar, clause.window), ())
        span = None if any(isinstance(b, str) for b in bounds) else Span(clause.window, scene.now, bounds).first
        for event, properties in looked_at(clause).items():
            known = first.get(event, span)
            first[event] = None if known is None or span is None else min(known, span)
            fields |= {name: scene.catalog.events[event][name] for name in properties}
    stream = scene.stream.filter(scene.stream.event_type.isin(sorted(first)), scene.stream.event_time <= ibis.literal(scene.as_of, type=UTC))
    read = {f"p_{name}": _property(stream, fields[name]) for name in sorted(fields)}
    rows = stream.select("person_id", "event_id", "event_type", t=micros(stream.event_time), **read)
    oldest = {event: since for event, since in sorted(first.items()) if since is not None}
    return rows.filter(rows.t >= rows.event_type.cases(*oldest.items(), else_=-FOREVER)) if oldest else rows


def _with_shares(scene: Scene, names: Iterable[str], keep: Keep) -> Scene:
    """The share of a person's events that have a property's value, among those that have the property; null without any."""
    missing = [scene.catalog.attributes[n] for n in sorted(set(names)) if n not in scene.people.columns]
    if not missing:
        return scene
    stream = scene.stream.filter(scene.stream.event_time <= ibis.literal(scene.as_of, type='timestamp("UTC")'))
    found = {f.name: (stream[f.share[0]] == f.share[1]).sum() / stream[f.share[0]].count().nullif(0) for f in missing if f.share}
    return replace(scene, people=keep(left_joined(scene.people, stream.group_by("person_id").agg(**found))))


def _with_frames(scene: Scene, calendars: Iterable[tuple[str | None, Bounded]]) -> Scene:
    """Boundaries of calendar windows. `profile` reads the attribute `timezone` where persons have it, and is UTC where it is absent or unknown."""
    frames: dict[tuple[str | None, Window], tuple[int | str, ...]] = {}
    personal: dict[tuple[str | None, Bounded], list[str]] = {}
    for calendar, window in dict.fromkeys(calendars):
        if calendar == "profile" and needs_zone(window) and TIMEZONE in scene.people.columns:
            n = len(personal)
            personal[calendar, window] = [f"frame_{n}_{i}" for i in range(2 if isinstance(window, Fixed) else 4)]
        else:
            zone = calendar if calendar and calendar != "profile" else "UTC"
            frames[calendar, window] = frame_of(window, scene.as_of, zones([zone])[zone])
    if not personal:
        return replace(scene, frames=frames)
    known = zones([*scene.people.select(TIMEZONE).distinct().to_pyarrow()[TIMEZONE].to_pylist(), "UTC"])
    rows = [
        {"zone": name} | {c: v for (_, w), names in personal.items() for c, v in zip(names, frame_of(w, scene.as_of, zone), strict=True)}
        for name, zone in known.items()
    ]
    names = [n for group in personal.values() for n in group]
    table = rows_table(rows, ibis.schema({"zone": "string", **dict.fromkeys(names, "int64")}))
    universal = next(row for row in rows if row["zone"] == "UTC")
    joined = scene.people.left_join(table, scene.people[TIMEZONE] == table.zone).drop("zone")
    people = joined.mutate(**{n: joined[n].fill_null(universal[n]) for n in names})
    return replace(scene, people=people, frames=frames | {key: tuple(group) for key, group in personal.items()})


def _rank(scene: Scene, name: str, cut: Cut) -> Any:
    """The value at rank ceil(percent % of those who have one), from the highest or the lowest; equal values share the verdict."""
    value = scene.attribute(scene.people, name)
    ranked = scene.people.select(value=value).filter(lambda t: t.value.notnull())
    number = ranked.count().to_pyarrow().as_py()
    if not number:
        return None
    rank = max(1, math.ceil(number * cut.percent / 100))
    order = ibis.desc("value") if cut.top else "value"
    return ranked.order_by(order).limit(1, offset=rank - 1).to_pyarrow()["value"][0].as_py()


def union(tables: Iterable[ir.Table]) -> ir.Table:
    """All rows of the tables."""
    return reduce(lambda a, b: a.union(b, distinct=False), tables)
