"""A lake in an object store: an S3 server on this machine, reached as every other one is, through the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from connectors.types import Landing, Page
from connectors.webhook.emulation import Receiver, running
from seg_assets.errors import LakeError
from seg_assets.lake import Lake, land
from seg_assets.lake.drift import Drift
from seg_assets.lake.raw_table import drifted_key, landed_cursor
from tests.cli.command import seg
from tests.definitions.conftest import SECRET, write_project

KEY = ("raw", "shop", "orders")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
PASSWORD = "a-secret-access-key"

SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server; the environment names it while this module's tests run."""
    with (
        subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        pytest.MonkeyPatch.context() as environment,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "an-access-key",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_REGION": "us-east-1",
        }.items():
            environment.setenv(name, value)
        yield url
        process.stdin.close()


class Bucket:
    """A bucket, looked at by a client that has nothing to do with ours."""

    numbers = count()

    def __init__(self) -> None:
        self.name, self._client = f"lake-{next(self.numbers)}", boto3.client("s3")
        self._client.create_bucket(Bucket=self.name)

    @property
    def url(self) -> str:
        return f"s3://{self.name}/some/prefix"

    def objects(self, kind: str = "") -> set[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {one["Key"].removeprefix("some/prefix/") for page in pages for one in page.get("Contents", []) if one["Key"].endswith(kind)}

    def content(self, key: str) -> bytes:
        return self._client.get_object(Bucket=self.name, Key=f"some/prefix/{key}")["Body"].read()


@pytest.fixture
def bucket(server: str) -> Bucket:
    return Bucket()


@pytest.fixture
def lake(bucket: Bucket) -> Lake:
    return Lake(bucket.url)


def landing(lake: Lake, *pages: Page, how: Landing = Landing.REPLACE_SLICE, drift: Drift = Drift.EVOLVE) -> None:
    land(lake, KEY, pages, landing=how, loaded_at=NOON, facts={}, drift=drift)


def rows(lake: Lake, *columns: str) -> list[tuple]:
    found = lake.read(KEY, row_number="_row").to_pyarrow().to_pylist()
    return sorted(tuple(row[c] for c in columns) for row in found)


def test_a_table_reads_back_as_written_in_every_version(lake: Lake) -> None:
    days = pa.array([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 1)])
    lake.write(("events",), pa.table({"x": [3, 1, 2], "day": days}), partition_by="day", facts={"as_of": "one"})
    commit = lake.write(("events",), pa.table({"x": ["four"], "s": [None]}), facts={"as_of": "two"})
    assert (commit.version, commit.rows, lake.commit(("events",))) == (1, 1, commit)
    before, now = lake.read(("events",), version=0), lake.read(("events",))
    assert before.filter(before.day == date(2026, 1, 1)).x.sum().to_pyarrow().as_py() == 5
    assert now.to_pyarrow().to_pydict() == {"x": ["four"], "s": [None]}
    assert (lake.facts(("events",), 0)["as_of"], lake.facts(("events",))["as_of"]) == ("one", "two")


def test_two_tables_of_two_lakes_are_joined(lake: Lake, server: str) -> None:
    other = Lake(Bucket().url)
    lake.write(("one",), pa.table({"x": [1, 2]}))
    other.write(("one",), pa.table({"x": [2, 3]}))
    assert lake.read(("one",)).inner_join(other.read(("one",)), "x").to_pyarrow().to_pydict() == {"x": [2]}


def test_tables_lists_every_table(lake: Lake) -> None:
    assert lake.tables() == []
    lake.write(("b", "two"), pa.table({"x": [1]}))
    lake.write(("a",), pa.table({"x": [1]}))
    assert lake.tables() == [("a",), ("b", "two")]


def test_the_same_facts_and_the_same_rows_leave_no_object_behind(lake: Lake, bucket: Bucket) -> None:
    table = pa.table({"x": [1, 2], "day": pa.array([date(2026, 1, 1), date(2026, 1, 2)])})

    def write(table: pa.Table) -> int:
        return lake.write(("t",), table, partition_by="day", order_by=["day", "x"], facts={"as_of": "one"}).version

    assert write(table) == 0
    before = bucket.objects()
    assert write(table.take([1, 0])) == 0
    assert bucket.objects() == before
    assert write(table.set_column(0, "x", [[2, 2]])) == 1


