"""Unit tests of segments: the `expect:` lines of definitions, run on persons made of nothing but what a line says."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from seg_assets.schema.tables import EVENTS, PERSON_CONSENTS
from seg_assets.schema.taxonomy import IBIS_TYPES
from seg_assets.segments.ast import Ever, Fixture, FixtureEvent, Rolling, Scalar, Segment, cuts, nested, windows
from seg_assets.segments.catalog import Catalog
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.evaluate import verdicts
from seg_assets.segments.workspace import rows_table

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
"""What `0m` of a fixture is, where a definition has calendar windows or dates."""

COMMON = dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
"""Where definitions ask for lengths of time only, fixtures are moved so that all end here: one evaluation does for all of them."""


@dataclass(frozen=True)
class Outcome:
    """What became of one line. `member` is what the segment says."""

    segment: Segment
    fixture: Fixture
    number: int
    member: bool

    @property
    def passed(self) -> bool:
        return self.member == self.fixture.member


def run_fixtures(segments: SegmentSet, names: Iterable[str] | None = None) -> list[Outcome]:
    """Runs the fixtures of the named segments, all by default.

    A person in a fixture has granted every purpose, except those under `denied`.

    Returns:
        One outcome per line, in the order of the set.
    """
    cases = [(segments[name], fixture, i) for name in (names or segments.segments) for i, fixture in enumerate(segments[name].expect)]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, (segment, fixture, _) in enumerate(cases):
        groups.setdefault((_as_of(segments, segment, fixture), fixture.cuts), []).append(i)
    found: dict[int, bool] = {}
    for (as_of, given), members in groups.items():
        part = segments.closure({cases[i][0].id for i in members})
        events = [_row(i, n, event, _start(cases[i][1], as_of), segments.catalog) for i in members for n, event in enumerate(cases[i][1].events)]
        known = {(name, cut): dict(given).get(name) for s in part.segments.values() for name, cut in cuts(s.where)}
        persons, stream, consents = _persons(cases, members, segments.catalog), _events(events), _consents(cases, members, segments.catalog)
        table = verdicts(part, persons=persons, events=stream, consents=consents, as_of=as_of, cuts=known)
        for row in table.to_pyarrow().to_pylist():
            found[row["person_id"]] = row[cases[row["person_id"]][0].id]
    return [Outcome(segment, fixture, number, found[i]) for i, (segment, fixture, number) in enumerate(cases)]


def _as_of(segments: SegmentSet, segment: Segment, fixture: Fixture) -> dt.datetime:
    """The instant a fixture is evaluated at."""
    if isinstance(fixture.at, dt.datetime):
        return fixture.at
    absolute = any(isinstance(event.at, dt.datetime) for event in fixture.events)
    return START + dt.timedelta(microseconds=fixture.at) if absolute or _has_calendar(segments, segment) else COMMON


def _has_calendar(segments: SegmentSet, segment: Segment) -> bool:
    return (
        segment.calendar is not None
        or not all(isinstance(window, Rolling | Ever) for window in windows(segment.where))
        or any(_has_calendar(segments, segments[name]) for name in nested(segment))
    )


def _start(fixture: Fixture, as_of: dt.datetime) -> dt.datetime:
    """The instant its `0m` is."""
    return START if isinstance(fixture.at, dt.datetime) else as_of - dt.timedelta(microseconds=fixture.at)


def _row(person: int, number: int, event: FixtureEvent, start: dt.datetime, catalog: Catalog) -> dict[str, Any]:
    fields = catalog.events[event.event]
    columns = {n: _plain(v, fields[n].type) for n, v in event.properties if not fields[n].json}
    custom = {n: str(v) if isinstance(v, dt.date) else _plain(v, "float64") for n, v in event.properties if fields[n].json}
    time = event.at if isinstance(event.at, dt.datetime) else start + dt.timedelta(microseconds=event.at)
    identity = {"person_id": person, "event_id": f"{person}.{number:04d}", "event_type": event.event, "event_time": time}
    return identity | columns | {"properties": json.dumps(custom)}


def _plain(value: Scalar, kind: str) -> Any:
    number = isinstance(value, str | bool) or kind in {"int64", "decimal", "date", "timestamp"}
    return value if number or isinstance(value, dt.date) else float(value)


def _events(rows: list[dict[str, Any]]) -> ir.Table:
    return rows_table(rows, ibis.schema({"person_id": "int64"} | {c.name: c.dtype for c in EVENTS.columns}))


def _persons(cases: list[tuple[Segment, Fixture, int]], members: list[int], catalog: Catalog) -> ir.Table:
    """Every attribute of the catalog, except shares, which come from the events where a fixture does not give them."""
    given = {name for i in members for name, _ in cases[i][1].person}
    fields = {n: f for n, f in catalog.attributes.items() if not f.share or n in given}
    rows = [{"person_id": i} | {n: _plain(v, fields[n].type) for n, v in cases[i][1].person} for i in members]
    types: Mapping[str, Any] = {n: IBIS_TYPES.get(f.type, f.type) for n, f in fields.items()}
    return rows_table(rows, ibis.schema({"person_id": "int64"} | types))


def _consents(cases: list[tuple[Segment, Fixture, int]], members: list[int], catalog: Catalog) -> ir.Table:
    rows = [
        {"person_id": i, "purpose": purpose, "granted": purpose not in cases[i][1].denied, "since": START}
        for i in members
        for purpose in catalog.purposes
    ]
    return rows_table(rows, PERSON_CONSENTS.schema)
