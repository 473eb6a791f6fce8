"""Temporary tables on the engine's connection: made on purpose and dropped at a known moment, never by the garbage collector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa


def rows_table(rows: Sequence[Mapping[str, Any]], schema: ibis.Schema) -> ir.Table:
    """Python rows as a table; by way of Arrow, which keeps nulls and decimals as they are."""
    return ibis.memtable(pa.Table.from_pylist([*map(dict, rows)], schema=schema.to_pyarrow()), schema=schema)


class Workspace:
    """Keeps results of expressions as temporary tables until `release`."""

    def __init__(self) -> None:
        self._kept: list[tuple[ibis.BaseBackend, str]] = []

    def keep(self, table: ir.Table) -> ir.Table:
        """The rows of `table`, computed now and once."""
        backend = table.get_backend()
        name = ibis.util.gen_name("segments")
        kept = backend.create_table(name, table, temp=True)
        self._kept.append((backend, name))
        return kept

    def release(self) -> None:
        """Drops every kept table. Expressions over them can't be run any more."""
        while self._kept:
            backend, name = self._kept.pop()
            backend.drop_table(name, force=True)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
