"""Rows of text gathered into Arrow tables of bounded size. Every column is a string; empty and configured null texts become null."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import pyarrow as pa
from pyarrow import compute as pc

from connectors.types import Reject

PAGE_ROWS = 100_000
PAGE_CHARACTERS = 64 << 20
_PACK_ROWS = 2_000


@dataclass(frozen=True)
class Batch:
    """Rows of one file and the input that could not become rows. `rows` is None where the file has no columns."""

    rows: pa.Table | None = None
    rejects: Sequence[Reject] = ()


class Gatherer:
    """Collects records of one file until a page is full.

    Args:
        slice: named in rejects.
        nulls: texts that mean "no value"; the empty text always does.
    """

    def __init__(self, slice: str, nulls: Sequence[str] = ()) -> None:
        self._slice = slice
        self._nulls = pa.array(sorted({"", *nulls}), pa.string())
        self._loose: list[Sequence[str | None]] = []
        self._packed: list[pa.Table] = []
        self._rejects: list[Reject] = []
        self._size = self._characters = 0

    def add(self, rows: Sequence[Sequence[str | None]], characters: int) -> None:
        """Takes rows; one may be longer than those before it (new columns), missing ends are null."""
        self._loose.extend(rows)
        self._size += len(rows)
        self._characters += characters
        if len(self._loose) >= _PACK_ROWS:
            self._pack()

    def reject(self, first: int, last: int, reason: str) -> None:
        """Notes that lines `first`..`last` (from 1) could not become a row."""
        self._rejects.append(Reject(self._slice, f"line {first}" if first == last else f"lines {first}-{last}", reason))
        self._size += 1

    def reject_rest(self, line: int) -> None:
        """Notes that the file ends too early, in or after line `line`."""
        self._rejects.append(Reject(self._slice, f"line {line}", "the gzip stream ends too early; this line and all after it are missing"))

    @property
    def full(self) -> bool:
        return self._size >= PAGE_ROWS or self._characters >= PAGE_CHARACTERS

    def take(self, names: Sequence[str]) -> Batch:
        """What was gathered since the last call, as a table with these columns."""
        self._pack()
        whole = [pa.table([pa.array([], pa.string())] * len(names), names=[str(i) for i in range(len(names))])]
        rows = pa.concat_tables([*whole, *self._packed], promote_options="default").rename_columns(list(names)) if names else None
        batch = Batch(rows, self._rejects)
        self._packed, self._rejects, self._size, self._characters = [], [], 0, 0
        return batch

    def _pack(self) -> None:
        """Turns loose rows into columns while they are still in the processor's cache."""
        columns = [self._column(values) for values in zip_longest(*self._loose)]
        if columns:
            self._packed.append(pa.table(columns, names=[str(i) for i in range(len(columns))]))
        self._loose = []

    def _column(self, values: Sequence[str | None]) -> pa.Array:
        column = pa.array(values, pa.string())
        return pc.if_else(pc.is_in(column, self._nulls), pa.scalar(None, pa.string()), column)  # type: ignore[attr-defined]


def unique_names(names: Iterable[str]) -> list[str]:
    """Column names that differ even when case is ignored: a blank one becomes column_<n>, a repeated one gets _2, _3, ..."""
    taken: set[str] = set()
    unique = []
    for position, name in enumerate(names, 1):
        base = name if name.strip() else f"column_{position}"
        candidate, count = base, 1
        while candidate.casefold() in taken:
            count += 1
            candidate = f"{base}_{count}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique
