"""Every asset says what it is, whose it is, how fresh it must be, what its columns mean, and is guarded by checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from seg_assets.build import build_defs
from seg_assets.project.load import demo_path

LINEAGE_LAYERS = {"unified", "identity", "profiles", "scores"}
WITHOUT_LINEAGE = {"unified/quarantine", "identity/changes"}
"""What is computed from whole rows, or from versions of a table."""


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs(project=demo_path())


def layer(key: dg.AssetKey) -> str:
    return key.path[0]


def gaps(spec: dg.AssetSpec) -> list[str]:
    """What an asset fails to say about itself."""
    name, metadata = spec.key.to_user_string(), spec.metadata
    said = {
        "description": bool(spec.description and len(spec.description) > 15),
        "group": spec.group_name == ("sources" if layer(spec.key) == "source" else layer(spec.key)),
        "kinds": 1 <= len(spec.kinds) <= 3,
        "owners": bool(spec.owners),
        "layer tag": spec.tags.get("layer") == layer(spec.key),
    }
    if layer(spec.key) != "source":
        said |= {
            "pii tag": spec.tags.get("pii") in {"none", "pseudonym", "quasi", "direct"},
            "column schema": _describes_columns(metadata.get("dagster/column_schema"), layer(spec.key)),
            "code version": bool(spec.code_version and "+" in spec.code_version),
            "freshness policy": spec.freshness_policy is not None,
            "automation condition": spec.automation_condition is not None,
            "table name": metadata.get("dagster/table_name") == name,
        }
    if layer(spec.key) in LINEAGE_LAYERS and name not in WITHOUT_LINEAGE:
        said["lineage"] = "dagster/column_lineage" in metadata
    return [f"{name}: {what}" for what, ok in said.items() if not ok]


def _describes_columns(schema: object, layer: str) -> bool:
    return isinstance(schema, dg.TableSchema) and bool(schema.columns) and (layer == "raw" or all(c.description and c.type for c in schema.columns))


def test_no_asset_has_a_gap(defs: dg.Definitions) -> None:
    specs = list(defs.resolve_all_asset_specs())
    assert {layer(s.key) for s in specs} == {
        "source", "raw", "unified", "identity", "profiles", "scores", "clusters", "segments", "activation", "ops",
    }  # fmt: skip
    assert [gap for spec in specs for gap in gaps(spec)] == []


def test_lineage_names_columns_that_exist(defs: dg.Definitions) -> None:
    schemas = {s.key: {c.name for c in s.metadata["dagster/column_schema"].columns} for s in defs.resolve_all_asset_specs() if s.code_version}
    wrong = []
    for spec in defs.resolve_all_asset_specs():
        found = spec.metadata.get("dagster/column_lineage")
        for column, deps in found.deps_by_column.items() if found else ():
            wrong += [(spec.key.to_user_string(), column)] * (column not in schemas[spec.key])
            wrong += [(d.asset_key.to_user_string(), d.column_name) for d in deps if d.column_name not in schemas[d.asset_key]]
    assert wrong == []


def test_every_table_below_raw_is_guarded_by_its_contract_and_the_contract_blocks(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    blocking = {key for key in graph.asset_check_keys if graph.get(key).blocking}
    guarded = [key for key in graph.materializable_asset_keys if layer(key) != "raw"]
    assert guarded
    assert [key for key in guarded if dg.AssetCheckKey(key, "contract") not in blocking] == []


def test_plans_are_guarded_by_consent(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert graph.get(dg.AssetCheckKey(dg.AssetKey(["activation", "hubspot", "members", "plan"]), "consent")).blocking


def test_everything_but_sources_is_downstream_of_a_source(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    roots = {key for key in graph.get_all_asset_keys() if not graph.get(key).parent_keys}
    assert {layer(key) for key in roots} == {"source"}


def test_the_definitions_load_and_hold_a_job_a_schedule_and_sensors(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)
    repository = defs.get_repository_def()
    assert repository.has_job("refresh")
    assert {s.name for s in repository.schedule_defs} == {"daily_refresh"}
    assert {s.name for s in repository.sensor_defs} == {"shop_watermarks", "segment_timer", "deliveries_due", "default_automation_condition_sensor"}


def test_automation_can_be_left_out() -> None:
    defs = build_defs(project=demo_path(), automation=False)
    assert not defs.sensors
    assert not defs.schedules


def test_two_projects_live_in_one_location_under_their_prefixes(project: Callable[..., Path]) -> None:
    north, south = (build_defs(project=project(name), prefix=["brand", name]) for name in ("north", "south"))
    both = dg.Definitions.merge(north, south)
    dg.Definitions.validate_loadable(both)
    keys = both.resolve_asset_graph().get_all_asset_keys()
    assert {tuple(key.path[:2]) for key in keys} == {("brand", "north"), ("brand", "south")}
    job = both.resolve_job_def("brand_north_refresh")
    assert {tuple(key.path[:2]) for key in job.asset_layer.executable_asset_keys} == {("brand", "north")}
    automation = next(s for s in both.get_repository_def().sensor_defs if s.name == "brand_south_default_automation_condition_sensor")
    assert {key.path[1] for key in automation.asset_selection.resolve(both.resolve_asset_graph())} == {"south"}


HEAVY = {"pandas", "sklearn", "lightgbm", "scipy", "matplotlib", "httpx", "pyspark", "sqlalchemy"}


def test_importing_the_code_location_imports_no_heavy_library() -> None:
    code = "import sys, seg_assets.definitions; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "seg_assets.definitions" in loaded
    assert not HEAVY & set(loaded)


def test_building_the_graph_imports_no_heavy_library() -> None:
    code = "import sys; from seg_assets.definitions import defs; defs(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "sklearn", "lightgbm", "scipy", "matplotlib", "httpx", "pyspark"} & set(loaded)
