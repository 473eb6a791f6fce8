"""segments/*: who is in which segment, what changed, and how the segments do."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import ibis
import ibis.expr.types as ir

from seg_assets.as_of import run_as_of
from seg_assets.graph import Graph
from seg_assets.identity import with_person
from seg_assets.io_managers import origin
from seg_assets.metadata import OWNERS, asset_arguments
from seg_assets.profiles.profiles import everything_known
from seg_assets.schema.tables import (
    ASSIGNMENTS,
    ENGAGEMENT,
    EVENTS,
    FEATURES,
    LINKS,
    MEMBERSHIPS,
    PERSON_CONSENTS,
    PERSONAS,
    PROFILES,
    RFM,
    SEGMENT_CHANGES,
    SEGMENT_HEALTH,
)
from seg_assets.schema.types import Table
from seg_assets.segments import SegmentSet, evaluate
from seg_assets.segments.log import logged, movements

TIMER = ("source", "clock", "membership_ends")
"""Path of the external asset that the timer's sensor reports on when a membership ends because time passes."""

MOST_STEPS = 50
"""Lines of the change log shown in the UI."""

INPUTS: dict[str, Table] = {
    "profiles": PROFILES,
    "features": FEATURES,
    "engagement": ENGAGEMENT,
    "rfm": RFM,
    "assignments": ASSIGNMENTS,
    "personas": PERSONAS,
    "consents": PERSON_CONSENTS,
    "events": EVENTS,
    "links": LINKS,
}


