"""Landing: slices, cursors and rejects appear together."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.types import Landing, Page, Reject
from seg_assets.lake import Lake, land
from seg_assets.lake.raw_table import landed_cursor, rejects_key

KEY = ("raw", "shop", "orders")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def landing(lake: Lake, *pages: Page, how: Landing = Landing.REPLACE_SLICE):
    return land(lake, KEY, pages, landing=how, loaded_at=NOON, facts={"run": "r1"})


def rows(lake: Lake) -> list[dict]:
    return sorted(lake.read(KEY, row_number="_row").to_pyarrow().to_pylist(), key=lambda r: (r["_slice"], r["_row"]))


def test_rows_carry_slice_instant_and_row_number(lake: Lake) -> None:
    landed = landing(lake, Page("a/b c%é.csv", pa.table({"x": [1, 2]}), cursor={"at": 1}))
    assert (landed.rows, landed.slices) == (2, 1)
    assert rows(lake)[1] == {"x": 2, "_slice": "a/b c%é.csv", "_loaded_at": NOON, "_row": 1}


def test_a_slice_replaces_what_it_held_before(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={"v": 1}), Page("feb", pa.table({"x": [2]}), cursor={"v": 2}))
    landing(lake, Page("jan", pa.table({"x": [10, 11]}), cursor={"v": 3}))
    assert [(r["_slice"], r["x"]) for r in rows(lake)] == [("feb", 2), ("jan", 10), ("jan", 11)]
    assert landed_cursor(lake, KEY) == {"v": 3}


def test_a_slice_of_nothing_removes_its_rows(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={}))
    landing(lake, Page("jan", cursor={"gone": True}))
    assert rows(lake) == []
    assert landed_cursor(lake, KEY) == {"gone": True}


def test_appended_pages_stay(lake: Lake) -> None:
    landing(lake, Page("log", pa.table({"x": [1]}), cursor={}), how=Landing.APPEND)
    landing(lake, Page("log", pa.table({"x": [2]}), cursor={}), how=Landing.APPEND)
    assert sorted(r["x"] for r in rows(lake)) == [1, 2]


def test_pages_of_one_slice_become_one_file_with_running_row_numbers(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1, 2]})), Page("jan", pa.table({"x": [3]}), cursor={"v": 1}))
    assert [(r["_row"], r["x"]) for r in rows(lake)] == [(0, 1), (1, 2), (2, 3)]


def test_a_new_column_is_null_in_older_slices(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={"v": 1}))
    landing(lake, Page("feb", pa.table({"x": [2], "y": ["new"]}), cursor={"v": 2}))
    assert [(r["x"], r["y"]) for r in rows(lake)] == [(2, "new"), (1, None)]
    assert landed_cursor(lake, KEY) == {"v": 2}


def test_a_column_that_changes_its_type_becomes_text_and_loses_nothing(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={"v": 1}))
    landing(lake, Page("feb", pa.table({"x": ["two"]}), cursor={"v": 2}))
    assert [r["x"] for r in rows(lake)] == ["two", "1"]
    landing(lake, Page("mar", pa.table({"x": [3]}), cursor={"v": 3}))
    assert [r["x"] for r in rows(lake)] == ["two", "1", "3"]


def test_a_parquet_file_lands_byte_for_byte(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3]}), source)
    landing(lake, Page("in.parquet", parquet=source, cursor={}))
    copy = next(Path(lake.uri(KEY)).rglob("part-*.parquet"))
    assert copy.read_bytes() == source.read_bytes()


def test_a_parquet_file_with_nanoseconds_is_rewritten_for_delta_readers(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"t": pa.array([1_000_000_000], pa.timestamp("ns", tz="UTC"))}), source)
    landing(lake, Page("in.parquet", parquet=source, cursor={}))
    assert rows(lake)[0]["t"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_rejects_follow_their_slice(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={}, rejects=[Reject("jan", "line 3", "too many fields")]))
    assert lake.read(rejects_key(KEY)).to_pyarrow().to_pylist() == [{"slice": "jan", "position": "line 3", "reason": "too many fields"}]
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={}))
    assert lake.read(rejects_key(KEY)).to_pyarrow().num_rows == 0


def test_a_source_that_fails_keeps_the_slices_that_were_read_whole(lake: Lake) -> None:
    def failing():
        yield Page("jan", pa.table({"x": [1]}), cursor={"v": 1})
        yield Page("feb", pa.table({"x": [2]}), cursor={"v": 2})
        raise RuntimeError("connection lost")

    with pytest.raises(RuntimeError):
        land(lake, KEY, failing(), landing=Landing.REPLACE_SLICE, loaded_at=NOON, facts={})
    assert [r["_slice"] for r in rows(lake)] == ["jan"]
    assert landed_cursor(lake, KEY) == {"v": 1}


def test_a_column_that_only_a_removed_slice_had_is_null(lake: Lake) -> None:
    landing(lake, Page("a", pa.table({"k": [1], "x": [1]})), Page("b", pa.table({"k": [2], "y": ["only here"]})))
    landing(lake, Page("b", cursor={"gone": True}))
    assert [(r["k"], r["y"]) for r in rows(lake)] == [(1, None)]


def test_a_stream_without_rows_is_an_empty_table(lake: Lake) -> None:
    landing(lake)
    assert lake.exists(KEY)
    assert rows(lake) == []
