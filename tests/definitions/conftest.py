"""A small shop of CSV files as a project folder, and graphs made of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from connectors.webhook.emulation import Receiver, Running, running
from seg_assets.build import definitions_of
from seg_assets.graph import AS_OF_TAG, Graph
from seg_assets.project.load import load_project

SECRET = "a signing key for tests"
AS_OF = "2026-07-01T00:00:00Z"
PERSONS = 30

SEGMENTS = """
segment: buyers
title: Buyers
where: {did: order_completed, in: 365d}
needs: [marketing_email]
---
segment: lookers
title: Lookers
where: {did: product_viewed, in: 365d}
"""


def write_project(root: Path, url: str = "http://127.0.0.1:9/", **changes: Any) -> Path:
    """A project of 30 persons with a canary in every address. `changes` replace entries of project.yaml."""
    config: dict[str, Any] = {
        "project": root.name.replace("_", "-"),
        "as_of": AS_OF,
        "connections": {
            "files": {
                "connector": "files",
                "config": {"streams": {name: {"path": f"data/{name}*.csv"} for name in ("people", "clicks", "consents")}},
                "streams": {"people": {"to": "contacts"}, "clicks": {"to": "events"}, "consents": {"to": "consents"}},
            }
        },
        "destinations": {
            "crm": {
                "connector": "webhook",
                "config": {"url": url, "secret": SECRET, "timeout": 5},
                "audiences": "all",
                "fields": {"first_name": "first_name"},
                "armed": True,
            }
        },
        "clustering": {"features": ["days_since_event", "revenue_365d"], "k": "2..3"},
    }
    data = {
        "people": ["contact_id,user_id,email,first_name,city", *(f"c{i},u{i},p{i}.canary@example.org,Canary{i},Bonn" for i in range(PERSONS))],
        "clicks": [
            "event_id,event_type,event_time,user_id,category,channel,revenue,order_id",
            *(f"v{i},product_viewed,2026-0{1 + i % 6}-0{1 + i % 9}T10:00:00Z,u{i},{'shoes' if i % 3 else 'hats'},web,," for i in range(PERSONS)),
            *(f"b{i},order_completed,2026-06-0{1 + i % 9}T11:00:00Z,u{i},shoes,web,{10 + i},o{i}" for i in range(0, PERSONS, 2)),
        ],
        "consents": [
            "consent_id,user_id,purpose,state,stated_at",
            *(f"s{i},u{i},marketing_email,{'denied' if i % 5 == 0 else 'granted'},2026-01-01T00:00:00Z" for i in range(PERSONS)),
        ],
    }
    (root / "data").mkdir(parents=True)
    (root / "segments").mkdir()
    (root / "segments" / "shop.yaml").write_text(SEGMENTS)
    (root / "project.yaml").write_text(yaml.safe_dump(config | changes))
    for name, lines in data.items():
        (root / "data" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return root


def refresh(graph: Graph, instance: dg.DagsterInstance, as_of: str | None = None) -> dg.ExecuteInProcessResult:
    """Materializes everything in this process."""
    job = definitions_of(graph, automation=False).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False, tags={AS_OF_TAG: as_of} if as_of else {})


class Shop:
    """A project that was refreshed and delivered once, with the Dagster instance that recorded it."""

    def __init__(self, root: Path, served: Running, instance: dg.DagsterInstance) -> None:
        self.root, self.receiver, self.instance = root, served.receiver, instance
        self.graph = Graph.of(load_project(root))
        self.first = refresh(self.graph, instance)

    def definitions(self) -> dg.Definitions:
        return definitions_of(self.graph)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Refreshed once for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("definitions")
    (folder / "dagster").mkdir()
    with running(Receiver(folder / "receiver.db", SECRET)) as served, dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        yield Shop(write_project(folder / "shop", served.url), served, instance)


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes a project of its own for a test: name and changes to project.yaml."""
    return lambda name="shop", **changes: write_project(tmp_path / name, **changes)


@pytest.fixture
def run() -> Callable[..., dg.ExecuteInProcessResult]:
    return refresh


@pytest.fixture(autouse=True)
def no_project_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("SEG_")]:
        monkeypatch.delenv(name)
