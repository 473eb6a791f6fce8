"""Pages and schemas made from the models say what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest

from seg_assets.project.load import demo_path, load_project
from seg_assets.project.models import ProjectConfig
from seg_assets.project.reference import project_json_schema, project_reference
from seg_assets.project.secrets import resolve_secrets
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


def test_demo_settings_are_what_its_connectors_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.shop.config import ShopConfig
    from connectors.webhook.destination import WebhookConfig

    config = load_project(demo_path()).config
    shop = ShopConfig.model_validate(config.connections["shop"].config)
    assert (shop.customers, shop.seed, str(shop.start), str(shop.end)) == (5000, 7, "2025-07-01", "2026-06-30")
    monkeypatch.setenv("SEG_DEMO_WEBHOOK_URL", "http://127.0.0.1:8123/audiences")
    monkeypatch.setenv("SEG_DEMO_WEBHOOK_SECRET", "sixteen characters")
    webhook = WebhookConfig.model_validate(resolve_secrets(config.destinations["crm_webhook"].config))
    assert webhook.url == "http://127.0.0.1:8123/audiences"
    assert config.destinations["crm_webhook"].armed
