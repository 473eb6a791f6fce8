"""What is wrong with rows, on purpose: which row gets which defect, what it then looks like, and the record of it for the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.shop import text

DEFECTS: dict[str, str] = {
    "bad_time": "row",
    "future_time": "row",
    "unknown_event": "row",
    "no_identifier": "row",
    "unknown_purpose": "row",
    "unknown_state": "row",
    "unknown_attribute": "row",
    "no_key": "row",
    "garbage_amount": "field",
    "negative_amount": "field",
    "bad_sentiment": "field",
    "bad_confidence": "field",
    "bad_value": "row",
    "bad_email": "field",
    "bad_phone": "field",
    "bad_birth_date": "field",
    "null_text": "field",
    "duplicate": "copy",
    "clock_skew": "none",
    "ambiguous_time": "none",
}
"""Every defect and what it spoils: the whole row, one field, nothing (the time is off or says two things), or it is one row too many (copy)."""

DEFECT_SCHEMA = pa.schema(
    [("stream", pa.string()), ("slice", pa.string()), ("position", pa.int64()), ("key", pa.string()), ("code", pa.string()), ("spoils", pa.string())]
)

BAD_TIMES = ("31/02/2026 25:61", "yesterday", "0000-00-00T00:00:00Z", "n/a", "Invalid Date", "2026-13-45T99:00:00Z")
UNKNOWN_EVENTS = ("undefined", "pageview_v2", "Test Event", "$autocapture", "gtm.dom")
BAD_AMOUNTS = ("abc", "N/A", "12,34,56", "EUR")
NULL_TEXTS = ("null", "NULL", "N/A", "None", "-")
FUTURE = 2_000 * 86_400_000_000
"""How far in the future (microseconds) a time stands that can't be true."""
DUPLICATES = 0.010
"""Share of rows delivered twice (UCI Online Retail: 1.0%)."""


@dataclass(frozen=True)
class Plan:
    """The defect of each row: an index into `codes`, -1 for none."""

    codes: tuple[str, ...]
    of: np.ndarray

    def rows(self, code: str) -> np.ndarray:
        """Whether each row has the defect `code`."""
        return self.of == self.codes.index(code) if code in self.codes else np.zeros(len(self.of), dtype=bool)

    def where(self, keep: np.ndarray | slice) -> Plan:
        return Plan(self.codes, self.of[keep])


def plan(rng: np.random.Generator, rows: int, rates: dict[str, float], dirt: float, only: dict[str, np.ndarray] | None = None) -> Plan:
    """Draws at most one defect per row.

    Args:
        rng: generator of the stream, block and month.
        rows: how many rows.
        rates: share of rows by defect, before `dirt`; with `only`, the share of the rows it is possible for.
        dirt: multiplies every rate.
        only: rows a defect is possible for, where not for all.
    """
    draw = rng.random(rows, dtype=np.float32)
    of = np.full(rows, -1, dtype=np.int8)
    low = 0.0
    for number, (code, rate) in enumerate(rates.items()):
        high = low + rate * dirt
        hit = (draw >= low) & (draw < high)
        of[hit if not only or code not in only else hit & only[code]] = number
        low = high
    return Plan(tuple(rates), of)


def garbage(choices: tuple[str, ...], numbers: np.ndarray) -> pa.StringArray:
    """A word of `choices` for each row number."""
    return text.words(choices, numbers % len(choices))


def words(choices: tuple[str, ...], codes: np.ndarray, bad: np.ndarray, rubbish: tuple[str, ...], numbers: np.ndarray) -> pa.StringArray:
    """The word of each code, and one of `rubbish` (by row number) for rows that are `bad`."""
    return text.words(choices + rubbish, np.where(bad, len(choices) + numbers % len(rubbish), codes))


@dataclass(frozen=True)
class Place:
    """Where rows are delivered."""

    stream: str
    slice: str


def finish(table: pa.Table, key: str, defects: Plan, place: Place, extra: Mapping[str, np.ndarray] | None = None) -> tuple[pa.Table, pa.Table]:
    """Adds the second copies and writes down what is wrong.

    Args:
        table: rows, defects built in.
        key: column that names a row.
        defects: the rows' defects; those planned as "duplicate" get a copy behind the last row.
        place: where the rows are delivered.
        extra: further codes and their rows (they may coincide with planned defects).

    Returns:
        The rows to deliver, and one row per defect in `DEFECT_SCHEMA`; a copy's position is that of the second copy.
        Positions count from the first row of `table`.
    """
    found = [_record(table, key, code, np.flatnonzero(rows), place) for code, rows in (extra or {}).items()]
    for code in defects.codes:
        rows = np.flatnonzero(defects.rows(code))
        if code == "duplicate" and len(rows):
            copies = table.take(pa.array(rows))
            found.append(_record(copies, key, code, np.arange(len(rows)), place, table.num_rows))
            table = pa.concat_tables([table, copies])
        else:
            found.append(_record(table, key, code, rows, place))
    return table, pa.concat_tables([DEFECT_SCHEMA.empty_table(), *found])


def _record(table: pa.Table, key: str, code: str, rows: np.ndarray, place: Place, /, before: int = 0) -> pa.Table:
    """The record of one defect of some rows; `before` rows are delivered ahead of `table`."""
    n = len(rows)
    keys = table.column(key).take(pa.array(rows, pa.int64())).combine_chunks()
    stream, slice_, codes, spoils = (pa.repeat(word, n) for word in (place.stream, place.slice, code, DEFECTS[code]))
    return pa.Table.from_arrays([stream, slice_, pa.array(before + rows, pa.int64()), keys, codes, spoils], schema=DEFECT_SCHEMA)
