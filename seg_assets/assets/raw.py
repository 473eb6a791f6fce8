"""raw/<connection>/<stream>: what a source delivered, as delivered, and the source itself as an external asset."""

import dagster as dg
import pyarrow as pa

from seg_assets.as_of import run_as_of
from seg_assets.errors import ProjectError
from seg_assets.graph import ConnectionNode, Graph, StreamSource
from seg_assets.lake import Landed, land
from seg_assets.lake.drift import Drift
from seg_assets.lake.raw_table import LOADED_AT, SLICE, landed_cursor, rejects_key
from seg_assets.metadata import OWNERS, Assets, asset_arguments, cost_metadata

CHECKS = {
    "whole_slices": "Every slice (file, day, page) could be read; those that could not are named.",
    "same_columns": "The stream has the columns it had before.",
}
SHOWN = 20
WATERMARK = "watermark"
"""Metadata entry that says how far a source had come."""


def source_key(stream: StreamSource) -> tuple[str, str, str]:
    """Path of the external asset a stream is read from."""
    return ("source", stream.connection, stream.definition.name)


def build_raw_assets(graph: Graph) -> Assets:
    """One raw asset per stream, each below the external asset its sensor reports on."""
    streams = [(node, stream) for node in graph.connections for stream in node.streams]
    return [_source(graph, node, stream) for node, stream in streams] + [a for node, stream in streams for a in _raw(graph, node, stream)]


def _source(graph: Graph, node: ConnectionNode, stream: StreamSource) -> dg.AssetSpec:
    return dg.AssetSpec(
        graph.asset_key(source_key(stream)),
        description=f"{stream.definition.description or stream.definition.name} Outside the graph; its sensor reports when something new is there.",
        group_name=graph.name("sources"),
        kinds=_kinds(node),
        owners=OWNERS,
        tags={"layer": "source", "connector": node.config.connector},
    )


def _raw(graph: Graph, node: ConnectionNode, stream: StreamSource) -> Assets:
    arguments = asset_arguments(
        graph,
        stream.key,
        None,
        description=_description(node, stream),
        kinds=_kinds(node) or {node.config.connector},
        code=[land],
        tags={"connector": node.config.connector},
    )
    if stream.definition.schema:
        arguments["metadata"]["dagster/column_schema"] = _columns(stream.definition.schema)
    arguments["freshness_policy"] = dg.FreshnessPolicy.time_window(fail_window=node.config.freshness)

    @dg.asset(
        **arguments,
        deps=[graph.asset_key(source_key(stream))],
        pool=f"{node.config.connector}_{node.name}".replace("-", "_"),
        check_specs=[dg.AssetCheckSpec(name, asset=graph.asset_key(stream.key), description=text) for name, text in CHECKS.items()],
    )
    def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _landed(context, graph, node, stream)

    return [raw]


def _landed(context: dg.AssetExecutionContext, graph: Graph, node: ConnectionNode, stream: StreamSource) -> dg.MaterializeResult:
    if node.error:
        raise ProjectError(f"connection {node.name} can't be used: {node.error}", place=graph.project.place("connections", node.name))
    as_of = run_as_of(context, graph)
    source = graph.source(node.name)
    name = stream.definition.name
    with graph.context(as_of) as connector_context:
        watermark = source.watermark(name, connector_context)
        landed = land(
            graph.lake,
            stream.key,
            source.read(name, landed_cursor(graph.lake, stream.key), connector_context),
            landing=stream.definition.landing,
            loaded_at=as_of,
            facts={"as_of": as_of.isoformat(), "run_id": context.run.run_id},
            drift=Drift(node.config.drift),
            declared=stream.definition.schema,
            on_commit=lambda done: context.log.info(f"{done.rows:,} rows so far, {connector_context.cost.calls:,} calls"),
        )
    commit = graph.lake.commit(stream.key)
    columns = graph.lake.schema(stream.key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": commit.rows,
            "dagster/column_schema": _columns(columns.to_pyarrow()),
            "bytes": commit.size,
            "delta_version": commit.version,
            "new_slices": landed.slices,
            "new_rows": landed.rows,
            "rejects": len(landed.rejects),
            WATERMARK: watermark,
            **cost_metadata(connector_context.cost),
        },
        check_results=_checked(graph, node, stream, landed),
    )


def _checked(graph: Graph, node: ConnectionNode, stream: StreamSource, landed: Landed) -> list[dg.AssetCheckResult]:
    rejects = graph.lake.read(rejects_key(stream.key)).to_pyarrow().to_pylist() if graph.lake.exists(rejects_key(stream.key)) else []
    lost = [{"slice": r["slice"], "reason": r["reason"]} for r in rejects if not r["position"]]
    drift = {"policy": node.config.drift, "differences": dg.MetadataValue.json(list(landed.drift))}
    return [
        _warning("whole_slices", not lost, {"slices_not_read": dg.MetadataValue.json(lost[:SHOWN]), "count": len(lost), "rejects": len(rejects)}),
        _warning("same_columns", not landed.drift, drift),
    ]


def _warning(name: str, passed: bool, metadata: dict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)


def _columns(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in schema if field.name not in {SLICE, LOADED_AT}])


def _kinds(node: ConnectionNode) -> set[str]:
    return set(node.connector.meta.kinds[:2]) if node.connector else {"broken"}


def _description(node: ConnectionNode, stream: StreamSource) -> str:
    if node.error:
        return f"Broken: {node.error}"
    what = stream.definition.description or f"Stream {stream.definition.name} of {node.name}."
    to = f" Becomes part of unified/{stream.mapping.to}." if stream.mapping else " Kept, but not mapped onto a canonical table."
    return f"{what}{to}"
