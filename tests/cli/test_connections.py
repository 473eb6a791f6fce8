"""`seg connectors check`, `discover` and `read`: trying out what a project has configured, against stand-ins, with nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.hubspot.emulation import PRIVATE_APP_TOKEN
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.people import Person
from connectors.sandbox.server import emulations, serving
from tests.cli.command import seg

VENDORS = ("hubspot", "salesforce", "marketo", "customerio", "braze", "onetrust", "webhook")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = """
project: shop
connections:
  crm: {{connector: hubspot, config: {{base_url: "{hubspot}", access_token: {token}}}}}
  people: {{connector: files, config: {{path: people.csv}}}}
destinations:
  members: {{connector: hubspot, config: {{base_url: "{hubspot}", access_token: {token}}}, audiences: all}}
  campaigns: {{connector: salesforce, config: {{base_url: "{salesforce}", client_id: {sf_id}, client_secret: {sf_secret}}}, audiences: all}}
  leads: {{connector: marketo, config: {{base_url: "{marketo}", folder: 1, client_id: {mk_id}, client_secret: {mk_secret}}}, audiences: all}}
  segments: {{connector: customerio, config: {{track_url: "{customerio}", app_url: "{customerio}", site_id: {site}, track_api_key: {track}, app_api_key: {app}}}, audiences: all}}
  users: {{connector: braze, config: {{base_url: "{braze}", api_key: {braze_key}}}, audiences: all}}
  hook: {{connector: webhook, config: {{url: "{webhook}/deliver", secret: {hook_secret}}}, audiences: all}}
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, Emulation]:
    some = {one.name: one for one in emulations(tmp_path / "sandbox", VENDORS)}
    some["hubspot"].seed([Person(f"ann{n}@example.org", first_name="Ann", created_at=WHEN, updated_at=WHEN) for n in range(3)])
    return some


@pytest.fixture
def project(tmp_path: Path, stand_ins: dict[str, Emulation]) -> Iterator[Path]:
    from connectors.braze.emulation import API_KEY
    from connectors.customerio.emulation import APP_KEY, SITE_ID, TRACK_KEY
    from connectors.marketo import emulation as marketo
    from connectors.salesforce import emulation as salesforce
    from connectors.webhook.emulation import SECRET

    root = tmp_path / "project"
    root.mkdir()
    (root / "people.csv").write_text("name\nAnn\n")
    with serving(*stand_ins.values()) as served:
        urls = {name: served.url(name) for name in VENDORS}
        keys = {"token": PRIVATE_APP_TOKEN, "braze_key": API_KEY, "site": SITE_ID, "track": TRACK_KEY, "app": APP_KEY, "hook_secret": SECRET}
        keys |= {"sf_id": salesforce.CLIENT, "sf_secret": salesforce.SECRET, "mk_id": marketo.CLIENT, "mk_secret": marketo.SECRET}
        (root / "project.yaml").write_text(PROJECT.format(**urls, **keys))
        yield root


def test_everything_that_works_is_said_to(project: Path, stand_ins: dict[str, Emulation]) -> None:
    before = {name: one.store.effects() for name, one in stand_ins.items()}
    done = seg("connectors", "check", "--project", project, "--json")
    assert {row["name"]: row["state"] for row in done.json} == dict.fromkeys(
        ("crm", "people", "members", "campaigns", "leads", "segments", "users", "hook"), "ok"
    )
    assert done.code == 0
    assert {name: one.store.effects() for name, one in stand_ins.items()} == before
    assert not (project / "lake").joinpath("raw").exists()


def test_refused_credentials_are_named_with_what_to_do(project: Path) -> None:
    text = (project / "project.yaml").read_text()
    (project / "project.yaml").write_text(text.replace(PRIVATE_APP_TOKEN, "wrong"))
    done = seg("connectors", "check", "crm", "members", "hook", "--project", project, "--json")
    assert [row["state"] for row in done.json] == ["failed", "failed", "ok"]
    assert all("check the credentials" in row["about"] for row in done.json[:2])
    assert done.code == 1


def test_a_name_that_is_not_configured_says_what_is(project: Path) -> None:
    (row,) = seg("connectors", "check", "crn", "--project", project, "--json").json
    assert "it has crm, people" in row["about"]


def test_streams_and_objects_are_discovered(project: Path) -> None:
    columns = {row["column"]: row for row in seg("connectors", "discover", "crm", "--project", project, "--json").json}
    assert (columns["id"]["key"], columns["updated_at"]["cursor"], columns["email"]["personal"]) == (True, True, "identifier")
    (object,) = seg("connectors", "discover", "members", "--project", project, "--json").json
    assert (object["object"], object["match key"], object["batch"]) == ("members", "email", 1000)
    assert [row["column"] for row in seg("connectors", "discover", "people", "--project", project, "--json").json] == ["name"]


def test_rows_are_read_with_personal_columns_hidden_unless_asked_for(project: Path) -> None:
    rows = seg("connectors", "read", "crm", "--limit", "2", "--project", project, "--json").json
    assert [(row["email"], row["firstname"]) for row in rows] == [("•••", "•••")] * 2
    shown = seg("connectors", "read", "crm", "contacts", "--limit", "9", "--clear", "--project", project, "--json").json
    assert sorted(row["email"] for row in shown) == [f"ann{n}@example.org" for n in range(3)]


def test_a_destination_can_not_be_read(project: Path) -> None:
    assert "nothing to read" in seg("connectors", "read", "members", "--project", project).mistake
    assert "it has contacts" in seg("connectors", "read", "crm", "companies", "--project", project).mistake
