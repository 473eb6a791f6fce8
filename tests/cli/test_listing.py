"""Verbs that only read: what they print for people and, with --json, for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg_assets.project.init import init_project
from tests.cli.command import files, seg


@pytest.fixture
def project(tmp_path: Path) -> Path:
    init_project(tmp_path / "shop")
    return tmp_path / "shop"


def test_every_connector_is_listed_with_its_state(project: Path) -> None:
    listed = {row["connector"]: row for row in seg("connectors", "list", "--project", project, "--json").json}
    assert {name: (row["kind"], row["from"], row["state"]) for name, row in listed.items()} == {
        "braze": ("destination", "built-in", "ok"),
        "customerio": ("destination", "built-in", "ok"),
        "files": ("source", "built-in", "ok"),
        "hubspot": ("source, destination", "built-in", "ok"),
        "marketo": ("destination", "built-in", "ok"),
        "onetrust": ("source, consent provider", "built-in", "ok"),
        "people_data_labs": ("enricher", "built-in", "ok"),
        "salesforce": ("source, destination", "built-in", "ok"),
        "shop": ("source", "built-in", "ok"),
        "webhook": ("destination", "built-in", "ok"),
    }
    assert "files" in seg("connectors", "list", "--project", project).out


def test_a_broken_connector_of_the_project_is_listed_with_its_reason(project: Path) -> None:
    (project / "connectors").mkdir()
    (project / "connectors" / "crm.py").write_text("raise RuntimeError('no licence')\n", encoding="utf-8")
    done = seg("connectors", "list", "--project", project, "--json")
    assert done.code == 0
    broken = [row for row in done.json if row["state"] == "broken"]
    assert [(row["connector"], "no licence" in row["about"]) for row in broken] == [("(crm)", True)]


def test_a_connector_tells_what_it_takes() -> None:
    info = seg("connectors", "info", "files", "--json").json
    assert list(info) == ["id", "title", "description", "kinds", "capabilities", "limits", "config"]
    assert {"path", "streams", "encoding"} <= set(info["config"]["properties"])
    assert "encoding" in seg("connectors", "info", "files").out


def test_the_schema_is_one_json_schema() -> None:
    schema = seg("schema").json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"project", "lake", "connections", "destinations"} <= set(schema["properties"])


def test_an_empty_lake_has_no_tables_and_stays_empty(project: Path) -> None:
    before = files(project)
    assert seg("status", "--project", project, "--json").json == []
    assert seg("status", "--project", project).out == f"The lake {project / 'lake'} is empty. `seg run` fills it.\n"
    assert files(project) == before


def test_help_names_every_verb() -> None:
    done = seg("--help")
    assert done.code == 0
    assert all(f"  {verb} " in done.out for verb in ("demo", "init", "run", "ui", "status", "table", "segments", "connectors", "schema"))
