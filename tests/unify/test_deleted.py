"""Deletions end earlier versions of a record, and nothing that came after them."""

from __future__ import annotations

import ibis
import pyarrow as pa
import pytest

from connectors.types import Landing, StreamDef
from seg_assets.unify.deleted import without_deleted

STREAM = StreamDef("contacts", landing=Landing.APPEND, keys=("id",), cursor="at", deleted="gone")


def alive(rows: list[tuple], stream: StreamDef = STREAM) -> list[tuple]:
    table = ibis.memtable(pa.Table.from_pylist([dict(zip(("id", "at", "gone"), row, strict=True)) for row in rows]))
    return sorted((r["id"], r["at"]) for r in without_deleted(table, stream).to_pyarrow().to_pylist())


def test_a_deletion_ends_what_came_before_it_and_is_no_record_itself() -> None:
    assert alive([("a", "1", "false"), ("a", "2", "true"), ("b", "1", "false")]) == [("b", "1")]


def test_a_record_that_came_back_is_there() -> None:
    assert alive([("a", "1", "false"), ("a", "2", "true"), ("a", "3", "false")]) == [("a", "3")]


def test_of_one_instant_the_deletion_counts() -> None:
    assert alive([("a", "1", "false"), ("a", "1", "true")]) == []


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_spellings_of_true(word: str) -> None:
    assert alive([("a", "1", word), ("b", "1", None)]) == [("b", "1")]


def test_streams_without_deletions_keep_all_rows() -> None:
    assert len(alive([("a", "1", "true")], StreamDef("contacts", landing=Landing.APPEND, keys=("id",), cursor="at"))) == 1