def test_nothing_of_a_write_stays_on_this_machine(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lake = Lake(bucket.url)
    lake.write(("t",), pa.table({"x": [1]}))
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={}))
    landing(lake, Page("feb", pa.table({"x": ["two"]}), cursor={}))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_slices_land_with_their_cursor_and_row_numbers(lake: Lake) -> None:
    landing(lake, Page("a/b c%é.csv", pa.table({"x": [1, 2]}), cursor={"at": 1}))
    landing(lake, Page("feb", pa.table({"x": [3], "y": ["new"]}), cursor={"at": 2}))
    assert rows(lake, "_slice", "_row", "x", "y") == [("a/b c%é.csv", 0, 1, None), ("a/b c%é.csv", 1, 2, None), ("feb", 0, 3, "new")]
    landing(lake, Page("a/b c%é.csv", pa.table({"x": [9]}), cursor={"at": 3}))
    assert rows(lake, "_slice", "x") == [("a/b c%é.csv", 9), ("feb", 3)]
    assert landed_cursor(lake, KEY) == {"at": 3}


def test_other_programs_find_the_files_where_delta_says(lake: Lake, bucket: Bucket) -> None:
    landing(lake, Page("a/b c%é.csv", pa.table({"x": [1]}), cursor={}), Page("feb", pa.table({"x": [2]}), cursor={}))
    landing(lake, Page("a/b c%é.csv", pa.table({"x": [3]}), cursor={}))
    table = DeltaTable(lake.uri(KEY))
    assert sorted(table.to_pyarrow_table()["x"].to_pylist()) == [2, 3]
    removed = table.vacuum(retention_hours=0, enforce_retention_duration=False, full=True, dry_run=False)
    assert len(removed) == 1
    assert len(bucket.objects(".parquet")) == 2
    assert rows(lake, "x") == [(2,), (3,)]


def test_a_parquet_file_lands_byte_for_byte(lake: Lake, bucket: Bucket, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": range(100_000)}), source)
    landing(lake, Page("in.parquet", parquet=source, cursor={}))
    (stored,) = bucket.objects(".parquet")
    assert bucket.content(stored) == source.read_bytes()


def test_a_column_that_changes_its_type_becomes_text_and_loses_nothing(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={"v": 1}))
    landing(lake, Page("feb", pa.table({"x": ["two"]}), cursor={"v": 2}))
    assert rows(lake, "x") == [("1",), ("two",)]


def test_rows_set_aside_come_back(lake: Lake) -> None:
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={"v": 1}))
    landing(lake, Page("feb", pa.table({"x": [2], "y": ["new"]}), cursor={"v": 2}), drift=Drift.QUARANTINE)
    assert (rows(lake, "x"), lake.read(drifted_key(KEY)).count().to_pyarrow().as_py()) == ([(1,)], 1)
    landing(lake)
    assert rows(lake, "x", "y") == [(1, None), (2, "new")]
    assert lake.read(drifted_key(KEY)).count().to_pyarrow().as_py() == 0


def test_writers_at_one_time_lose_nothing_of_each_other(lake: Lake) -> None:
    landing(lake, Page("first", pa.table({"x": [-1]}), cursor={}), how=Landing.APPEND)

    def land_one(number: int) -> None:
        landing(Lake(lake.root), Page(f"{number}", pa.table({"x": [number]}), cursor={}), how=Landing.APPEND)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(land_one, range(8)))
    assert rows(lake, "x") == [(number,) for number in range(-1, 8)]


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
import pyarrow as pa
from connectors.types import Landing, Page
from seg_assets.lake import Lake, land, lake as module
from deltalake import DeltaTable

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

lake, how = Lake(sys.argv[1]), sys.argv[2]
module.create_table_with_add_actions = DeltaTable.create_write_transaction = die
if how == "write":
    lake.write(("t",), pa.table({"x": [3]}))
else:
    page = Page("feb", pa.table({"x": [3]}), cursor={"v": 2})
    land(lake, ("raw", "shop", "orders"), [page], landing=Landing.APPEND, loaded_at=datetime(2026, 7, 1, tzinfo=UTC), facts={})
