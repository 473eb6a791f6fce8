"""Vendors as assets: a project of HubSpot, Salesforce, OneTrust and People Data Labs, run over real HTTP against the sandbox's stand-ins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from connectors.hubspot.emulation import PRIVATE_APP_TOKEN
from connectors.onetrust import emulation as onetrust
from connectors.people_data_labs.emulation import API_KEY
from connectors.salesforce import emulation as salesforce
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.faults import Fault
from connectors.sandbox.people import Person, Statement
from connectors.sandbox.server import emulations, serving
from seg_assets.build import definitions_of
from seg_assets.graph import AS_OF_TAG, Graph
from seg_assets.lake import Lake
from seg_assets.project.load import load_project

VENDORS = ("hubspot", "salesforce", "onetrust", "people_data_labs")
BORN = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = "2026-07-01T00:00:00+00:00"
ALLOWING = 3
"""Of the four persons, so many granted profiling; the first ones."""


def person(number: int) -> Person:
    state = "granted" if number < ALLOWING else "denied"
    consents = {"profiling": Statement(state, datetime(2026, 6, 25, tzinfo=UTC))}
    known = {"email": f"ann{number}@example.org", "first_name": "Ann", "last_name": f"No{number}", "city": "Graz"}
    return Person(**known, created_at=BORN, updated_at=BORN, consents=consents, attributes={"gender": "f"})


def settings(urls: dict[str, str]) -> dict:
    profiling = next(key for key, name in onetrust.PURPOSES.items() if name == "profiling")
    org = {"base_url": urls["salesforce"], "client_id": salesforce.CLIENT, "client_secret": salesforce.SECRET}
    tenant = {"base_url": urls["onetrust"], "client_id": onetrust.CLIENT, "client_secret": onetrust.SECRET, "purposes": {"profiling": profiling}}
    columns = {"contact_id": "id", "updated_at": "updated_at"}
    return {
        "project": "vendors",
        "as_of": AS_OF.replace("+00:00", "Z"),
        "connections": {
            "crm": {
                "connector": "hubspot",
                "config": {"base_url": urls["hubspot"], "access_token": PRIVATE_APP_TOKEN},
                "streams": {"contacts": {"to": "contacts", "columns": {**columns, "email": "email", "first_name": "firstname", "city": "city"}}},
            },
            "org": {
                "connector": "salesforce",
                "config": org,
                "streams": {"contacts": {"to": "contacts", "columns": {**columns, "email": "Email", "last_name": "LastName"}}},
            },
            "consents": {"connector": "onetrust", "config": tenant},
        },
        "enrichers": {
            "pdl": {
                "connector": "people_data_labs",
                "config": {"base_url": urls["people_data_labs"], "api_key": API_KEY},
                "fields": {"sex": "gender", "location_locality": "city"},
                "purpose": "profiling",
                "budget": 100,
            }
        },
    }


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Emulation], dict[str, str]]]:
    some = {one.name: one for one in emulations(tmp_path_factory.mktemp("sandbox"), VENDORS)}
    for one in some.values():
        one.seed([person(number) for number in range(4)])
    with serving(*some.values()) as served:
        yield some, {name: served.url(name) for name in VENDORS}


@pytest.fixture
def run(tmp_path: Path, stand_ins: tuple[dict[str, Emulation], dict[str, str]]) -> Callable[..., dg.ExecuteInProcessResult]:
    """Writes the project (changed) and materializes assets of it; the lake stays from call to call."""

    def call(*keys: str, change: Callable[[dict], object] = lambda _: None, fails: bool = False) -> dg.ExecuteInProcessResult:
        config = settings(stand_ins[1])
        change(config)
        (tmp_path / "project.yaml").write_text(yaml.safe_dump(config))
        graph = Graph.of(load_project(tmp_path))
        job = definitions_of(graph, automation=False).resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection={dg.AssetKey(key.split("/")) for key in keys})
        done = subset.execute_in_process(instance=dg.DagsterInstance.ephemeral(), tags={AS_OF_TAG: AS_OF}, raise_on_error=not fails)
        assert done.success is not fails
        return done

    return call


RAW = ("raw/crm/contacts", "raw/org/contacts", "raw/consents/consents")
UNIFIED = ("unified/contacts", "unified/consents", "unified/enrichments")


def rows(tmp_path: Path, key: str) -> list[dict]:
    return Lake(str(tmp_path / "lake")).read(tuple(key.split("/"))).to_pyarrow().to_pylist()


def metadata(done: dg.ExecuteInProcessResult, key: str) -> dict:
    events = done.get_asset_materialization_events()
    (found,) = [e.materialization.metadata for e in events if e.asset_key == dg.AssetKey(key.split("/"))]
    return {name: value.value for name, value in found.items()}


def checks(done: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {f"{e.asset_key.to_user_string()}:{e.check_name}": e.passed for e in done.get_asset_check_evaluations()}


def test_what_vendors_hold_becomes_canonical_and_only_who_allows_it_is_asked_about(tmp_path: Path, run: Callable) -> None:
    done = run(*RAW, *UNIFIED, "enriched/pdl")
    assert {(r["source"], r["email"]) for r in rows(tmp_path, "unified/contacts")} == {
        (f"{source}/contacts", f"ann{n}@example.org") for source in ("crm", "org") for n in range(4)
    }
    assert {(r["email"], r["purpose"], r["state"]) for r in rows(tmp_path, "unified/consents")} == {
        (f"ann{n}@example.org", "profiling", "granted" if n < ALLOWING else "denied") for n in range(4)
    }
    told = {(r["email"], r["attribute"], r["value"]) for r in rows(tmp_path, "unified/enrichments")}
    assert told == {(f"ann{n}@example.org", *one) for n in range(ALLOWING) for one in (("gender", "female"), ("city", "graz"))}
    spent = metadata(done, "enriched/pdl")
    assert (spent["persons_due"], spent["persons_asked"], spent["spent"], spent["unit"], spent["calls"]) == (ALLOWING, ALLOWING, 3.0, "credits", 1)
    assert metadata(done, "raw/crm/contacts")["calls"] >= 2
    assert metadata(done, "raw/crm/contacts")["bytes_received"] > 500
    assert checks(done)["enriched/pdl:budget"]
    assert checks(done)["raw/crm/contacts:whole_slices"]
    assert checks(done)["raw/crm/contacts:same_columns"]
    kept = json.dumps([str(event) for event in done.all_events])
    assert not [secret for secret in ("ann0@example", API_KEY, PRIVATE_APP_TOKEN) if secret in kept]


def test_nothing_is_asked_twice_and_nothing_is_read_twice(tmp_path: Path, run: Callable, stand_ins: tuple) -> None:
    run(*RAW, *UNIFIED, "enriched/pdl")
    left = stand_ins[0]["people_data_labs"].credits_left()
    again = run(*RAW, *UNIFIED, "enriched/pdl")
    assert stand_ins[0]["people_data_labs"].credits_left() == left
    assert metadata(again, "enriched/pdl")["persons_due"] == 0
    assert metadata(again, "raw/crm/contacts")["new_rows"] == 0


def test_a_budget_ends_asking_and_a_check_says_so(tmp_path: Path, run: Callable) -> None:
    done = run(*RAW, *UNIFIED, "enriched/pdl", change=lambda config: config["enrichers"]["pdl"].update(budget=2, expect=1.0))
    assert metadata(done, "enriched/pdl")["spent"] == 2.0
    assert not checks(done)["enriched/pdl:budget"]
    assert checks(done)["enriched/pdl:match_rate"]
    more = run("enriched/pdl")
    assert metadata(more, "enriched/pdl")["persons_asked"] == 1


def test_a_vendor_that_fails_in_between_loses_nothing_that_was_read(tmp_path: Path, run: Callable, stand_ins: tuple) -> None:
    hubspot = stand_ins[0]["hubspot"]
    small = lambda config: config["connections"]["crm"]["config"].update(page_size=1)  # noqa: E731
    hubspot.faults.coming.extend([Fault(applied=True)] * 4 + [Fault(status=400)])
    run("raw/crm/contacts", change=small, fails=True)
    kept = len(rows(tmp_path, "raw/crm/contacts"))
    assert 0 < kept < 4
    done = run("raw/crm/contacts", change=small)
    assert metadata(done, "raw/crm/contacts")["new_rows"] == 4 - kept
    assert sorted(r["email"] for r in rows(tmp_path, "raw/crm/contacts")) == [f"ann{n}@example.org" for n in range(4)]


def test_who_is_deleted_at_the_vendor_is_no_contact_any_more(tmp_path: Path, run: Callable, stand_ins: tuple) -> None:
    run("raw/org/contacts", "unified/contacts", change=lambda config: config["connections"].pop("crm"))
    org = stand_ins[0]["salesforce"]
    (record,) = org.store.select("Contact", "body ->> 'Email' = 'ann3@example.org'")
    record.body["IsDeleted"], record.changed_at = True, record.changed_at + 60_000
    org.store.save([record])
    done = run("raw/org/contacts", "unified/contacts", change=lambda config: config["connections"].pop("crm"))
    assert metadata(done, "raw/org/contacts")["new_rows"] == 1
    assert {r["email"] for r in rows(tmp_path, "unified/contacts")} == {f"ann{n}@example.org" for n in range(3)}


def test_only_what_a_project_configures_is_in_its_graph(tmp_path: Path, run: Callable) -> None:
    config = settings(dict.fromkeys(VENDORS, "http://127.0.0.1:9"))
    del config["enrichers"]
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(config))
    keys = definitions_of(Graph.of(load_project(tmp_path)), automation=False).resolve_asset_graph().get_all_asset_keys()
    assert not [key for key in keys if key.path[0] == "enriched"]
    config = settings(dict.fromkeys(VENDORS, "http://127.0.0.1:9"))
    config["enrichers"]["pdl"]["fields"] = {"shoe_size": "gender"}
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(config))
    node = Graph.of(load_project(tmp_path)).enrichers[0]
    assert node.error == "no field shoe_size (it has sex, birth_year, location_country, location_locality, job_title, industry)"
