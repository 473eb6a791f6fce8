"""clusters/*: who is alike, and what the groups are like."""

import dagster as dg
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.graph import Graph
from seg_assets.metadata import asset_arguments
from seg_assets.profiles.profiles import people
from seg_assets.schema.tables import ASSIGNMENTS, ENGAGEMENT, FEATURES, PERSONAS, PROFILES, RFM

NEXT_ID = "next_cluster_id"
"""Metadata entry with the lowest cluster id never given out: ids do not come back with another meaning."""


def build_cluster_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Assignments and personas."""
    described = {"features": FEATURES, "engagement": ENGAGEMENT, "rfm": RFM}
    ins = {name: dg.AssetIn(graph.asset_key(table.key)) for name, table in described.items()}
    arguments = asset_arguments(graph, ASSIGNMENTS.key, ASSIGNMENTS, kinds=("scikitlearn", "delta"), tags={"stateful": "keeps_cluster_ids"})

    @dg.asset(**arguments, ins=ins)
    def assignments(features: ir.Table, engagement: ir.Table, rfm: ir.Table) -> dg.MaterializeResult[pa.Table]:
        from seg_assets.clustering.model import ClusteringConfig, fit
        from seg_assets.report import as_markdown, cluster_map, silhouette_by_k

        settings = graph.project.config.clustering
        config = ClusteringConfig(settings.features, settings.k.low, settings.k.high, settings.sample, seed=settings.seed)
        known = people(features, engagement, rfm).select("person_id", *settings.features)
        lake = graph.lake
        previous = lake.read(ASSIGNMENTS.key).to_pyarrow() if lake.exists(ASSIGNMENTS.key) else None
        model = fit(known.to_pyarrow(), config, previous=previous, next_id=int(lake.facts(ASSIGNMENTS.key).get(NEXT_ID, 0)))
        chosen = next((c for c in model.candidates if c.k == model.k), None)
        quality = {"silhouette": chosen.silhouette, "calinski_harabasz": chosen.calinski_harabasz, "davies_bouldin": chosen.davies_bouldin} if chosen else {}
        pictures = {"silhouettes": dg.MetadataValue.md(as_markdown(silhouette_by_k(model.candidates, model.k), "Silhouette by k"))} if chosen else {}
        return dg.MaterializeResult(value=model.assignments, metadata={"k": model.k, NEXT_ID: model.next_id, "note": model.note, **quality, **pictures})

    @dg.asset(
        **asset_arguments(graph, PERSONAS.key, PERSONAS, kinds=("python", "delta")),
        ins={**ins, "assignments": dg.AssetIn(graph.asset_key(ASSIGNMENTS.key)), "profiles": dg.AssetIn(graph.asset_key(PROFILES.key))},
    )
    def cluster_personas(
        features: ir.Table, engagement: ir.Table, rfm: ir.Table, assignments: ir.Table, profiles: ir.Table
    ) -> dg.MaterializeResult[pa.Table]:
        from seg_assets.clustering.personas import personas

        described = people(assignments.select("person_id", "cluster_id"), features, engagement, rfm, profiles).to_pyarrow()
        table = personas(described, currency=graph.project.config.currency)
        return dg.MaterializeResult(value=table, metadata={"personas": _cards(table)})

    return [assignments, cluster_personas]


def _cards(personas: pa.Table) -> dg.MarkdownMetadataValue:
    rows = sorted(personas.to_pylist(), key=lambda r: -r["size"])
    return dg.MetadataValue.md("\n\n".join(f"**{r['label']}** ({r['size']:,} persons, {r['share']:.0%})  \n{r['narrative']}" for r in rows))