def build_segment_assets(graph: Graph) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Memberships, changes and health, evaluated together, below the clock that ends memberships."""
    tables = {"memberships": MEMBERSHIPS, "changes": SEGMENT_CHANGES, "health": SEGMENT_HEALTH}

    @dg.multi_asset(
        name=graph.name("segments"),
        outs={name: _out(graph, table) for name, table in tables.items()},
        ins={name: dg.AssetIn(graph.asset_key(table.key)) for name, table in INPUTS.items()},
        deps=[graph.asset_key(TIMER)],
    )
    def segments(context: dg.AssetExecutionContext, **inputs: ir.Table) -> Iterator[dg.MaterializeResult]:
        consents, events, links = (inputs.pop(name) for name in ("consents", "events", "links"))
        lake, segments = graph.lake, graph.segments()
        if _stand(context, graph, segments):
            context.log.info("neither data nor definitions have changed: every membership stands")
            yield from _results(graph, {table.key: lake.read(table.key) for table in (SEGMENT_CHANGES, SEGMENT_HEALTH, MEMBERSHIPS)}, stored=True)
            return
        evaluation = evaluate(
            segments,
            persons=everything_known(**inputs).cache(),
            events=with_person(events, links, graph.project.pseudonym_key),
            consents=consents,
            as_of=run_as_of(context, graph),
            previous=lake.read(MEMBERSHIPS.key) if lake.exists(MEMBERSHIPS.key) else None,
        )
        changes = logged(
            lake.read(SEGMENT_CHANGES.key) if lake.exists(SEGMENT_CHANGES.key) else None, evaluation.changes, lake.next_version(MEMBERSHIPS.key)
        )
        # The log first and the memberships last: whatever a crash leaves, the next evaluation starts from the memberships and writes the same log again.
        yield from _results(graph, {SEGMENT_CHANGES.key: changes, SEGMENT_HEALTH.key: evaluation.health, MEMBERSHIPS.key: evaluation.memberships})

    return [_timer(graph), segments]


def _timer(graph: Graph) -> dg.AssetSpec:
    return dg.AssetSpec(
        graph.asset_key(TIMER),
        description="The clock: its sensor reports when a membership's valid_until has passed, and the segments are evaluated again without a new event.",
        group_name=graph.name("sources"),
        kinds={"clock"},
        owners=OWNERS,
        tags={"layer": "source"},
    )


def _out(graph: Graph, table: Table) -> dg.AssetOut:
    arguments = asset_arguments(graph, table.key, table, code=[evaluate])
    # The clock has nothing to report until the first membership ends.
    missing = dg.AutomationCondition.any_deps_missing()
    waits = missing.ignore(dg.AssetSelection.assets(graph.asset_key(TIMER)))
    return dg.AssetOut(**arguments | {"automation_condition": arguments["automation_condition"].replace(missing, waits)})


def _stand(context: dg.AssetExecutionContext, graph: Graph, segments: SegmentSet) -> bool:
    """Whether the stored memberships were evaluated from just these inputs, by this code, at this instant, for these definitions."""
    if not all(graph.lake.exists(table.key) for table in (MEMBERSHIPS, SEGMENT_CHANGES, SEGMENT_HEALTH)):
        return False
    asset = context.assets_def.get_asset_spec(graph.asset_key(MEMBERSHIPS.key))
    wanted = origin(graph, [dep.asset_key for dep in asset.deps], run_as_of(context, graph), asset.code_version)
    said = graph.lake.facts(MEMBERSHIPS.key)
    health = graph.lake.read(SEGMENT_HEALTH.key).select("segment", "definition_hash", "stale").to_pyarrow().to_pylist()
    evaluated = {row["segment"]: row["definition_hash"] for row in health if not row["stale"]}
    return said.items() >= wanted.items() and evaluated == segments.hashes and not segments.broken and len(evaluated) == len(health)


def _results(graph: Graph, tables: Mapping[tuple[str, ...], ir.Table], *, stored: bool = False) -> Iterator[dg.MaterializeResult]:
    """Results with their pictures; what is stored already is shown, not written."""
    health = tables[SEGMENT_HEALTH.key]
    shown: dict[tuple[str, ...], dict[str, Any]] = {
        MEMBERSHIPS.key: _membership_pictures(tables[MEMBERSHIPS.key], health),
        SEGMENT_CHANGES.key: _change_pictures(tables[SEGMENT_CHANGES.key], health),
        SEGMENT_HEALTH.key: {"stale": int(health.stale.sum().to_pyarrow().as_py() or 0), **_health_table(health)},
    }
    for key, value in tables.items():
        metadata = shown[key] | ({"dagster/row_count": graph.lake.commit(key).rows, "unchanged": True} if stored else {})
        yield dg.MaterializeResult(asset_key=graph.asset_key(key), value=None if stored else value, metadata=metadata)


def _membership_pictures(memberships: ir.Table, health: ir.Table) -> dict[str, dg.MarkdownMetadataValue]:
    from seg_assets.report.canvas import as_markdown
    from seg_assets.report.segments import segment_overlap_matrix, segment_overlaps, segment_sizes

    rows = health.select("segment", "title", "size", "share", "below_minimum").to_pyarrow()
    titles = dict(zip(rows["segment"].to_pylist(), rows["title"].to_pylist(), strict=True))
    sizes = segment_sizes(rows)
    overlap = segment_overlap_matrix(segment_overlaps(memberships).to_pyarrow(), titles)
    return {
        "sizes": dg.MetadataValue.md(as_markdown(sizes, "Members per segment")),
        "overlap": dg.MetadataValue.md(as_markdown(overlap, "Overlap of segments")),
    }


def _change_pictures(changes: ir.Table, health: ir.Table) -> dict[str, dg.MarkdownMetadataValue]:
    from seg_assets.report.canvas import as_markdown
    from seg_assets.report.segments import segment_history

    titles = {row["segment"]: row["title"] for row in health.select("segment", "title").to_pyarrow().to_pylist()}
    steps = movements(changes).to_pyarrow().to_pylist()
    newest = sorted(steps, key=lambda step: (-step["evaluation"], step["segment"]))[:MOST_STEPS]
    lines = [f"| {s['as_of']:%Y-%m-%d %H:%M} | {s['segment']} | +{s['entered']:,} | -{s['left']:,} | {s['size']:,} |" for s in newest]
    return {
        "history": dg.MetadataValue.md(as_markdown(segment_history(steps, titles), "Members over time")),
        "log": dg.MetadataValue.md("\n".join(["| as of | segment | entered | left | members then |", "|---|---|---:|---:|---:|", *lines])),
    }


def _health_table(health: ir.Table) -> dict[str, dg.MarkdownMetadataValue]:
    rows = health.order_by(ibis.desc("size"), "segment").to_pyarrow().to_pylist()
    lines = [f"| {r['segment']} | {r['size']:,} | {r['share']:.1%} | +{r['adds']:,} | -{r['drops']:,} | {r['sentence']} |" for r in rows]
    head = ["| segment | members | share | entered | left | who |", "|---|---:|---:|---:|---:|---|"]
    return {"segments": dg.MetadataValue.md("\n".join([*head, *lines]))}
