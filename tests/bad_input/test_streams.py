"""Whole streams that can't be used: the run fails with one clear line, everything else is kept, and nothing has to be delivered again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.tiny import EVENT_COLUMNS, Account, Tiny, csv

pytestmark = pytest.mark.slow

LOOKS = csv("id,kind,time,user", "a1,page_viewed,2026-06-01T10:00:00Z,u", "a2,page_viewed,2026-06-02T10:00:00Z,v")
SALES = csv("id,type,time,user", "b1,order_completed,2026-06-01T10:00:00Z,u")


def complaints(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("seg: ")]


def streams(**looks: str) -> dict:
    return {
        "looks": {"files": {"path": "data/looks.csv"}, "to": "events", "columns": EVENT_COLUMNS | looks},
        "sales": {"files": {"path": "data/sales.csv"}, "to": "events", "columns": EVENT_COLUMNS},
    }


def test_a_missing_column_is_named_with_those_there_are_and_the_rows_wait(tmp_path: Path) -> None:
    tiny = Tiny.make(tmp_path, streams())
    tiny.write("looks.csv", LOOKS)
    tiny.write("sales.csv", SALES)
    done = tiny.run()
    assert done.code == 1
    assert complaints(done.err) == ["seg: unified/events: stream src/looks: no column 'type' in what was delivered (it has id, kind, time, user)"]
    assert [row["id"] for row in tiny.rows("raw", "src", "looks")] == ["a1", "a2"]

    Tiny.make(tmp_path, streams(event_type="kind"))
    done = tiny.run()
    assert done.code == 0, done.err
    assert tiny.accounts() == {"looks": Account(read=2, kept=2, quarantined=0), "sales": Account(read=1, kept=1, quarantined=0)}


def test_files_that_are_gone_fail_their_stream_and_take_nothing_away(tmp_path: Path) -> None:
    tiny = Tiny.make(tmp_path, streams(event_type="kind"))
    tiny.write("looks.csv", LOOKS)
    tiny.write("sales.csv", SALES)
    assert tiny.run().code == 0

    (tmp_path / "data" / "looks.csv").unlink()
    tiny.write("sales.csv", SALES + "b2,order_completed,2026-06-02T10:00:00Z,u\n")
    done = tiny.run()
    assert done.code == 1
    assert complaints(done.err) == [
        "seg: raw/src/looks: no file matches data/looks.csv (nothing was read or removed; is the folder mounted, is the path right?)"
    ]
    assert [row["id"] for row in tiny.rows("raw", "src", "sales")] == ["b1", "b2"]
    assert sorted(tiny.events("looks")) == ["a1", "a2"]


def test_a_setting_the_connector_does_not_know_and_a_variable_that_is_not_set_are_named(tmp_path: Path) -> None:
    unknown = Tiny.make(
        tmp_path / "unknown", {"looks": {"files": {"path": "data/looks.csv", "encodng": "utf-8"}, "to": "events", "columns": EVENT_COLUMNS}}
    )
    complaint = complaints(unknown.run().err)[0]
    assert f"{tmp_path / 'unknown' / 'project.yaml'}:" in complaint
    assert "connection src can't be used: config.streams.looks.encodng: unknown key; did you mean 'encoding'?" in complaint

    unset = Tiny.make(tmp_path / "unset", {"looks": {"files": {"path": "${NO_SUCH_FOLDER}/looks.csv"}, "to": "events", "columns": EVENT_COLUMNS}})
    assert "environment variable not set: NO_SUCH_FOLDER (export it, or put it into .env)" in complaints(unset.run().err)[0]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "looks.csv").write_text(LOOKS, encoding="utf-8")
    assert unset.run('key:"raw/src/looks"', NO_SUCH_FOLDER=str(tmp_path / "elsewhere")).code == 0
    assert [row["id"] for row in unset.rows("raw", "src", "looks")] == ["a1", "a2"]
