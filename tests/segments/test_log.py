"""The log of changes: each evaluation once, and the sizes that follow from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ibis
import pyarrow as pa

from seg_assets.schema.tables import SEGMENT_CHANGES
from seg_assets.segments.log import logged, movements

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def changes(*moves: tuple[int, str], as_of: datetime = NOON) -> ibis.Table:
    fixed = {"segment": "vip", "as_of": as_of, "definition_hash": "h", "cause": "data", "reason": "[]"}
    rows = [{"person_id": person, "change": change, **fixed} for person, change in moves]
    schema = SEGMENT_CHANGES.schema.to_pyarrow()
    return ibis.memtable(pa.Table.from_pylist(rows, pa.schema([field for field in schema if field.name != "evaluation"])))


def rows(table: ibis.Table) -> list[dict[str, Any]]:
    return table.to_pyarrow().to_pylist()


def test_two_evaluations_at_one_instant_are_both_in_the_log() -> None:
    first = logged(None, changes((1, "entered"), (2, "entered")), 0)
    both = logged(first, changes((1, "left")), 1)
    assert sorted((r["person_id"], r["change"], r["evaluation"]) for r in rows(both)) == [(1, "entered", 0), (1, "left", 1), (2, "entered", 0)]


def test_an_evaluation_that_was_killed_before_its_memberships_were_written_is_logged_once() -> None:
    first = logged(None, changes((1, "entered")), 0)
    killed = logged(first, changes((1, "left"), (3, "entered")), 1)
    again = logged(killed, changes((1, "left")), 1)
    assert sorted((r["person_id"], r["change"]) for r in rows(again)) == [(1, "entered"), (1, "left")]


def test_sizes_add_up_from_evaluation_to_evaluation() -> None:
    later = datetime(2026, 7, 2, tzinfo=UTC)
    log = logged(logged(None, changes((1, "entered"), (2, "entered")), 0), changes((1, "left"), (3, "entered"), (4, "entered"), as_of=later), 4)
    assert [(r["evaluation"], r["as_of"], r["entered"], r["left"], r["size"]) for r in rows(movements(log))] == [
        (0, NOON, 2, 0, 2),
        (4, later, 2, 1, 3),
    ]
