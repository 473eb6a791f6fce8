"""One canonical table from all streams mapped to it, and the quarantine of what did not become part of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.lake.landing import ROW, SLICE
from seg_assets.schema.tables import QUARANTINE
from seg_assets.schema.taxonomy import Taxonomy
from seg_assets.schema.types import Table
from seg_assets.unify.mapping import StreamMapping, mapped
from seg_assets.unify.typing import Conventions, Problem, typed

NEWEST_FIRST = "updated_at"
"""Where a table has this column the newest version of a record wins; elsewhere the first delivery of a row."""


@dataclass(frozen=True)
class Unified:
    """A canonical table and what was left out of it.

    Args:
        rows: the table's columns; primary key unique.
        quarantine: columns of `QUARANTINE`; one row per problem.
    """

    rows: ir.Table
    quarantine: ir.Table


def unify(streams: Iterable[tuple[ir.Table, StreamMapping]], table: Table, taxonomy: Taxonomy, conventions: Conventions) -> Unified:
    """Maps, types, validates and unites streams.

    Args:
        streams: raw tables with their mappings, all to `table`.
        table: the canonical table.
        taxonomy: events, enums and custom properties of the project.
        conventions: currency, exchange rates and phone region.

    Raises:
        MappingError: a mapping does not fit what was delivered.
    """
    good, bad = [], []
    for raw, mapping in streams:
        rows, problems = typed(mapped(raw, mapping, table), mapping, table, taxonomy, conventions)
        good.append(_without_problems(rows, problems, table))
        bad.append(_problem_rows(rows, problems))
    if not good:
        empty = ibis.memtable(table.schema.to_pyarrow().empty_table())
        return Unified(empty, ibis.memtable(QUARANTINE.schema.to_pyarrow().empty_table()))
    united = ibis.union(*good) if len(good) > 1 else good[0]
    return Unified(_distinct(united, table).select(*table.schema.names), reduce(ibis.union, bad))


def _without_problems(rows: ir.Table, problems: Sequence[Problem], table: Table) -> ir.Table:
    lost = [rows[p.flag] for p in problems if p.costs_row]
    kept = rows.filter(~ibis.or_(*lost)) if lost else rows
    return kept.select(*table.schema.names, SLICE, ROW).cast(dict(table.schema.items()))


def _problem_rows(rows: ir.Table, problems: Sequence[Problem]) -> ir.Table:
    """One quarantine row per problem, from one pass over the rows."""
    flagged = rows.filter(ibis.or_(*(rows[p.flag] for p in problems)))
    numbers = ibis.array([ibis.ifelse(flagged[p.flag], i, ibis.null("int64")) for i, p in enumerate(problems)])
    each = flagged.select("source", slice=flagged[SLICE], row=flagged[ROW], number=numbers.unnest())
    each = each.filter(each.number.notnull())
    meanings = pa.table(
        {
            "number": list(range(len(problems))),
            "lost": ["row" if p.costs_row else "value" for p in problems],
            "field": pa.array([p.column for p in problems], pa.string()),
            "reason": [p.reason for p in problems],
        }
    )
    named = each.join(ibis.memtable(meanings), "number")
    position = ibis.literal("row ") + (named.row + 1).cast("string")
    return named.mutate(position=position, stage=ibis.literal("validate")).select(*QUARANTINE.schema.names)


def _distinct(rows: ir.Table, table: Table) -> ir.Table:
    """Rows without those whose primary key another row has too: the newest version stays, or the first delivery.

    Only hashes of keys are grouped over the whole table, so the pass over wide rows meets a small set of losers.
    """
    key_hash = reduce(lambda a, b: a + ibis.literal("\x1f") + b, (rows[k] for k in table.primary_key)).hash()
    repeated = rows.select(h=key_hash).group_by("h").aggregate(n=ibis._.count())
    repeated = repeated.filter(repeated.n > 1).select("h")
    suspects = rows.mutate(h=key_hash).semi_join(repeated, "h")
    if NEWEST_FIRST in table.schema:
        first = [suspects[NEWEST_FIRST].desc(nulls_first=False), suspects[SLICE].desc(), suspects[ROW].desc()]
    else:
        arrival = [suspects.received_at.asc()] if "received_at" in table.schema else []
        first = [*arrival, suspects[SLICE].asc(), suspects[ROW].asc()]
    rank = ibis.row_number().over(group_by=[suspects[k] for k in table.primary_key], order_by=[*first, suspects.source])
    losers = suspects.mutate(rank=rank).filter(ibis._.rank > 0).select("source", SLICE, ROW)
    return rows.anti_join(losers, ["source", SLICE, ROW])
