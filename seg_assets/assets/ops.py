"""ops/*: the state of the graph itself."""

import dagster as dg
import pyarrow as pa

from seg_assets.as_of import parse_as_of, run_as_of
from seg_assets.assets.activation import activation_keys
from seg_assets.graph import Graph
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.schema.tables import AUDIENCE_HEALTH, SEGMENT_HEALTH


def build_ops_assets(graph: Graph) -> Assets:
    """Rows, version and age of every table of the lake."""
    last = [graph.asset_key(activation_keys(node)["receipts"]) for node in graph.destinations]

    @dg.asset(
        **asset_arguments(graph, AUDIENCE_HEALTH.key, AUDIENCE_HEALTH, code=[build_ops_assets]),
        deps=[graph.asset_key(SEGMENT_HEALTH.key), *last],
    )
    def audience_health(context: dg.AssetExecutionContext) -> dg.MaterializeResult[pa.Table]:
        lake, as_of = graph.lake, run_as_of(context, graph)
        rows = []
        for key in lake.tables():
            stated = lake.facts(key).get("as_of")
            if key != AUDIENCE_HEALTH.key and stated:
                commit = lake.commit(key)
                rows.append({"table": "/".join(key), "rows": commit.rows, "version": commit.version, "as_of": parse_as_of(stated)})
        table = pa.Table.from_pylist(rows, AUDIENCE_HEALTH.schema.to_pyarrow())
        behind = sum(row["as_of"] < as_of for row in rows)
        return dg.MaterializeResult(value=table, metadata={"tables": len(rows), "tables_behind": behind})

    return [audience_health]
