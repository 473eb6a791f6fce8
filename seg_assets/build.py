"""`build_defs`: the one seam through which the code location, the CLI, tests and the component make a Dagster graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from connectors.registry import Registry
from seg_assets.assets.activation import build_activation_assets
from seg_assets.assets.clusters import build_cluster_assets
from seg_assets.assets.enriched import build_enriched_assets
from seg_assets.assets.identity import build_identity_assets
from seg_assets.assets.ops import build_ops_assets
from seg_assets.assets.profiles import build_profile_assets
from seg_assets.assets.raw import build_raw_assets
from seg_assets.assets.scores import build_score_assets
from seg_assets.assets.segments import build_segment_assets
from seg_assets.assets.unified import build_unified_assets
from seg_assets.automation import build_automation
from seg_assets.checks import build_checks
from seg_assets.graph import Graph
from seg_assets.io_managers import LakeIOManager
from seg_assets.jobs import build_jobs
from seg_assets.project.load import Project, load_project


def build_defs(
    *,
    project: Project | Path | None = None,
    registry: Registry | None = None,
    prefix: Sequence[str] = (),
    automation: bool = True,
    executor: dg.ExecutorDefinition | None = dg.in_process_executor,
) -> dg.Definitions:
    """Every asset, check, job, sensor and schedule of a project.

    Args:
        project: a loaded project or its folder; None takes SEG_PROJECT, else the demo.
        registry: connectors to use; None loads all plug-ins.
        prefix: put before asset keys, so that several graphs fit into one code location.
        automation: False leaves sensors and schedules out.
        executor: how runs execute by default; None leaves that to the location the graph becomes part of.

    Raises:
        ProjectError: the project is not valid.
    """
    loaded = project if isinstance(project, Project) else load_project(project)
    return definitions_of(Graph.of(loaded, registry, prefix), automation=automation, executor=executor)


def definitions_of(graph: Graph, *, automation: bool = True, executor: dg.ExecutorDefinition | None = dg.in_process_executor) -> dg.Definitions:
    """The definitions of a graph that is made already."""
    jobs = build_jobs(graph)
    sensors, schedules = build_automation(graph, jobs) if automation else ([], [])
    return dg.Definitions(
        assets=[
            *build_raw_assets(graph),
            *build_unified_assets(graph),
            *build_enriched_assets(graph),
            *build_identity_assets(graph),
            *build_profile_assets(graph),
            *build_score_assets(graph),
            *build_cluster_assets(graph),
            *build_segment_assets(graph),
            *build_activation_assets(graph),
            *build_ops_assets(graph),
        ],
        asset_checks=build_checks(graph),
        jobs=jobs,
        sensors=sensors,
        schedules=schedules,
        resources={graph.io_manager_key: LakeIOManager(graph)},
        executor=executor,
    )
