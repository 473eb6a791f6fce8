"""scores/*: engagement and RFM."""

import dagster as dg
import ibis.expr.types as ir

from seg_assets.as_of import run_as_of
from seg_assets.graph import Graph
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.schema.tables import ACTIVITY_DAILY, ENGAGEMENT, FEATURES, PERSONS, RFM
from seg_assets.scoring.engagement import PointLabels, ShareLabels, engagement, thresholds
from seg_assets.scoring.rfm import rfm


def build_score_assets(graph: Graph) -> Assets:
    """Engagement of everybody, RFM of buyers."""
    scoring = graph.project.config.scoring
    wanted = scoring.engagement.labels
    labels = (ShareLabels if wanted.by == "share" else PointLabels)(wanted.highly_engaged, wanted.moderately_engaged)

    @dg.asset(
        **asset_arguments(graph, ENGAGEMENT.key, ENGAGEMENT, code=[engagement]),
        ins={"activity": dg.AssetIn(graph.asset_key(ACTIVITY_DAILY.key)), "persons": dg.AssetIn(graph.asset_key(PERSONS.key))},
    )
    def scores_engagement(context: dg.AssetExecutionContext, activity: ir.Table, persons: ir.Table) -> dg.MaterializeResult[ir.Table]:
        from seg_assets.report.canvas import as_markdown
        from seg_assets.report.scores import engagement_distribution, engagement_histogram

        scores = engagement(
            activity,
            persons,
            weights=scoring.engagement.weights,
            half_life_days=scoring.engagement.half_life_days,
            labels=labels,
            as_of=run_as_of(context, graph),
        ).cache()
        points = thresholds(scores).to_pyarrow().to_pylist()[0]
        picture = engagement_distribution(engagement_histogram(scores).to_pyarrow(), points)
        shown = {f"points_{name}": float(value) for name, value in points.items() if value is not None}
        return dg.MaterializeResult(value=scores, metadata={**shown, "distribution": dg.MetadataValue.md(as_markdown(picture, "Engagement"))})

    @dg.asset(**asset_arguments(graph, RFM.key, RFM, code=[rfm]), ins={"features": dg.AssetIn(graph.asset_key(FEATURES.key))})
    def scores_rfm(features: ir.Table) -> dg.MaterializeResult[ir.Table]:
        from seg_assets.report.canvas import as_markdown
        from seg_assets.report.scores import rfm_counts, rfm_heat_map

        cells = rfm(features, window=scoring.rfm.window).cache()
        picture = rfm_heat_map(rfm_counts(cells).to_pyarrow())
        return dg.MaterializeResult(value=cells, metadata={"cells": dg.MetadataValue.md(as_markdown(picture, "Buyers by recency and frequency"))})

    return [scores_engagement, scores_rfm]