"""


@pytest.mark.parametrize("how", ["write", "land"])
def test_kill_nine_before_the_commit_leaves_the_previous_version(lake: Lake, bucket: Bucket, how: str, tmp_path: Path) -> None:
    lake.write(("t",), pa.table({"x": [1, 2]}))
    landing(lake, Page("jan", pa.table({"x": [1]}), cursor={"v": 1}), how=Landing.APPEND)
    before = bucket.objects(".parquet")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    died = subprocess.run([sys.executable, "-c", KILLED, lake.root, how], env=environment, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(bucket.objects(".parquet") - before) == 1
    assert lake.read(("t",)).to_pyarrow()["x"].to_pylist() == [1, 2]
    assert (rows(lake, "x"), landed_cursor(lake, KEY)) == ([(1,)], {"v": 1})
    lake.write(("t",), pa.table({"x": [3]}))
    landing(lake, Page("feb", pa.table({"x": [3]}), cursor={"v": 2}), how=Landing.APPEND)
    assert lake.read(("t",)).to_pyarrow()["x"].to_pylist() == [3]
    assert rows(lake, "x") == [(1,), (3,)]


def no_bucket(lake: Lake) -> Any:
    return lake.tables()


def no_table(lake: Lake) -> Any:
    return lake.read(("t",))


def not_written(lake: Lake) -> Any:
    return lake.write(("t",), pa.table({"x": [1]}))


@pytest.mark.parametrize("use", [no_bucket, no_table, not_written])
def test_a_bucket_that_is_not_there_is_one_line_and_no_secret(server: str, use: Callable[[Lake], Any]) -> None:
    with pytest.raises(LakeError, match=r"the lake s3://elsewhere/seg can't be reached: NoSuchBucket") as error:
        use(Lake("s3://elsewhere/seg"))
    assert PASSWORD not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("command", ["status", pytest.param("run", marks=pytest.mark.release)])
def test_a_command_on_a_bucket_that_is_not_there_ends_with_one_line(server: str, tmp_path: Path, command: str) -> None:
    root = write_project(tmp_path / "shop", lake="s3://elsewhere/seg", state="sqlite:///ops.sqlite")
    assert "the lake s3://elsewhere/seg can't be reached: NoSuchBucket" in seg(command, "--project", root).mistake


@pytest.mark.release
def test_a_project_runs_from_landing_to_delivery_and_a_second_run_writes_nothing(bucket: Bucket, tmp_path: Path) -> None:
    with running(Receiver(tmp_path / "receiver.db", SECRET)) as served:
        root = write_project(tmp_path / "shop", served.url, lake=bucket.url, state="sqlite:///ops.sqlite")
        first = seg("run", "--project", root, "--json")
        assert first.code == 0, first.err
        told = first.json
        assert (told["people"], told["lake"]) == (30, bucket.url)
        sizes = {segment["id"]: segment["size"] for segment in told["segments"]}
        assert sizes["lookers"] == 30
        assert {row["audience"]: row["members"] for row in told["destinations"]} == {name: size for name, size in sizes.items() if size}
        assert told["deliveries"]["acked"] == sum(sizes.values()) == served.receiver.store.count_effects()
        before = bucket.objects()
        second = seg("run", "--project", root, "--json")
        assert second.code == 0, second.err
        assert {name.partition("/")[0] for name in bucket.objects() - before} == {"activation", "ops"}  # the plan knows now what was delivered
        assert second.json | {"seconds": 0} == told | {"seconds": 0}
        assert served.receiver.store.count_effects() == told["deliveries"]["acked"]
    tables = {row["table"]: row["rows"] for row in seg("status", "--project", root, "--json").json}
    assert tables["identity/persons"] == 30
    listed = seg("table", "unified/contacts", "--project", root, "--limit", "0", "--json").json
    assert len(listed) == 30
    assert {path.name for path in root.iterdir() if not path.name.startswith("ops.sqlite")} == {".dagster", "data", "project.yaml", "segments"}
    assert PASSWORD not in "".join(path.read_text(errors="ignore") for path in (root / ".dagster").rglob("*") if path.is_file())
