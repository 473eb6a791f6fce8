"""Tables at rest: atomic versions, schemas, partitions, crash safety."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from seg_assets.errors import LakeError
from seg_assets.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_table_reads_back_as_written(lake: Lake) -> None:
    commit = lake.write(("a", "b"), pa.table({"x": [3, 1, 2], "s": ["c", None, "b"]}), order_by=["x"])
    assert (commit.version, commit.rows) == (0, 3)
    assert lake.read(("a", "b")).to_pyarrow().to_pydict() == {"x": [1, 2, 3], "s": [None, "b", "c"]}


def test_an_overwrite_keeps_the_old_version_for_audits(lake: Lake) -> None:
    lake.write(("t",), pa.table({"x": [1]}), facts={"as_of": "one"})
    lake.write(("t",), pa.table({"x": ["two"], "y": [2.0]}), facts={"as_of": "two"})
    assert lake.read(("t",)).to_pyarrow().to_pydict() == {"x": ["two"], "y": [2.0]}
    assert lake.read(("t",), version=0).to_pyarrow().to_pydict() == {"x": [1]}
    assert (lake.facts(("t",))["as_of"], lake.facts(("t",), 0)["as_of"]) == ("two", "one")


def test_the_same_facts_and_the_same_rows_are_no_new_version(lake: Lake) -> None:
    days = pa.array([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 1)])
    rows, other = pa.table({"x": [1, 2, 3], "day": days}), pa.table({"x": [1, 3, 2], "day": days})

    def write(table: pa.Table, **facts: str) -> int:
        return lake.write(("t",), table, partition_by="day", order_by=["day", "x"], facts={"as_of": "one", "run_id": "first"} | facts).version

    assert [write(rows), write(rows, run_id="second"), write(rows, as_of="two"), write(other, as_of="two"), write(rows, as_of="two")] == [
        0,
        0,
        1,
        2,
        3,
    ]
    assert len(list(Path(lake.uri(("t",))).rglob("*.parquet"))) == 8
    assert lake.facts(("t",), 0)["run_id"] == "first"


def test_partitions_are_columns_again_when_read(lake: Lake) -> None:
    days = pa.array([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 1)])
    lake.write(("events",), pa.table({"x": [1, 2, 3], "day": days}), partition_by="day")
    table = lake.read(("events",))
    assert table.filter(table.day == date(2026, 1, 1)).x.sum().to_pyarrow().as_py() == 4
    assert sorted(p.name for p in Path(lake.uri(("events",))).glob("day=*")) == ["day=2026-01-01", "day=2026-01-02"]


def test_an_empty_table_keeps_its_schema(lake: Lake) -> None:
    lake.write(("t",), pa.table({"x": pa.array([], pa.int64()), "at": pa.array([], pa.timestamp("us", tz="UTC"))}))
    table = lake.read(("t",)).to_pyarrow()
    assert table.num_rows == 0
    assert table.schema.names == ["x", "at"]
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"


def test_a_missing_table_is_named_in_the_error(lake: Lake) -> None:
    with pytest.raises(LakeError, match="no table profiles/features"):
        lake.read(("profiles", "features"))


def test_equal_tables_are_equal_files_whatever_the_row_order(lake: Lake) -> None:
    rows = pa.table({"id": list(range(50_000)), "v": [i % 7 for i in range(50_000)]})
    shuffled = rows.take(pa.array([(i * 7919) % 50_000 for i in range(50_000)]))
    for key, data in (("one",), rows), (("two",), shuffled):
        lake.write(key, data, order_by=["id"])
    files = [next(Path(lake.uri(key)).glob("*.parquet")).read_bytes() for key in (("one",), ("two",))]
    assert files[0] == files[1]


def test_tables_lists_every_table(lake: Lake) -> None:
    lake.write(("b", "two"), pa.table({"x": [1]}))
    lake.write(("a",), pa.table({"x": [1]}))
    assert lake.tables() == [("a",), ("b", "two")]


WRITER = """
import sys, pyarrow as pa
from seg_assets.lake import Lake
lake = Lake(sys.argv[1])
huge = lake.engine.connection.sql("SELECT range AS x, day FROM range(200000000), (SELECT DATE '2026-01-01' + d::int AS day FROM range(4) t(d))")
print("writing", flush=True)
lake.write(("t",), huge, partition_by="day")
"""


def test_kill_nine_in_the_middle_of_a_write_leaves_the_previous_version(lake: Lake) -> None:
    lake.write(("t",), pa.table({"x": [1, 2], "day": pa.array([date(2026, 1, 1)] * 2)}), partition_by="day")
    before = set(Path(lake.uri(("t",))).rglob("*.parquet"))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, lake.root], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    while not set(Path(lake.uri(("t",))).rglob("*.parquet")) - before:
        assert writer.poll() is None
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert lake.read(("t",)).to_pyarrow().column("x").to_pylist() == [1, 2]
    lake.write(("t",), pa.table({"x": [3], "day": pa.array([date(2026, 1, 1)])}), partition_by="day")
    assert lake.read(("t",)).to_pyarrow().column("x").to_pylist() == [3]
