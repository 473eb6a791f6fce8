"""Small worlds for segment tests: persons and events as rows, evaluated on a real DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import ibis
import pyarrow as pa
import pytest

from seg_assets.schema.tables import EVENTS, PERSON_CONSENTS
from seg_assets.segments import default_catalog, evaluate, parse_segments, verdicts

UTC = dt.UTC
NOON = dt.datetime(2024, 6, 15, 12, tzinfo=UTC)

EVENT_COLUMNS = {"person_id": "int64"} | {
    n: EVENTS.schema[n]
    for n in (
        "event_id",
        "event_type",
        "event_time",
        "product_id",
        "category",
        "cart_id",
        "order_id",
        "campaign_id",
        "quantity",
        "revenue",
        "percent",
        "channel",
        "device",
        "session_id",
        "properties",
    )
}


class World:
    """What one test looks at. Times are aware datetimes, or durations before `as_of` as timedelta."""

    def __init__(self, as_of: dt.datetime = NOON) -> None:
        self.as_of = as_of
        self.connection = ibis.duckdb.connect()
        self.people: dict[int, dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.consent_rows: list[dict[str, Any]] = []
        self.types: dict[str, str] = {}

    def person(self, person_id: int, **attributes: Any) -> World:
        self.people.setdefault(person_id, {}).update(attributes)
        return self

    def event(self, person_id: int, event_type: str, at: dt.datetime | dt.timedelta, event_id: str | None = None, **properties: Any) -> World:
        time = at if isinstance(at, dt.datetime) else self.as_of - at
        row = {"person_id": person_id, "event_id": event_id or f"e{len(self.rows):04d}", "event_type": event_type, "event_time": time, **properties}
        self.rows.append(row)
        return self.person(person_id)

    def consent(self, person_id: int, purpose: str, granted: bool = True, expires_at: dt.datetime | None = None) -> World:
        self.consent_rows.append({"person_id": person_id, "purpose": purpose, "granted": granted, "since": self.as_of, "expires_at": expires_at})
        return self

    def persons(self) -> ibis.Table:
        fields = default_catalog().attributes
        names = sorted({name for attributes in self.people.values() for name in attributes} | set(self.types))
        kinds = {"decimal": "decimal(18, 2)", "timestamp": 'timestamp("UTC")'}
        schema = {"person_id": "int64"} | {
            n: self.types.get(n) or (kinds.get(fields[n].type, fields[n].type) if n in fields else "string") for n in names
        }
        return _table([{"person_id": p, **a} for p, a in self.people.items()], schema)

    def events(self) -> ibis.Table:
        return _table(self.rows, EVENT_COLUMNS)

    def consents(self) -> ibis.Table:
        return _table(self.consent_rows, dict(PERSON_CONSENTS.schema.items()))

    def evaluate(self, text: str, *, as_of: dt.datetime | None = None, **more: Any) -> Any:
        inputs = {"persons": self.persons(), "events": self.events(), "consents": self.consents()} | more
        return evaluate(parse_segments(text, default_catalog()), as_of=as_of or self.as_of, **inputs)

    def members(self, text: str, *, as_of: dt.datetime | None = None, **more: Any) -> dict[str, set[int]]:
        """Members by segment."""
        found = self.evaluate(text, as_of=as_of, **more)
        assert not found.errors, found.errors
        result: dict[str, set[int]] = {name: set() for name in found.health.to_pyarrow()["segment"].to_pylist()}
        for row in found.memberships.to_pyarrow().to_pylist():
            result[row["segment"]].add(row["person_id"])
        return result

    def verdicts(self, text: str, *, as_of: dt.datetime | None = None, **more: Any) -> dict[str, set[int]]:
        """Members by segment, from the compiled expression alone."""
        segments = parse_segments(text, default_catalog())
        inputs = {"persons": self.persons(), "events": self.events(), "consents": self.consents()} | more
        rows = verdicts(segments, as_of=as_of or self.as_of, **inputs).to_pyarrow().to_pylist()
        return {name: {row["person_id"] for row in rows if row[name]} for name in segments.segments}

    def who(self, where: str, *, as_of: dt.datetime | None = None, calendar: str | None = None) -> set[int]:
        """Members of the segment with this `where:`."""
        text = f"segment: s\n{f'calendar: {calendar}' if calendar else ''}\nwhere: {where}\n"
        return self.verdicts(text, as_of=as_of)["s"]


def _table(rows: list[dict[str, Any]], schema: dict[str, Any]) -> ibis.Table:
    types = ibis.schema(schema)
    return ibis.memtable(pa.Table.from_pylist([{name: row.get(name) for name in schema} for row in rows], schema=types.to_pyarrow()), schema=types)


@pytest.fixture
def world() -> Callable[..., World]:
    return World
