"""`seg init`: a project that works at once."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dotenv import dotenv_values

from seg_assets.errors import ProjectError
from seg_assets.project.init import init_project, project_id
from seg_assets.project.load import load_project
from seg_assets.segments.catalog import catalog_of
from seg_assets.segments.parse import read_segments


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_new_project_loads(tmp_path: Path) -> None:
    init_project(tmp_path / "my shop")
    project = load_project(tmp_path / "my shop")
    assert project.id == "my_shop"
    assert {stream: mapping.to for stream, mapping in project.config.connections["shop_files"].streams.items()} == {
        "customers": "contacts",
        "events": "events",
        "consents": "consents",
    }
    assert [file.name for file in sorted(project.segments_dir.iterdir())] == ["lapsed.yaml", "recently_active.yaml", "vip.yaml"]


def test_every_mapped_column_is_in_its_sample_file(tmp_path: Path) -> None:
    init_project(tmp_path / "shop")
    connection = load_project(tmp_path / "shop").config.connections["shop_files"]
    for stream, settings in connection.config["streams"].items():
        header = rows(tmp_path / "shop" / settings["path"])[0].keys()
        mapped = {mapping.column for mapping in connection.streams[stream].columns.values() if mapping.column}
        assert mapped <= header


def test_sample_people_are_made_up_and_fit_together(tmp_path: Path) -> None:
    init_project(tmp_path / "shop")
    customers, events = rows(tmp_path / "shop/data/customers.csv"), rows(tmp_path / "shop/data/events.csv")
    assert len(customers) == 40
    assert all(person["E-Mail"].endswith("@example.com") and "555-01" in (person["Phone"] or "555-01") for person in customers)
    assert {event["customer"] for event in events} - {""} <= {person["Customer No"] for person in customers}
    taxonomy = load_project(tmp_path / "shop").taxonomy
    assert {event["type"] for event in events} <= taxonomy.event_spellings().keys()
    assert {person["Tier"] for person in customers} <= taxonomy.enum_spellings("tier").keys()


def test_sample_segments_are_valid(tmp_path: Path) -> None:
    init_project(tmp_path / "shop")
    project = load_project(tmp_path / "shop")
    found = read_segments(project.segments_dir, catalog_of(project.taxonomy))
    assert found.errors == ()
    assert set(found.segments) == {"recently_active", "lapsed", "vip"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    (root / "segments").mkdir(parents=True)
    (root / "segments" / "vip.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"there is a segments/vip\.yaml already \(choose an empty folder; nothing was written\)"):
        init_project(root)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["vip.yaml"]
    assert (root / "segments" / "vip.yaml").read_text(encoding="utf-8") == "mine"


def test_second_init_is_refused(tmp_path: Path) -> None:
    init_project(tmp_path)
    with pytest.raises(ProjectError, match="already"):
        init_project(tmp_path)


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("", encoding="utf-8")
    with pytest.raises(ProjectError, match="is a file, not a folder"):
        init_project(tmp_path / "shop")


def test_other_files_stay_beside_the_project(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    written = init_project(tmp_path)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.name != "notes.txt")


def test_no_placeholder_is_left(tmp_path: Path) -> None:
    assert not [file.name for file in init_project(tmp_path / "shop") if "{{" in file.read_text(encoding="utf-8")]


def test_workspace_opens_this_project_by_its_name(tmp_path: Path) -> None:
    init_project(tmp_path / "my shop")
    target = yaml.safe_load((tmp_path / "my shop" / "workspace.yaml").read_text(encoding="utf-8"))
    assert target == {"load_from": [{"python_module": {"module_name": "seg_assets.definitions", "location_name": "my_shop"}}]}


def test_environment_file_points_at_the_project(tmp_path: Path) -> None:
    root = tmp_path / "my shop"
    init_project(root)
    variables = dotenv_values(root / ".env")
    assert (variables["SEG_PROJECT"], variables["DAGSTER_HOME"]) == (str(root), str(root))
    assert str(root) not in (root / ".env.example").read_text(encoding="utf-8")
    assert ".env" in (root / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_dagster_accepts_the_instance_settings(tmp_path: Path) -> None:
    init_project(tmp_path / "shop")
    with DagsterInstance.from_config(str(tmp_path / "shop")) as instance:
        assert instance.telemetry_enabled is False
        assert instance.run_monitoring_enabled is True


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("Shop", "shop"), ("My Shop-2", "my_shop_2"), ("2026", "project_2026"), ("...", "project"), ("Ünïcode", "n_code"), ("x" * 80, "x" * 63)],
)
def test_project_is_named_after_its_folder(folder: str, expected: str) -> None:
    assert project_id(folder) == expected
