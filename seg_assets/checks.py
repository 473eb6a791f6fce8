"""Asset checks, derived from the schema: a table that breaks a promise stops everything downstream of it.

https://docs.dagster.io/guides/test/asset-checks. Blocking checks guard contracts; the others warn about change.
"""

from collections.abc import Iterator

import dagster as dg

from seg_assets.assets.activation import activation_keys
from seg_assets.delivery_checks import build_delivery_checks
from seg_assets.graph import Graph
from seg_assets.io_managers import table_shape
from seg_assets.schema.quality import measure
from seg_assets.schema.tables import QUARANTINE, SEGMENT_HEALTH
from seg_assets.schema.types import Table

LARGEST_DROP = 0.5
"""Share of its rows a table may lose from one version to the next without a warning."""
QUARANTINE_SHARE = 0.05
"""Quarantined rows by rows read above which a warning is due."""

CONTRACT = (
    "The stored columns and types are those of docs/schema.md, the primary key is unique, required values are there, numbers lie within their bounds."
)


def build_checks(graph: Graph) -> list[dg.AssetChecksDefinition]:
    """The contract and volume of every canonical table, and what is special to some."""
    keys = [key for key in graph.tables if key[0] != "activation"]
    delivered = [key for node in graph.destinations for key in activation_keys(node).values()]
    special = [_quarantine_share(graph), _stale_segments(graph)]
    per_destination = [check for node in graph.destinations for check in build_delivery_checks(graph, node)]
    return [*(_contract(graph, key) for key in [*keys, *delivered]), *special, *per_destination]


def _contract(graph: Graph, key: tuple[str, ...]) -> dg.AssetChecksDefinition:
    table, asset = graph.tables[table_shape(key)], graph.asset_key(key)
    specs = [
        dg.AssetCheckSpec("contract", asset=asset, blocking=True, description=CONTRACT),
        dg.AssetCheckSpec("volume", asset=asset, description=f"The table has not lost more than {LARGEST_DROP:.0%} of its rows at once."),
    ]

    @dg.multi_asset_check(name=graph.name("__".join([*key, "contract"])), specs=specs)
    def contract() -> Iterator[dg.AssetCheckResult]:
        quality = measure(graph.lake.read(key), table)
        broken = {
            "columns": _wrong_columns(graph, key, table),
            "repeated_rows": quality.repeated_keys,
            "missing_values": {name: n for name, n in quality.missing.items() if n},
            "out_of_range": {name: n for name, n in quality.out_of_range.items() if n},
        }
        passed = not any(broken.values())
        yield dg.AssetCheckResult(asset_key=asset, check_name="contract", passed=passed, metadata={"rows": quality.rows, **broken})
        before = _rows_before(graph, key)
        lost = 1 - quality.rows / before if before else 0.0
        yield _warning(asset, "volume", lost <= LARGEST_DROP, {"rows": quality.rows, "rows_before": before, "lost_share": round(max(lost, 0.0), 4)})

    return contract


def _quarantine_share(graph: Graph) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=graph.asset_key(QUARANTINE.key), name="share", description=f"At most {QUARANTINE_SHARE:.0%} of what was read is unusable.")
    def share() -> dg.AssetCheckResult:
        rows = graph.lake.read(QUARANTINE.key)
        lost = int(rows.filter(rows.lost == "row").select("source", "slice", "position").distinct().count().execute())
        read = sum(graph.lake.commit(s.key).rows for c in graph.connections for s in c.streams if graph.lake.exists(s.key))
        return _warning(None, None, lost <= QUARANTINE_SHARE * max(read, 1), {"unusable_rows": lost, "rows_read": read})

    return share


def _stale_segments(graph: Graph) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=graph.asset_key(SEGMENT_HEALTH.key), name="all_fresh", description="Every segment could be evaluated.")
    def all_fresh() -> dg.AssetCheckResult:
        health = graph.lake.read(SEGMENT_HEALTH.key)
        stale = health.filter(health.stale).select("segment", "error").to_pyarrow().to_pylist()
        return _warning(None, None, not stale, {"stale": dg.MetadataValue.json({row["segment"]: row["error"] for row in stale})})

    return all_fresh


def _wrong_columns(graph: Graph, key: tuple[str, ...], table: Table) -> dict[str, str]:
    stored = graph.lake.schema(key)
    wanted = table.schema
    wrong = {name: "missing" for name in wanted.names if name not in stored}
    wrong |= {name: "not in the schema" for name in stored.names if name not in wanted}
    return wrong | {name: f"{stored[name]}, not {wanted[name]}" for name in wanted.names if name in stored and stored[name] != wanted[name]}


def _rows_before(graph: Graph, key: tuple[str, ...]) -> int:
    version = graph.lake.delta(key).version()
    return graph.lake.commit(key, version - 1).rows if version else 0


def _warning(asset: dg.AssetKey | None, name: str | None, passed: bool, metadata: dict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(asset_key=asset, check_name=name, passed=bool(passed), severity=dg.AssetCheckSeverity.WARN, metadata=metadata)
