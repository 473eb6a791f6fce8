"""When landing makes rows visible, and what a killed process leaves: rows and the cursor that covers them, never one without the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.types import Landing, Page
from seg_assets.lake import Lake, land
from seg_assets.lake.raw_table import landed_cursor

KEY = ("raw", "crm", "contacts")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
PAGES = 6


def pages(start: int = 0, *, end: int = PAGES) -> Iterator[Page]:
    """Two rows a page, and a cursor that says how many pages were read."""
    for number in range(start, end):
        yield Page(f"page {number}", pa.table({"id": [2 * number, 2 * number + 1]}), cursor={"read": number + 1})


def ids(lake: Lake) -> list[int]:
    return sorted(lake.read(KEY).to_pyarrow()["id"].to_pylist())


def files(lake: Lake) -> int:
    return len(lake.delta(KEY).file_uris())


def test_pages_that_are_only_added_share_a_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    land(lake, KEY, pages(), landing=Landing.APPEND, loaded_at=NOON, facts={})
    assert (ids(lake), files(lake), landed_cursor(lake, KEY)) == (list(range(12)), 1, {"read": PAGES})


def test_a_slow_source_is_made_visible_now_and_then(tmp_path: Path) -> None:
    lake, ticks, seen = Lake(tmp_path), count(step=20), []
    clock = lambda: float(next(ticks))  # noqa: E731
    land(
        lake,
        KEY,
        pages(),
        landing=Landing.APPEND,
        loaded_at=NOON,
        facts={},
        clock=clock,
        on_commit=lambda done: seen.append((done.rows, done.cursor)),
    )
    assert [rows for rows, _ in seen] == sorted({rows for rows, _ in seen})
    assert len(seen) > 1
    assert all(cursor == {"read": rows // 2} for rows, cursor in seen)
    assert ids(lake) == list(range(12))


@pytest.mark.parametrize("how", list(Landing))
def test_a_source_that_fails_loses_nothing_that_was_read_whole(tmp_path: Path, how: Landing) -> None:
    def failing() -> Iterator[Page]:
        yield from pages(end=3)
        raise RuntimeError("connection lost")

    lake = Lake(tmp_path)
    with pytest.raises(RuntimeError, match="connection lost"):
        land(lake, KEY, failing(), landing=how, loaded_at=NOON, facts={})
    cursor = landed_cursor(lake, KEY)
    assert cursor
    assert ids(lake) == list(range(2 * cursor["read"]))
    land(lake, KEY, pages(cursor["read"]), landing=how, loaded_at=NOON, facts={})
    assert ids(lake) == list(range(12))


def test_a_page_without_a_cursor_is_not_kept_when_what_follows_fails(tmp_path: Path) -> None:
    def failing() -> Iterator[Page]:
        yield Page("a", pa.table({"id": [1]}))
        raise RuntimeError("connection lost")

    lake = Lake(tmp_path)
    with pytest.raises(RuntimeError):
        land(lake, KEY, failing(), landing=Landing.APPEND, loaded_at=NOON, facts={})
    assert not lake.exists(KEY)


KILLED = """
import os, sys
from pathlib import Path
from connectors.types import Landing
from deltalake import DeltaTable
from seg_assets.lake import Lake, land
from seg_assets.lake.raw_table import landed_cursor
from tests.lake.test_commits import KEY, NOON, pages

root, how, die = Path(sys.argv[1]), Landing(sys.argv[2]), sys.argv[3]
commits = []

def dying(method):
    def commit(*given, **named):
        commits.append(1)
        if die == f"before commit {len(commits)}":
            os._exit(9)
        result = method(*given, **named)
        if die == f"after commit {len(commits)}":
            os._exit(9)
        return result
    return commit

def source(start):
    for page in pages(start):
        if die == f"at {page.slice}":
            os._exit(9)
        yield page

DeltaTable.create_write_transaction = dying(DeltaTable.create_write_transaction)
lake = Lake(root)
start = (landed_cursor(lake, KEY) or {"read": 0})["read"]
land(lake, KEY, source(start), landing=how, loaded_at=NOON, facts={}, commit_bytes=1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "deaths"),
    [
        (Landing.APPEND, ("at page 1", "before commit 1", "after commit 1", "at page 4")),
        (Landing.REPLACE_SLICE, ("before commit 1", "after commit 1")),
    ],
)
def test_whenever_the_process_is_killed_the_next_one_goes_on_without_loss_or_repetition(
    tmp_path: Path, how: Landing, deaths: tuple[str, ...]
) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    root = Path(__file__).parents[2]
    for die in (*deaths, "never"):
        command = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path / "lake"), how.value, die]
        done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True, check=False)
        assert done.returncode == (0 if die == "never" else 9), done.stderr
        lake = Lake(tmp_path / "lake")
        if lake.exists(KEY):
            assert ids(lake) == list(range(2 * landed_cursor(lake, KEY)["read"])), die
    assert ids(Lake(tmp_path / "lake")) == list(range(12))
