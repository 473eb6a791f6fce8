"""One canonical table from all streams mapped to it, and the quarantine of what did not become part of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.lake.raw_table import ROW, SLICE
from seg_assets.schema.tables import QUARANTINE
from seg_assets.schema.taxonomy import Taxonomy
from seg_assets.schema.types import Table
from seg_assets.unify.mapping import StreamMapping, mapped
from seg_assets.unify.typing import LOST, PROBLEMS, Conventions, Problem, typed

NEWEST_FIRST = "updated_at"
"""Where a table has this column the newest version of a record wins; elsewhere the first delivery of a row."""
PLACE = ("source", SLICE, ROW)
"""Where a row was delivered: unique over all streams."""


Streams = Sequence[tuple[ir.Table, StreamMapping]]
"""Raw tables with their mappings, all to one canonical table."""


class Unified(NamedTuple):
    """A canonical table, and one row of `QUARANTINE` per problem of what was delivered for it."""

    rows: ir.Table
    problems: ir.Table


def unify(streams: Streams, table: Table, taxonomy: Taxonomy, conventions: Conventions) -> Unified:
    """Maps, types and unites streams: the canonical table, its primary key unique, and what did not become part of it.

    Args:
        streams: raw tables with their mappings, all to `table`.
        table: the canonical table.
        taxonomy: events, enums and custom properties of the project.
        conventions: currency, exchange rates and phone region.

    Raises:
        MappingError: a mapping does not fit what was delivered.
    """
    if not streams:
        return Unified(*(ibis.memtable(t.schema.to_pyarrow().empty_table()) for t in (table, QUARANTINE)))
    parts: list[ir.Table] = []
    meanings: list[Problem] = []
    for raw, mapping in streams:
        rows, problems = typed(mapped(raw, mapping, table), mapping, table, taxonomy, conventions, first=len(meanings))
        parts.append(rows.select(*table.schema.names, SLICE, ROW, PROBLEMS, LOST))
        meanings += problems
    rows = reduce(ibis.union, parts).cache()
    usable = rows.filter(~rows[LOST])
    return Unified(_without_losers(usable, table).select(*table.schema.names), _problem_rows(rows, meanings))


def _problem_rows(rows: ir.Table, meanings: Sequence[Problem]) -> ir.Table:
    """One quarantine row per problem."""
    flagged = rows.filter(rows[PROBLEMS].notnull())
    each = flagged.select("source", slice=flagged[SLICE], row=flagged[ROW], number=flagged[PROBLEMS].unnest())
    named = pa.table(
        {
            "number": list(range(len(meanings))),
            "lost": ["row" if p.costs_row else "value" for p in meanings],
            "field": pa.array([p.column for p in meanings], pa.string()),
            "reason": [p.reason for p in meanings],
        }
    )
    found = each.join(ibis.memtable(named), "number")
    position = ibis.literal("row ") + (found.row + 1).cast("string")
    return found.mutate(position=position, stage=ibis.literal("validate")).select(*QUARANTINE.schema.names)


def _without_losers(rows: ir.Table, table: Table) -> ir.Table:
    """Of the rows that share a primary key the newest version, or the first delivery."""
    text = reduce(lambda a, b: a + ibis.literal("\x1f") + b, (rows[k] for k in table.primary_key))
    keyed = rows.select(*PLACE, key=text.hash())  # to count hashes is cheap; only rows that may have a rival are ranked
    repeated = keyed.group_by("key").aggregate(n=ibis._.count()).filter(ibis._.n > 1)
    suspects = keyed.semi_join(repeated, "key").drop("key").cache()
    if not suspects.count().to_pyarrow().as_py():
        return rows
    losers = _losers(rows.semi_join(suspects, PLACE), table).cache()
    return rows.anti_join(losers, PLACE)


def _losers(rows: ir.Table, table: Table) -> ir.Table:
    """Places of the rows whose primary key another row has too: the newest version stays, or the first delivery."""
    if NEWEST_FIRST in table.schema:
        first = [rows[NEWEST_FIRST].desc(nulls_first=False), rows[SLICE].desc(), rows[ROW].desc()]
    else:
        arrival = [rows.received_at.asc()] if "received_at" in table.schema else []
        first = [*arrival, rows[SLICE].asc(), rows[ROW].asc()]
    rank = ibis.row_number().over(group_by=[rows[k] for k in table.primary_key], order_by=[*first, rows.source])
    return rows.mutate(rank=rank).filter(ibis._.rank > 0).select(*PLACE)
