"""JSON Lines as tables of strings: scalars as they are written, nested values as JSON text. A line that is not one JSON object is rejected.

Columns are the keys in order of appearance. A key first seen on a later page is a column from that page on; pages never lose columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from connectors.files.config import FileOptions
from connectors.files.lines import MAX_RECORD, Lines, text_fault
from connectors.files.pages import Batch, Gatherer, unique_names

MAX_COLUMNS = 2_000
"""Distinct keys of one file; a line that brings more is rejected (data used as keys would grow the table without bound)."""


class _Number(str):
    """A JSON number, digits as written."""

    __slots__ = ()


class _InvalidError(ValueError):
    """Valid for Python's parser, but not a record for us."""


def read_jsonl(lines: Lines, slice: str, options: FileOptions) -> Iterator[Batch]:
    """The file's objects in pages; at least one batch.

    Args:
        lines: the file.
        slice: named in rejects.
        options: null values.

    Yields:
        String columns. Every line that is not blank is a row or named by a reject.
    """
    gather = Gatherer(slice, options.null_values)
    places: dict[str, int] = {}
    last = 0
    for last, line in enumerate(chain.from_iterable(lines), 1):
        if not line.strip(" \t\r\n"):
            continue
        record = _record(line, lines)
        if isinstance(record, str):
            gather.reject(last, last, record)
        elif len(new := [key for key in record if key not in places]) + len(places) > MAX_COLUMNS:
            gather.reject(last, last, f"brings the file to more than {MAX_COLUMNS:,} distinct keys")
        else:
            places.update(zip(new, range(len(places), MAX_COLUMNS), strict=False))
            gather.add([_row(record, places)], len(line))
        if gather.full:
            yield gather.take(unique_names(places))
    if lines.cut_off:
        gather.reject_rest(last + 1)
    yield gather.take(unique_names(places))


def _record(line: str, lines: Lines) -> dict[str, Any] | str:
    """The object on a line, or why there is none."""
    if (lines.dirty or len(line) > MAX_RECORD) and (fault := text_fault(line)):
        return fault
    try:
        value = _DECODER.decode(line.rstrip("\r\n"))
    except _InvalidError as error:
        return str(error)
    except json.JSONDecodeError as error:
        return f"not valid JSON at column {error.colno}"
    except RecursionError:
        return "nested too deeply"
    if not isinstance(value, dict):
        return "not a JSON object"
    if "\\ud" in line.lower() and text_fault(_json(value)):
        return "holds half of a surrogate pair"
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _InvalidError("a key stands twice in one object")
    return value


def _constant(_: str) -> float:
    raise _InvalidError("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_Number, parse_int=_Number, parse_constant=_constant)


def _row(record: dict[str, Any], places: dict[str, int]) -> list[str | None]:
    row: list[str | None] = [None] * len(places)
    for key, value in record.items():
        row[places[key]] = value if value is None or isinstance(value, str) else _json(value)
    return row


def _json(value: Any) -> str:
    """Compact JSON text with every number as it was written."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{_json(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
