"""`AudienceGraph`: a project folder as a component of somebody else's dg project."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from seg_assets.component import AudienceGraph
from seg_assets.errors import ProjectError


def test_a_component_holds_the_whole_graph_under_the_projects_id(project: Callable[..., Path]) -> None:
    attributes = {"project": str(project("north"))}
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(AudienceGraph, defs_yaml_contents={"type": "seg_assets.component.AudienceGraph", "attributes": attributes})
        with sandbox.load_component_and_build_defs(path) as (component, defs):
            assert isinstance(component, AudienceGraph)
            keys = defs.resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["north", "segments", "memberships"]) in keys
    assert {key.path[0] for key in keys} == {"north"}


def test_a_prefix_can_be_chosen(project: Callable[..., Path]) -> None:
    attributes = {"project": str(project("north")), "key_prefix": ["brands", "n"]}
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(AudienceGraph, defs_yaml_contents={"type": "seg_assets.component.AudienceGraph", "attributes": attributes})
        with sandbox.load_component_and_build_defs(path) as (_, defs):
            assert {tuple(key.path[:2]) for key in defs.resolve_asset_graph().get_all_asset_keys()} == {("brands", "n")}


def test_a_folder_that_is_no_project_is_named(tmp_path: Path) -> None:
    with create_defs_folder_sandbox() as sandbox:
        contents = {"type": "seg_assets.component.AudienceGraph", "attributes": {"project": str(tmp_path / "nowhere")}}
        path = sandbox.scaffold_component(AudienceGraph, defs_yaml_contents=contents)
        with pytest.raises(Exception, match="building definitions") as raised, sandbox.load_component_and_build_defs(path):
            pass
    assert isinstance(raised.value.__cause__, ProjectError)
    assert "nowhere: there is no such folder" in str(raised.value.__cause__)


def test_dg_finds_the_component() -> None:
    assert "seg_assets.component" in {e.value for e in entry_points(group="dagster_dg_cli.registry_modules")}
    listed = subprocess.run([Path(sys.executable).with_name("dg"), "list", "components"], capture_output=True, text=True, check=True)
    assert "AudienceGraph" in listed.stdout
