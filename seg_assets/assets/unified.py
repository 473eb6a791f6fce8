"""unified/*: all streams in the canonical vocabulary, and the quarantine of what could not become part of it."""

from functools import reduce

import dagster as dg
import ibis
import ibis.expr.types as ir

from seg_assets.as_of import run_as_of
from seg_assets.graph import Graph
from seg_assets.lake.raw_table import ROW, rejects_key
from seg_assets.lineage import lineage
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.schema.tables import QUARANTINE, UNIFIED
from seg_assets.schema.types import Table
from seg_assets.unify import FromColumn, unify
from seg_assets.unify.deleted import without_deleted


def build_unified_assets(graph: Graph) -> Assets:
    """One asset per canonical table, and the quarantine."""
    return [*(a for table in UNIFIED.values() for a in _unified(graph, table)), *_quarantine(graph)]


def _unified(graph: Graph, table: Table) -> Assets:
    arguments = asset_arguments(graph, table.key, table, code=[unify])
    arguments["metadata"] |= {"dagster/column_lineage": _lineage(graph, table)}
    broken = [s.key for c in graph.connections if c.error for s in c.streams]

    @dg.asset(**arguments, deps=[graph.asset_key(k) for k in [*(s.key for s in graph.streams_to(table.key[1])), *broken]])
    def unified(context: dg.AssetExecutionContext) -> dg.MaterializeResult[ir.Table]:
        streams = [
            (without_deleted(graph.lake.read(s.key, row_number=ROW), s.definition), s.mapping) for s in graph.streams_to(table.key[1]) if s.mapping
        ]
        rows, problems = unify(streams, table, graph.project.taxonomy, graph.conventions)
        facts = {"as_of": run_as_of(context, graph).isoformat(), "run_id": context.run.run_id, "code_version": arguments["code_version"]}
        graph.lake.write(_problems_key(table), problems, order_by=QUARANTINE.primary_key, facts=facts)
        return dg.MaterializeResult(value=rows)

    return [unified]


def _problems_key(table: Table) -> tuple[str, ...]:
    """Where the problems met while a canonical table was made are kept until the quarantine takes them."""
    return ("problems", *table.key[1:])


def _quarantine(graph: Graph) -> Assets:
    arguments = asset_arguments(graph, QUARANTINE.key, QUARANTINE, code=[unify])
    streams = [s for c in graph.connections for s in c.streams]

    @dg.asset(**arguments, deps=[graph.asset_key(key) for key in [*(s.key for s in streams), *(t.key for t in UNIFIED.values())]])
    def quarantine() -> dg.MaterializeResult[ir.Table]:
        parts = [graph.lake.read(_problems_key(table)) for table in UNIFIED.values()]
        for stream in streams:
            if graph.lake.exists(rejects_key(stream.key)):
                parts.append(_rejects(graph.lake.read(rejects_key(stream.key)), "/".join(stream.key[1:])))
        rows = reduce(ibis.union, parts)
        reasons = rows.group_by("source", "reason", "lost").aggregate(rows=ibis._.count()).order_by(ibis.desc("rows"), "source", "reason").limit(20)
        return dg.MaterializeResult(value=rows, metadata={"reasons": _markdown(reasons)})

    return [quarantine]


def _rejects(rejects: ir.Table, source: str) -> ir.Table:
    return rejects.select(
        source=ibis.literal(source),
        slice=rejects["slice"],
        position=rejects.position,
        stage=ibis.literal("read"),
        lost=ibis.literal("row"),
        field=ibis.null("string"),
        reason=rejects.reason,
    ).cast(dict(QUARANTINE.schema))


def _markdown(reasons: ir.Table) -> dg.MarkdownMetadataValue:
    rows = reasons.to_pyarrow().to_pylist()
    lines = [f"| {r['source']} | {r['reason']} | {r['lost']} | {r['rows']:,} |" for r in rows]
    return dg.MetadataValue.md("\n".join(["| stream | reason | lost | rows |", "|---|---|---|---:|", *lines]) if rows else "Nothing in quarantine.")


def _lineage(graph: Graph, table: Table) -> dg.TableColumnLineage:
    sources: dict[str, list[tuple[tuple[str, ...], str]]] = {c.name: [] for c in table.columns}
    for stream in graph.streams_to(table.key[1]):
        columns, delivered = stream.mapping.columns if stream.mapping else None, stream.definition.schema
        for name, origins in sources.items():
            origin = columns.get(name) if columns is not None else FromColumn(name)
            if not isinstance(origin, FromColumn) or name in {"source", "day"}:
                continue
            if delivered is None or origin.name in delivered.names:
                origins.append((stream.key, origin.name))
    return lineage(graph, sources)
