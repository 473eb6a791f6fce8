"""Columns that change: what each policy does with the rows, and what is said about it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.schema import Field, PrimitiveType

from connectors.types import Landing, Page
from seg_assets.lake import Lake, land
from seg_assets.lake.drift import Drift, SchemaDriftError
from seg_assets.lake.raw_table import Landed, drifted_key, landed_cursor, rejects_key

KEY = ("raw", "crm", "contacts")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def landing(lake: Lake, *pages: Page, drift: Drift, how: Landing = Landing.REPLACE_SLICE, declared: pa.Schema | None = None) -> Landed:
    return land(lake, KEY, pages, landing=how, loaded_at=NOON, facts={}, drift=drift, declared=declared)


def page(slice: str, rows: list[dict], number: int = 1) -> Page:
    return Page(slice, pa.Table.from_pylist(rows), cursor={"read": number})


def column(lake: Lake, name: str, key: tuple[str, ...] = KEY) -> list:
    return sorted(lake.read(key).to_pyarrow()[name].to_pylist(), key=str)


def test_evolving_takes_new_columns_and_says_which(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.EVOLVE)
    done = landing(lake, page("b", [{"id": 2, "vip": True}]), drift=Drift.EVOLVE)
    assert done.drift == ("the column vip is new",)
    assert column(lake, "vip") == [None, True]
    assert landing(lake, page("c", [{"id": 3}]), drift=Drift.EVOLVE).drift == ()


def test_frozen_columns_stop_the_reading_before_the_first_such_row(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.FREEZE)
    with pytest.raises(SchemaDriftError, match="slice c: the column vip is new"):
        landing(lake, *(page("b", [{"id": 2}], 2), page("b2", [{"id": 9}], 3), page("c", [{"id": 3, "vip": True}], 4)), drift=Drift.FREEZE)
    assert column(lake, "id") == [1, 2]
    assert landed_cursor(lake, KEY) == {"read": 2}


def test_a_type_that_holds_no_other_values_is_no_drift(lake: Lake) -> None:
    landing(lake, Page("a", pa.table({"id": pa.array([1], pa.int64())}), cursor={}), drift=Drift.FREEZE)
    landing(lake, Page("b", pa.table({"id": pa.array([2], pa.int32())}), cursor={}), drift=Drift.FREEZE)
    assert column(lake, "id") == [1, 2]


def test_declared_columns_count_before_anything_was_landed(lake: Lake) -> None:
    with pytest.raises(SchemaDriftError, match="vip is new"):
        landing(lake, page("a", [{"id": 1, "vip": True}]), drift=Drift.FREEZE, declared=pa.schema([("id", pa.int64())]))


def test_rows_that_do_not_fit_are_set_aside_with_the_reason_and_the_others_land(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1, "age": 30}]), drift=Drift.QUARANTINE)
    done = landing(lake, page("b", [{"id": 2, "age": "40"}, {"id": 3, "age": "old"}, {"id": 4, "age": None}], 2), drift=Drift.QUARANTINE)
    assert column(lake, "id") == [1, 2, 4]
    assert column(lake, "age") == [30, 40, None]
    assert column(lake, "age", drifted_key(KEY)) == ["old"]
    assert [(r["slice"], r["position"], r["reason"]) for r in lake.read(rejects_key(KEY)).to_pyarrow().to_pylist()] == [
        ("b", "1 rows", "the column age is string, not int64")
    ]
    assert done.drift == ("the column age is string, not int64",)
    assert landed_cursor(lake, KEY) == {"read": 2}


def test_a_mended_slice_clears_what_was_set_aside_of_it(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE)
    landing(lake, page("b", [{"id": 2, "x": 1}]), page("c", [{"id": 3, "x": 1}]), drift=Drift.QUARANTINE)
    assert column(lake, "id", drifted_key(KEY)) == [2, 3]
    landing(lake, page("b", [{"id": 2}]), drift=Drift.QUARANTINE)
    assert column(lake, "id", drifted_key(KEY)) == [3]
    assert column(lake, "id") == [1, 2]


def test_appended_rows_that_do_not_fit_stay_set_aside(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE, how=Landing.APPEND)
    for n in (2, 3):
        landing(lake, page("log", [{"id": n, "x": 1}], n), drift=Drift.QUARANTINE, how=Landing.APPEND)
    assert column(lake, "id", drifted_key(KEY)) == [2, 3]


def test_parquet_files_are_judged_too(lake: Lake, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [2, 3], "x": [None, "new"]}), tmp_path / "b.parquet")
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE)
    landing(lake, Page("b", parquet=tmp_path / "b.parquet", cursor={"read": 2}), drift=Drift.QUARANTINE)
    assert column(lake, "id") == [1, 2]
    assert column(lake, "x", drifted_key(KEY)) == ["new"]
    assert landed_cursor(lake, KEY) == {"read": 2}


ASIDE = drifted_key(KEY)


@pytest.mark.parametrize("how", Landing)
def test_rows_set_aside_come_back_when_columns_may_evolve(lake: Lake, how: Landing) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE, how=how)
    landing(
        lake, page("b", [{"id": 2, "vip": None}, {"id": 3, "vip": True}], 2), page("c", [{"id": 4, "vip": False}], 3), drift=Drift.QUARANTINE, how=how
    )
    assert (column(lake, "id"), column(lake, "id", ASIDE)) == ([1, 2], [3, 4])
    done = landing(lake, drift=Drift.EVOLVE, how=how)
    assert (column(lake, "id"), column(lake, "id", ASIDE)) == ([1, 2, 3, 4], [])
    assert column(lake, "vip") == [False, None, None, True]
    assert (done.rows, landed_cursor(lake, KEY)) == (2, {"read": 3})
    assert lake.read(rejects_key(KEY)).count().to_pyarrow().as_py() == 0
    landing(lake, drift=Drift.EVOLVE, how=how)
    assert column(lake, "id") == [1, 2, 3, 4]


def test_rows_set_aside_come_back_once_the_table_has_their_column(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE)
    landing(lake, page("b", [{"id": 2, "x": 1}]), page("c", [{"id": 3, "y": 1}]), drift=Drift.QUARANTINE)
    landing(lake, declared=pa.schema([("id", pa.int64()), ("x", pa.int64())]), drift=Drift.QUARANTINE)
    assert column(lake, "id", ASIDE) == [2, 3], "what the table has counts, not what is declared"
    Lake(lake.root).delta(KEY).alter.add_columns([Field("x", PrimitiveType("long"))])
    landing(lake, drift=Drift.QUARANTINE)
    assert (column(lake, "id"), column(lake, "id", ASIDE)) == ([1, 2], [3])
    assert [reject["reason"] for reject in lake.read(rejects_key(KEY)).to_pyarrow().to_pylist()] == ["the column y is new"]


def test_values_of_another_type_come_back_when_the_column_may_become_text(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1, "age": 30}]), drift=Drift.QUARANTINE)
    landing(lake, page("b", [{"id": 2, "age": "old"}]), drift=Drift.QUARANTINE)
    landing(lake, drift=Drift.EVOLVE)
    assert (column(lake, "age"), column(lake, "id", ASIDE)) == (["30", "old"], [])


def test_a_crash_while_rows_come_back_neither_loses_nor_doubles_them(lake: Lake, tmp_path: Path) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE)
    landing(lake, page("b", [{"id": 2, "x": 1}]), drift=Drift.QUARANTINE)
    aside = Path(lake.uri(ASIDE))
    shutil.copytree(aside, tmp_path / "before")
    landing(lake, drift=Drift.EVOLVE)
    shutil.rmtree(aside)
    shutil.copytree(tmp_path / "before", aside)  # the rows are back, and nothing yet says that they are set aside no more
    landing(lake, drift=Drift.QUARANTINE)
    assert (column(lake, "id"), column(lake, "id", ASIDE)) == ([1, 2], [])


def test_a_slice_that_is_read_again_replaces_what_came_back(lake: Lake) -> None:
    landing(lake, page("a", [{"id": 1}]), drift=Drift.QUARANTINE)
    landing(lake, page("b", [{"id": 2, "x": 1}]), drift=Drift.QUARANTINE)
    landing(lake, page("b", [{"id": 2, "x": 2}]), drift=Drift.EVOLVE)
    assert (column(lake, "id"), column(lake, "x"), column(lake, "id", ASIDE)) == ([1, 2], [2, None], [])
