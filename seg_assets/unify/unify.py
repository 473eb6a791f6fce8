"""One canonical table from all streams mapped to it, and the quarantine of what did not become part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.lake.landing import ROW, SLICE
from seg_assets.schema.tables import QUARANTINE
from seg_assets.schema.taxonomy import Taxonomy
from seg_assets.schema.types import Table
from seg_assets.unify.mapping import StreamMapping, mapped
from seg_assets.unify.typing import Conventions, Problem, typed, typed_key

NEWEST_FIRST = "updated_at"
"""Where a table has this column the newest version of a record wins; elsewhere the first delivery of a row."""
PLACE = ("source", SLICE, ROW)
"""Where a row was delivered: unique over all streams."""


Streams = Sequence[tuple[ir.Table, StreamMapping]]
"""Raw tables with their mappings, all to one canonical table."""


def unify(streams: Streams, table: Table, taxonomy: Taxonomy, conventions: Conventions) -> ir.Table:
    """Maps, types and unites streams: the canonical table, its primary key unique.

    Args:
        streams: raw tables with their mappings, all to `table`.
        table: the canonical table.
        taxonomy: events, enums and custom properties of the project.
        conventions: currency, exchange rates and phone region.

    Raises:
        MappingError: a mapping does not fit what was delivered.
    """
    if not streams:
        return ibis.memtable(table.schema.to_pyarrow().empty_table())
    candidates = [(mapped(raw, mapping, table), mapping) for raw, mapping in streams]

    def rows_of(candidates: Iterable[tuple[ir.Table, StreamMapping]]) -> ir.Table:
        return _union(_without_problems(*typed(rows, mapping, table, taxonomy, conventions), table) for rows, mapping in candidates)

    keys = _union(_keys(rows, typed_key(rows, mapping, table, taxonomy, conventions), table) for rows, mapping in candidates)
    repeated = keys.group_by("key").aggregate(n=ibis._.count()).filter(ibis._.n > 1).cache()
    suspects = keys.semi_join(repeated, "key").drop("key").cache()
    if not suspects.count().to_pyarrow().as_py():
        return rows_of(candidates).select(*table.schema.names)
    rivals = rows_of((_only(rows, suspects, mapping.source), mapping) for rows, mapping in candidates)
    losers = _losers(rivals, table).cache()
    return rows_of(candidates).anti_join(losers, PLACE).select(*table.schema.names)


def quarantined(streams: Streams, table: Table, taxonomy: Taxonomy, conventions: Conventions) -> ir.Table:
    """What of the streams did not become part of the canonical table: columns of `QUARANTINE`, one row per problem. Arguments as for `unify`."""
    parts = [_problem_rows(*typed(mapped(raw, mapping, table), mapping, table, taxonomy, conventions)) for raw, mapping in streams]
    return _union(parts) if parts else ibis.memtable(QUARANTINE.schema.to_pyarrow().empty_table())


def _union(parts: Iterable[ir.Table]) -> ir.Table:
    return reduce(ibis.union, parts)


def _without_problems(rows: ir.Table, problems: Sequence[Problem], table: Table) -> ir.Table:
    columns = [*table.schema.names, SLICE, ROW]
    losing = [p for p in problems if p.costs_row]
    rows = _marked(rows.select(*columns, *(p.flag for p in losing)), losing)
    return rows.filter(~rows._marked).select(columns).cast(dict(table.schema.items()))


def _problem_rows(rows: ir.Table, problems: Sequence[Problem]) -> ir.Table:
    """One quarantine row per problem, from one pass over the rows."""
    rows = _marked(rows.select(*PLACE, *(p.flag for p in problems)), problems)
    flagged = rows.filter(rows._marked)
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


def _marked(rows: ir.Table, problems: Iterable[Problem]) -> ir.Table:
    """With a column that says whether a row has one of the problems.

    Its volatile part is always true; without it the engine computes every column for a filter on it, and then again for the rows that stay.
    """
    return rows.mutate(_marked=ibis.or_(*(rows[p.flag] for p in problems)) & (ibis.random() < 2))


def _keys(rows: ir.Table, values: Mapping[str, ir.Value], table: Table) -> ir.Table:
    """A hash of each row's primary key, and where the row stands."""
    key = reduce(lambda a, b: a + ibis.literal("\x1f") + b, (values[k] for k in table.primary_key))
    return rows.select(key=key.hash(), source=values["source"], **{c: rows[c] for c in (SLICE, ROW)})


def _only(rows: ir.Table, places: ir.Table, source: str) -> ir.Table:
    return rows.semi_join(places.filter(places.source == source), [SLICE, ROW])


def _losers(rows: ir.Table, table: Table) -> ir.Table:
    """Places of the rows whose primary key another row has too: the newest version stays, or the first delivery."""
    if NEWEST_FIRST in table.schema:
        first = [rows[NEWEST_FIRST].desc(nulls_first=False), rows[SLICE].desc(), rows[ROW].desc()]
    else:
        arrival = [rows.received_at.asc()] if "received_at" in table.schema else []
        first = [*arrival, rows[SLICE].asc(), rows[ROW].asc()]
    rank = ibis.row_number().over(group_by=[rows[k] for k in table.primary_key], order_by=[*first, rows.source])
    return rows.mutate(rank=rank).filter(ibis._.rank > 0).select(*PLACE)
