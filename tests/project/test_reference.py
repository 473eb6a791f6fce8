"""Pages and schemas made from the models say what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg_assets.graph import Graph
from seg_assets.project.load import demo_path, load_project
from seg_assets.project.models import ProjectConfig
from seg_assets.project.reference import project_json_schema, project_reference
from seg_assets.schema.docs import schema_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "made", "command"),
    [
        ("project-reference.md", project_reference, "python -m seg_assets.project.reference > docs/project-reference.md"),
        ("schema.md", schema_page, "python -m seg_assets.schema.docs > docs/schema.md"),
    ],
)
def test_committed_page_is_up_to_date(page, made, command: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == made(), f"renew it: {command}"


def test_every_key_of_every_model_is_described() -> None:
    schema = project_json_schema()
    models = [schema, *schema["$defs"].values()]
    parts = [part for model in models for part in (model, *model.get("anyOf", [])) if "properties" in part]
    lacking = [key for part in parts for key, field in part["properties"].items() if not field.get("description") and "$ref" not in field]
    assert lacking == []
    assert all(part["additionalProperties"] is False for part in parts)


def test_reference_names_every_key_of_the_top_level() -> None:
    page = project_reference()
    assert all(f"| `{key}` |" in page for key in ProjectConfig.model_fields)


def test_schema_shows_defaults_as_they_are_written_in_yaml() -> None:
    definitions = project_json_schema()["$defs"]
    assert definitions["Connection"]["properties"]["poll"]["default"] == "1m"
    assert definitions["Clustering"]["properties"]["k"]["default"] == "3..12"


def test_schema_page_shows_every_table_and_word() -> None:
    page = schema_page()
    assert "## unified/events" in page
    assert "| `event_time` | instant | required |" in page
    assert "| `order_completed` |" in page
    assert "| channel | `web` | website, desktop web, site |" in page


def test_demo_settings_are_what_its_connectors_expect() -> None:
    graph = Graph.of(load_project(demo_path()))
    nodes = [(node.name, node.error) for node in (*graph.connections, *graph.destinations)]
    assert nodes == [("shop", None), ("braze", None), ("customerio", None), ("hubspot", None)]
    assert all(destination.armed for destination in graph.project.config.destinations.values())
