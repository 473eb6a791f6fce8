"""`AudienceGraph`: a project as a Dagster component, so that a dg project can hold a graph, or one per brand, beside its own assets.

https://docs.dagster.io/guides/build/components
"""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from pydantic import Field

from seg_assets.build import build_defs
from seg_assets.project.load import load_project


class AudienceGraph(dg.Component, dg.Model, dg.Resolvable):
    """From raw sources to delivered audiences: all assets, checks, jobs, sensors and schedules of one project folder."""

    project: str = Field(description="Folder that holds project.yaml, relative to the folder of defs.yaml.")
    key_prefix: Sequence[str] | str | None = Field(
        default=None, description="Put before every asset key, and into the names of groups, jobs and sensors. Default: the project's id."
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The graph under its prefix. How runs execute is left to the location it becomes part of; the refresh job runs in one process.

        Raises:
            ProjectError: the project is not valid.
        """
        project = load_project(context.path / Path(self.project).expanduser())
        prefix = self.key_prefix or project.id
        return build_defs(project=project, prefix=[prefix] if isinstance(prefix, str) else prefix, executor=None)
