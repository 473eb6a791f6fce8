"""Rows of records that were deleted where they came from."""

from __future__ import annotations

import ibis.expr.types as ir

from connectors.types import Landing, StreamDef

TRUE = ("true", "t", "1", "yes")


def without_deleted(rows: ir.Table, stream: StreamDef) -> ir.Table:
    """A raw table as far as its records still exist: versions before a deletion go, and the deletion itself.

    Args:
        rows: every version that was delivered.
        stream: names the columns; where it declares no `deleted`, or replaces its slices, all rows stay.
    """
    if stream.deleted is None or stream.landing is not Landing.APPEND or not stream.keys or stream.cursor is None:
        return rows
    gone = rows[stream.deleted].cast("string").lower().isin(TRUE).fill_null(False)
    ends = rows.filter(gone).group_by(list(stream.keys)).aggregate(_deleted=rows[stream.cursor].max())
    marked = rows.mutate(_gone=gone).left_join(ends, list(stream.keys))
    alive = marked.filter(~marked._gone, marked._deleted.isnull() | (marked[stream.cursor] > marked._deleted))
    return alive.select(*rows.columns)
