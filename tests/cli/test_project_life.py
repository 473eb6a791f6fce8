"""One project from `seg init` to delivered audiences, through a destination that is down, one that gives up half-way, and a broken segment."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.faults import Fault
from connectors.webhook.emulation import Receiver, running
from tests.cli.command import Done, seg

pytestmark = pytest.mark.slow

SECRET = "shared-with-the-receiver"
ACTIVATION = 'key:"activation/crm/members/plan"+'

DESTINATION = """
destinations:
  crm:
    connector: webhook
    config: {{url: "http://127.0.0.1:{port}/webhook/deliver", secret: "${{CRM_SECRET}}", max_batch: 10}}
    audiences: [recently_active]
    fields: {{tier: tier, engagement: engagement_label}}
    armed: true
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("life") / "shop"


@pytest.fixture(scope="module")
def first_run(project: Path) -> Done:
    assert seg("init", project).code == 0
    return seg("run", "--project", project, "--json")


@pytest.fixture(scope="module")
def port() -> int:
    """A port nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def down(project: Path, first_run: Done, port: int) -> Done:
    """The run after a destination was added whose receiver does not answer."""
    with (project / "project.yaml").open("a", encoding="utf-8") as file:
        file.write(DESTINATION.format(port=port))
    return seg("run", "--project", project, "--as-of", "2026-07-02T02:00:00+02:00", "--json", CRM_SECRET=SECRET)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path_factory.mktemp("receiver") / "held.sqlite", SECRET)
    with running(receiver, port):
        yield receiver


@pytest.fixture(scope="module")
def half(project: Path, down: Done, receiver: Receiver) -> Done:
    """The run in which the receiver takes one batch and is overloaded afterwards."""
    receiver.faults.coming = deque([Fault(applied=True), *[Fault(status=503)] * 10])
    return seg("run", "--project", project, "--select", ACTIVATION, "--json", CRM_SECRET=SECRET)


@pytest.fixture(scope="module")
def up(project: Path, half: Done, receiver: Receiver) -> Done:
    receiver.faults.coming.clear()
    return seg("run", "--project", project, "--select", ACTIVATION, "--json", CRM_SECRET=SECRET)


def test_a_new_project_runs_at_once(project: Path, first_run: Done) -> None:
    assert first_run.code == 0
    found = first_run.json
    assert list(found) == ["as_of", "people", "segments", "personas", "deliveries", "destinations", "quarantined", "lake", "seconds"]
    assert (found["as_of"], found["people"], found["quarantined"], found["lake"]) == ("2026-07-01T00:00:00+00:00", 40, 0, str(project / "lake"))
    assert [s["id"] for s in found["segments"]] == ["recently_active", "vip", "lapsed"]
    assert all(list(s) == ["id", "size"] and 0 < s["size"] < 40 for s in found["segments"])
    assert all(list(p) == ["id", "label", "size"] and p["label"] for p in found["personas"])
    assert sum(p["size"] for p in found["personas"]) == 40
    assert found["deliveries"] == {"acked": 0, "rejected": 0, "pending": 0}
    assert found["seconds"] > 0


def test_a_destination_that_is_down_is_named_and_fails_the_run(down: Done) -> None:
    assert down.code == 1
    complaint = [line for line in down.err.splitlines() if line.startswith("seg: ")]
    assert len(complaint) == 1
    assert "activation/crm/members/delivery: destination crm: the webhook can't be reached" in complaint[0]
    assert SECRET not in down.err + down.out


def test_everything_before_the_destination_is_kept(first_run: Done, down: Done) -> None:
    before, after = first_run.json, down.json
    assert (after["people"], {s["id"] for s in after["segments"]}) == (40, {s["id"] for s in before["segments"]})
    assert after["as_of"] == "2026-07-02T00:00:00+00:00"
    assert after["deliveries"]["acked"] == 0
    assert after["deliveries"]["pending"] > 0


def test_a_destination_that_gives_up_half_way_fails_the_run(half: Done) -> None:
    assert half.code == 1
    assert "destination crm: " in half.err
    acked, pending = half.json["deliveries"]["acked"], half.json["deliveries"]["pending"]
    assert f"{pending} operations are not acknowledged: http 503" in half.err
    assert 0 < acked <= 10 < pending


def test_the_next_run_delivers_exactly_the_rest(half: Done, up: Done, receiver: Receiver) -> None:
    assert up.code == 0
    counts = up.json["deliveries"]
    assert counts == {"acked": half.json["deliveries"]["acked"] + half.json["deliveries"]["pending"], "rejected": 0, "pending": 0}
    members = receiver.held.members("recently_active")
    assert len(members) == counts["acked"]
    assert all(fields["engagement"] in {"Highly Engaged", "Moderately Engaged", "Lurker"} for fields in members.values())


def test_a_membership_is_explained_and_its_history_told(project: Path, up: Done) -> None:
    one = seg("table", "segments/memberships", "--project", project, "--json", "--limit", "1").json[0]
    person, segment = one["person_id"], one["segment"]
    explained = seg("segments", "explain", str(person), segment, "--project", project, "--json").json
    assert (explained["member"], explained["misses"]) == (True, [])
    assert explained["reasons"] == json.loads(one["reasons"])
    steps = seg("segments", "history", str(person), "--project", project, "--json").json
    assert ("entered", "data") in {(s["change"], s["cause"]) for s in steps if s["segment"] == segment}
    told = seg("segments", "history", str(person), "--project", project)
    assert explained["reasons"][0]["clause"].split()[-1] in told.out


def test_a_preview_names_who_would_enter_and_leave_and_writes_nothing(project: Path, up: Done) -> None:
    held = {
        row["person_id"]
        for row in seg("table", "segments/memberships", "--project", project, "--json", "--limit", "0").json
        if row["segment"] == "vip"
    }
    file = project / "segments" / "vip.yaml"
    written = file.read_text(encoding="utf-8")
    file.write_text("segment: vip\nwhere: {orders_total: '>=0'}\n", encoding="utf-8")
    seen = seg("segments", "preview", "vip", "--project", project, "--json").json[0]
    file.write_text(written, encoding="utf-8")
    assert (seen["size"], seen["adds"], seen["leave"]) == (40, 40 - len(held), [])
    assert len(seen["enter"]) == seen["adds"]
    assert not held & set(seen["enter"])
    stands = seg("segments", "preview", "vip", "--project", project, "--json").json[0]
    assert (stands["size"], stands["enter"], stands["leave"]) == (len(held), [], [])


def test_a_segment_that_can_not_be_read_fails_the_run_and_keeps_its_members(project: Path, up: Done, receiver: Receiver) -> None:
    before = receiver.held.members("recently_active")
    file = project / "segments" / "recently_active.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("product_viewed", "product_viewd"), encoding="utf-8")
    done = seg("run", "--project", project, "--select", f'key:"segments/memberships" or {ACTIVATION}', "--json", CRM_SECRET=SECRET)
    assert done.code == 1
    assert [
        line for line in done.err.splitlines() if line.startswith(f"seg: {file}:4:9: unknown event 'product_viewd' (did you mean 'product_viewed'")
    ]
    assert {s["id"] for s in done.json["segments"]} == {s["id"] for s in up.json["segments"]}
    assert receiver.held.members("recently_active") == before


def test_what_was_made_can_be_read(project: Path, up: Done) -> None:
    tables = {row["table"]: row for row in seg("status", "--project", project, "--json").json}
    assert {"unified/events", "identity/persons", "profiles/features", "segments/memberships", "activation/crm/members/receipts"} <= set(tables)
    assert (tables["identity/persons"]["rows"], list(tables["identity/persons"])) == (40, ["table", "rows", "megabytes", "version", "as_of"])
    two = seg("table", "profiles/features", "--project", project, "--json", "--limit", "2").json
    assert len(two) == 2
    assert {"person_id", "orders_total"} <= set(two[0])
    everybody = seg("table", "identity/persons", "--project", project, "--json", "--limit", "0").json
    assert len({row["person_id"] for row in everybody}) == 40
    assert "person_id" in seg("table", "identity/persons", "--project", project, "--limit", "1").out


def test_secrets_and_addresses_stay_out_of_the_ledger_and_the_tables(project: Path, up: Done) -> None:
    address = next(iter(seg("table", "identity/vault", "--project", project, "--json", "--limit", "0").json))["email"]
    assert "@" in address
    held = [p for p in (project / "lake").rglob("*") if p.is_file() and not {"vault", "unified", "raw"} & set(p.parts)]
    assert held
    assert not [p for p in held if address.encode() in p.read_bytes() or SECRET.encode() in p.read_bytes()]
