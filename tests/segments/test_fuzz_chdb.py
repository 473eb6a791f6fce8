"""A second judge for counts and sequences: ClickHouse's own `countIf`, `windowFunnel` and `sequenceMatch`, run in process by chdb.

Restricted to what ClickHouse defines: its functions say nothing of events at the same instant, so every person's events are at different instants here;
and `windowFunnel` takes one event for two steps of one type, so its chains have steps of different types.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from tests.segments.generator import Case
from tests.segments.oracle import duration, members

chdb = pytest.importorskip("chdb", reason="chdb is not installed")

AS_OF = datetime(2026, 3, 29, 12, tzinfo=UTC)
TYPES = ("page_viewed", "cart_viewed", "product_added", "order_completed")
DURATIONS = ("1m", "2m", "5m", "10m", "1h")
ROUNDS = -(-int(os.environ.get("SEG_FUZZ_CASES", "320")) // 320)


def streams(rng: Random, persons: int = 60) -> list[dict[str, Any]]:
    """Events on whole minutes before AS_OF, so that limits are often met exactly; no two of a person at the same instant."""
    return [
        {"person_id": person, "event_id": f"{person}-{minute}", "event_type": rng.choice(TYPES), "event_time": AS_OF - timedelta(minutes=minute)}
        for person in range(persons)
        for minute in rng.sample(range(90), rng.randint(1, 10))
    ]


def case(events: list[dict[str, Any]], wheres: list[dict[str, Any]]) -> Case:
    documents = [{"segment": f"s{n}", "where": where} for n, where in enumerate(wheres)]
    return Case(documents, [{"person_id": n} for n in range(60)], events, [], AS_OF)


def clickhouse(events: list[dict[str, Any]], verdicts: list[str]) -> list[set[int]]:
    """Persons for whom each SQL verdict over their events is true. `t` is microseconds since 1970."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    rows = pa.Table.from_pylist(  # noqa: F841 - read by name in the query
        [{"person_id": e["person_id"], "e": e["event_type"], "t": (e["event_time"] - start) // timedelta(microseconds=1)} for e in events]
    )
    columns = ", ".join(f"toBool({verdict}) as v{n}" for n, verdict in enumerate(verdicts))
    found = chdb.query(f"select person_id, {columns} from (select person_id, e, toUInt64(t) as t from Python(rows)) group by person_id", "ArrowTable")
    return [{r["person_id"] for r in found.to_pylist() if r[f"v{n}"]} for n in range(len(verdicts))]


def in_window(window: str) -> str:
    return f"t > {round((AS_OF - duration(window)).timestamp() * 1_000_000)}"


def steps_in(steps: list[str], window: str) -> str:
    return ", ".join(f"e = '{s}' and {in_window(window)}" for s in steps)


def micros(text: str) -> int:
    return duration(text) // timedelta(microseconds=1)


def judged(case: Case) -> list[set[int]]:
    return list(members(case.written(), case.persons, case.events, case.consents, case.as_of).values())


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_chains_within_a_time_are_window_funnels(seed):
    rng = Random(seed)
    events, wheres, verdicts = streams(rng), [], []
    for _ in range(80):
        steps, within, window = rng.sample(TYPES, rng.randint(2, 4)), rng.choice(DURATIONS), rng.choice(DURATIONS)
        wheres.append({"then": steps, "within": within, "in": window})
        verdicts.append(f"windowFunnel({micros(within)})(t, {steps_in(steps, window)}) = {len(steps)}")
    assert judged(case(events, wheres)) == clickhouse(events, verdicts)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_chains_with_a_time_per_step_are_sequence_matches(seed):
    rng = Random(seed)
    events, wheres, verdicts = streams(rng), [], []
    for _ in range(80):
        steps, window = rng.choices(TYPES, k=rng.randint(2, 3)), rng.choice(DURATIONS)
        limits = [rng.choice((None, *DURATIONS)) for _ in steps[1:]]
        wheres.append({"then": [steps[0], *({s: {"within": w}} if w else s for s, w in zip(steps[1:], limits, strict=True))], "in": window})
        pattern = "(?1)" + "".join(f"(?t<={micros(w)})(?{n})" if w else f".*(?{n})" for n, w in enumerate(limits, start=2))
        verdicts.append(f"sequenceMatch('{pattern}')(t, {steps_in(steps, window)})")
    assert judged(case(events, wheres)) == clickhouse(events, verdicts)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_counts_are_conditional_counts(seed):
    rng = Random(seed)
    events, wheres, verdicts = streams(rng), [], []
    for _ in range(80):
        event_type, window, times = rng.choice(TYPES), rng.choice(DURATIONS), rng.choice((">=1", ">=2", "<3", "<=1", ">3"))
        wheres.append({"did": event_type, "times": times, "in": window})
        verdicts.append(f"countIf(e = '{event_type}' and {in_window(window)}) {times}")
    assert judged(case(events, wheres)) == clickhouse(events, verdicts)
