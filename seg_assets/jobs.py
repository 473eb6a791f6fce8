"""Jobs: what people and schedules launch. https://docs.dagster.io/guides/build/jobs"""

from __future__ import annotations

import dagster as dg

from seg_assets.graph import Graph


def build_jobs(graph: Graph) -> list[dg.UnresolvedAssetJobDefinition]:
    """`refresh`: everything, from sources to receipts."""
    everything = dg.AssetSelection.all() if not graph.prefix else dg.AssetSelection.key_prefixes(list(graph.prefix))
    description = "Refreshes the whole graph, from sources to receipts, in one process: a process per step would cost more than most steps."
    return [dg.define_asset_job(graph.name("refresh"), everything, description=description, executor_def=dg.in_process_executor)]
