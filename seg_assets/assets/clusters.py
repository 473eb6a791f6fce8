"""clusters/*: who is alike, and what the groups are like."""

import pkgutil
from collections.abc import Iterator

import dagster as dg
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets import clustering
from seg_assets.graph import Graph
from seg_assets.metadata import asset_arguments
from seg_assets.profiles.profiles import people
from seg_assets.schema.tables import ASSIGNMENTS, ENGAGEMENT, FEATURES, PERSONAS, PROFILES, RFM

CODE = [f"{clustering.__name__}.{module.name}" for module in pkgutil.iter_modules(clustering.__path__)]
"""Modules that decide the clusters; they import NumPy, so they are only named here."""
NEXT_ID = "next_cluster_id"
"""Metadata entry with the lowest cluster id never given out: ids do not come back with another meaning."""


def build_cluster_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Assignments and personas, made together: the map of the one is labelled with the other."""
    inputs = {"features": FEATURES, "engagement": ENGAGEMENT, "rfm": RFM, "profiles": PROFILES}
    outputs = {"assignments": ASSIGNMENTS, "personas": PERSONAS}

    @dg.multi_asset(
        name=graph.name("clusters"),
        outs={
            name: dg.AssetOut(
                **asset_arguments(graph, table.key, table, kinds=("scikitlearn", "delta"), code=CODE, tags={"stateful": "keeps_cluster_ids"})
            )
            for name, table in outputs.items()
        },
        ins={name: dg.AssetIn(graph.asset_key(table.key)) for name, table in inputs.items()},
    )
    def clusters(features: ir.Table, engagement: ir.Table, rfm: ir.Table, profiles: ir.Table) -> Iterator[dg.MaterializeResult]:
        yield from _clustered(graph, people(features, engagement, rfm, profiles))

    return [clusters]


def _clustered(graph: Graph, known: ir.Table) -> Iterator[dg.MaterializeResult]:
    from seg_assets.clustering.model import ClusteringConfig, fit
    from seg_assets.clustering.personas import personas
    from seg_assets.clustering.projection import cluster_map
    from seg_assets.report.canvas import as_markdown
    from seg_assets.report.clusters import cluster_map as map_picture
    from seg_assets.report.clusters import persona_profiles, silhouette_by_k

    settings, lake = graph.project.config.clustering, graph.lake
    config = ClusteringConfig(settings.features, settings.k.low, settings.k.high, settings.sample, seed=settings.seed)
    described = known.to_pyarrow()
    previous = lake.read(ASSIGNMENTS.key).to_pyarrow() if lake.exists(ASSIGNMENTS.key) else None
    model = fit(described, config, previous=previous, next_id=int(lake.facts(ASSIGNMENTS.key).get(NEXT_ID, 0)))
    members = described.join(model.assignments.select(["person_id", "cluster_id"]), "person_id")
    found = personas(members, currency=graph.project.config.currency)
    labels = dict(zip(found["cluster_id"].to_pylist(), found["label"].to_pylist(), strict=True))
    chosen = next((c for c in model.candidates if c.k == model.k), None)
    quality = {n: getattr(chosen, n) for n in ("silhouette", "silhouette_sd", "calinski_harabasz", "davies_bouldin")} if chosen else {}
    pictures = {
        "map": map_picture(cluster_map(model, described), labels),
        "silhouettes": silhouette_by_k(model.candidates, model.k, model.note),
    }
    yield dg.MaterializeResult(
        asset_key=graph.asset_key(ASSIGNMENTS.key),
        value=model.assignments,
        metadata={
            "k": model.k,
            NEXT_ID: model.next_id,
            **({"note": model.note} if model.note else {}),
            **quality,
            **{name: dg.MetadataValue.md(as_markdown(picture, name)) for name, picture in pictures.items()},
        },
    )
    yield dg.MaterializeResult(
        asset_key=graph.asset_key(PERSONAS.key),
        value=found,
        metadata={"personas": _cards(found), "traits": dg.MetadataValue.md(as_markdown(persona_profiles(found), "traits"))},
    )


def _cards(personas: pa.Table) -> dg.MarkdownMetadataValue:
    rows = sorted(personas.to_pylist(), key=lambda r: -r["size"])
    return dg.MetadataValue.md("\n\n".join(f"**{r['label']}** ({r['size']:,} persons, {r['share']:.0%})  \n{r['narrative']}" for r in rows))
