"""What a refresh leaves in Dagster: rows counted, checks passed, figures traceable, and nobody's address."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from seg_assets.graph import Graph
from seg_assets.project.load import load_project
from seg_assets.schema.tables import SEGMENT_CHANGES
from seg_assets.segments.log import movements
from tests.definitions.conftest import AS_OF, PERSONS, SECRET, Shop, refresh


def test_every_asset_is_made_and_counts_its_rows(shop: Shop) -> None:
    assert shop.first.success
    made = {e.asset_key: e.step_materialization_data.materialization.metadata for e in shop.first.get_asset_materialization_events()}
    graph = shop.definitions().resolve_asset_graph()
    assert set(made) == set(graph.materializable_asset_keys)
    assert [key.to_user_string() for key, metadata in made.items() if "dagster/row_count" not in metadata] == []
    assert made[dg.AssetKey(["identity", "persons"])]["dagster/row_count"].value == PERSONS


def test_every_check_runs_and_passes(shop: Shop) -> None:
    checks = shop.first.get_asset_check_evaluations()
    assert {e.asset_check_key for e in checks} == set(shop.definitions().resolve_asset_graph().asset_check_keys)
    assert [e.asset_check_key for e in checks if not e.passed] == []


def test_every_table_says_what_it_was_made_from(shop: Shop) -> None:
    lake = shop.graph.lake
    facts = {key: lake.facts(key) for key in lake.tables() if key[0] not in {"raw"} and not key[-1].startswith("_")}
    assert ("segments", "memberships") in facts
    for key, said in facts.items():
        assert said["as_of"].startswith(AS_OF[:10]), key
        assert said["run_id"] == shop.first.run_id, key
        assert "+" in said["code_version"], key
    inputs = facts["segments", "memberships"]["inputs"]
    assert inputs["profiles/features"] == lake.delta(("profiles", "features")).version()


def test_the_audience_is_delivered_to_those_who_allow_it(shop: Shop) -> None:
    buyers = {f"p{i}.canary@example.org" for i in range(0, PERSONS, 2) if i % 5}
    assert set(shop.receiver.held.members("buyers")) == buyers


def test_dagster_and_the_lake_outside_the_vault_hold_no_address_and_no_secret(shop: Shop) -> None:
    texts = [str(event) for event in shop.instance.all_logs(shop.first.run_id)]
    storage = Path(shop.instance.root_directory)
    texts += [file.read_bytes().decode("latin-1") for file in storage.rglob("*") if file.is_file()]
    lake = shop.graph.lake
    readable = [key for key in lake.tables() if key[0] not in {"raw", "unified"} and key != ("identity", "vault")]
    texts += [str(lake.read(key).to_pyarrow().to_pylist()) for key in readable]
    assert len(texts) > 100
    assert [text[:80] for text in texts if "canary@" in text or "Canary1" in text or SECRET in text] == []


def test_a_second_refresh_sends_nothing_twice_and_writes_nothing_anew(shop: Shop) -> None:
    before, stored = shop.receiver.held.audiences(), versions(shop)
    assert before
    again = refresh(shop.graph, shop.instance)
    assert again.success
    assert shop.receiver.held.audiences() == before
    anew = {key for key, version in versions(shop).items() if version != stored[key]}
    assert {key for key in anew if key[0] not in {"activation", "ops"}} == set()
    standing = {e.asset_key.path[-1] for e in again.get_asset_materialization_events() if "unchanged" in e.materialization.metadata}
    assert standing == {"memberships", "changes", "health"}


def test_an_edited_segment_is_evaluated_though_its_data_stands(shop: Shop) -> None:
    before = versions(shop)["segments", "memberships"]
    definitions = shop.root / "segments" / "shop.yaml"
    definitions.write_text(definitions.read_text().replace("{did: product_viewed, in: 365d}", "{did: product_viewed, in: 40d}"))
    assert refresh(Graph.of(load_project(shop.root)), shop.instance).success
    assert versions(shop)["segments", "memberships"] == before + 1
    log = shop.graph.lake.read(SEGMENT_CHANGES.key)
    moved = movements(log.filter(log.segment == "lookers")).to_pyarrow().to_pylist()
    assert [(step["evaluation"], step["size"] < PERSONS) for step in moved] == [(0, False), (before + 1, True)]


def versions(shop: Shop) -> dict[tuple[str, ...], int]:
    lake = shop.graph.lake
    return {key: lake.delta(key).version() for key in lake.tables()}
