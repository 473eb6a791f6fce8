"""`seg activate` on a shop that was delivered once, over HTTP to a real receiver. `pytest -m release` tries it on changed copies of that shop, too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from connectors.registry import Registry
from connectors.types import DeliveryEvent
from connectors.webhook.emulation import Receiver, running
from seg_assets.cli import cli
from seg_assets.deliveries.delivering import deliver_plan
from seg_assets.deliveries.standing import planning_now
from seg_assets.errors import SegError
from seg_assets.graph import Graph
from seg_assets.project.load import load_project
from seg_assets.schema.tables import CONSENTS, VAULT
from tests.definitions.conftest import SECRET, Shop

Seg = Callable[..., Any]


@pytest.fixture
def copy(shop: Shop, tmp_path: Path) -> Iterator[Path]:
    """The shop and its receiver as they were after the first delivery, to be changed."""
    root = tmp_path / "shop"
    shutil.copytree(shop.root, root)
    for file in shop.root.parent.glob("receiver.db*"):  # what was written last is in a file of its own
        shutil.copy(file, tmp_path)
    with running(Receiver(tmp_path / "receiver.db", SECRET)) as served:
        file = root / "project.yaml"
        old = next(word for word in file.read_text().split() if word.startswith("http://127.0.0.1:"))
        file.write_text(file.read_text().replace(old, served.url))
        yield root


@pytest.fixture
def seg() -> Seg:
    """Runs `seg activate` here: what it prints as JSON; mistakes are raised."""

    def run(project: Path, *arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(cli, ["activate", *arguments, "--project", str(project), "--json"], catch_exceptions=False, standalone_mode=False)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return run


def edit(project: Path, old: str, new: str) -> None:
    file = project / "project.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_plan_of_what_was_delivered_is_empty(shop: Shop, seg: Seg) -> None:
    (found,) = seg(shop.root, "plan")
    assert found["plan"].startswith("crm@")
    assert (found["armed"], found["add"], found["update"], found["remove"]) == (True, 0, 0, 0)
    assert (found["urgent"], found["blocked"]) == (0, {})


def test_a_plan_has_the_same_id_until_something_changes(shop: Shop, seg: Seg) -> None:
    plans = [seg(shop.root, "plan", "crm")[0]["plan"] for _ in range(2)]
    assert plans[0] == plans[1]
    assert seg(shop.root, "plan", "crm", "--resync")[0]["plan"] not in (plans[0], f"{plans[0]}+resync")


def test_status_says_what_is_held_and_how_operations_stand(shop: Shop, seg: Seg) -> None:
    (found,) = seg(shop.root, "status")
    held = sum(audience.members for audience in shop.receiver.held.audiences())
    assert (found["held"], found["states"], found["receipts"], found["broken_receipt"]) == (held, {"acked": held}, held, None)


def test_a_plan_is_applied_and_then_stale(copy: Path, seg: Seg) -> None:
    edit(copy, "first_name: first_name", "given: {sql: upper(first_name)}")
    (found,) = seg(copy, "plan")
    assert (found["add"], found["remove"]) == (0, 0)
    done = seg(copy, "apply", found["plan"])
    assert done["states"]["acked"] == found["update"] + seg(copy, "status")[0]["held"]
    with running(Receiver(copy.parent / "receiver.db", SECRET)) as served:
        assert {fields["given"][:6] for fields in served.receiver.held.members("lookers").values()} == {"CANARY"}
    with pytest.raises(SegError, match="is stale: now it would be crm@"):
        seg(copy, "apply", found["plan"])


@pytest.mark.release
def test_a_resync_sends_everybody_again_and_changes_nobody(copy: Path, seg: Seg) -> None:
    (found,) = seg(copy, "plan", "--resync")
    held = seg(copy, "status")[0]["held"]
    assert (found["add"], found["update"], found["remove"]) == (0, held, 0)
    assert seg(copy, "apply", found["plan"])["states"] == {"acked": 2 * held}
    assert seg(copy, "status")[0]["held"] == held


ADS = """pressure: {most: 1, within: 7d}
destinations:
  ads:
    connector: webhook
    config: {url: "http://127.0.0.1:9/", secret: a signing key for tests}
    audiences: [buyers, lookers]
"""


@pytest.mark.release
def test_contact_pressure_counts_additions_at_all_destinations(copy: Path, seg: Seg) -> None:
    edit(copy, "destinations:\n", ADS)
    ads, crm = seg(copy, "plan", "ads", "crm")
    assert (ads["add"], ads["blocked"]) == (0, {"pressure: 1 additions in 1w at all destinations": seg(copy, "status", "crm")[0]["held"]})
    assert crm["blocked"] == {}


REFUSES = """
from seg_assets.sdk import hookimpl

@hookimpl
def seg_gate(plan):
    return "not before the sale" if plan.operations["update"] else None
"""


@pytest.mark.release
def test_a_plug_in_can_refuse_a_delivery(copy: Path, seg: Seg) -> None:
    (copy / "connectors").mkdir()
    (copy / "connectors" / "calendar_gate.py").write_text(REFUSES)
    (found,) = seg(copy, "plan", "--resync")
    assert seg(copy, "apply", found["plan"], code=1)["states"] == seg(copy, "status")[0]["states"]


@pytest.mark.release
def test_nothing_is_applied_to_a_destination_that_is_not_armed(copy: Path, seg: Seg) -> None:
    (found,) = seg(copy, "plan", "--resync")
    assert found["update"] > 0
    edit(copy, "armed: true", "armed: false")
    with pytest.raises(SegError, match=r"destination crm is not armed.*armed: true"):
        seg(copy, "apply", found["plan"])


def test_text_that_is_no_plan_is_refused(shop: Shop, seg: Seg) -> None:
    with pytest.raises(SegError, match=r"'crm' is not the id of a plan .*seg activate plan"):
        seg(shop.root, "apply", "crm")
    with pytest.raises(SegError, match=r"there is no destination 'ads' .*the project has crm"):
        seg(shop.root, "apply", "ads@123")


def test_a_person_is_explained_by_address_or_number(shop: Shop, seg: Seg) -> None:
    found = seg(shop.root, "explain", "p2.canary@example.org")
    assert seg(shop.root, "explain", str(found["person_id"])) == found
    assert {(row["audience"], row["member"], row["held"], row["last"]) for row in found["audiences"]} == {
        ("buyers", True, True, "acked"), ("lookers", True, True, "acked"),
    }  # fmt: skip
    assert "canary" not in json.dumps(found).lower()


@pytest.mark.release
def test_who_does_not_consent_to_what_a_destination_needs_is_removed_first_and_told_apart(copy: Path, seg: Seg) -> None:
    edit(copy, "armed: true", "armed: true\n    needs: [marketing_email]")
    (found,) = seg(copy, "plan")
    assert (found["remove"], found["urgent"], found["blocked"]) == (6, 6, {})
    (row,) = seg(copy, "explain", "p5.canary@example.org")["audiences"]
    assert (row["audience"], row["held"], row["planned"], row["why"]) == ("lookers", True, "remove", "no consent to marketing_email")


def test_nobody_unknown_is_explained(shop: Shop, seg: Seg) -> None:
    with pytest.raises(SegError, match="nobody is known by that") as raised:
        seg(shop.root, "explain", "stranger@example.org")
    assert "stranger" not in str(raised.value)


def test_nothing_in_doubt_and_nothing_rejected_is_nothing_to_mend(shop: Shop, seg: Seg) -> None:
    assert seg(shop.root, "resolve", "crm") == []
    assert seg(shop.root, "retry", "crm") == {"destination": "crm", "reopened": 0}


def test_a_destination_that_can_not_be_asked_says_so(shop: Shop, seg: Seg) -> None:
    assert seg(shop.root, "reconcile") == [{"destination": "crm", "can_be_asked": False, "asked": None, "missing": None, "differing": None}]


def test_every_verb_explains_itself() -> None:
    for verb in ("plan", "apply", "status", "retry", "resolve", "explain", "reconcile"):
        told = CliRunner().invoke(cli, ["activate", verb, "--help"]).output
        assert "--json" in told
        assert len(told.split("Options:")[0]) > 150, verb


@pytest.mark.release
def test_a_suppression_by_a_segment_that_is_not_there_delivers_nobody(copy: Path, seg: Seg) -> None:
    edit(copy, "armed: true", "armed: true\n    suppress: [complained]")
    with pytest.raises(SegError, match=r"project.yaml:\d+.*destination crm relies on the segment 'complained', which does not exist"):
        seg(copy, "plan")


@pytest.mark.release
def test_a_way_of_leaving_the_connector_does_not_know_is_refused(copy: Path, seg: Seg) -> None:
    edit(copy, "armed: true", "armed: true\n    on_leave: erase")
    assert "can't erase a record (on_leave may be nothing, clear, remove)" in str(Graph.of(load_project(copy)).destinations[0].error)
    with pytest.raises(SegError, match="destination crm can't be used"):
        seg(copy, "plan", "crm")


@pytest.mark.release
def test_a_field_that_fails_on_somebodys_values_is_named_with_its_place(copy: Path, seg: Seg) -> None:
    edit(copy, "first_name: first_name", "age_of: {sql: cast(first_name as integer)}")
    with pytest.raises(SegError, match=r"project.yaml:\d+:\d+: the field 'age_of' fails on some person's values .*try_cast") as raised:
        seg(copy, "plan")
    assert "canary" not in str(raised.value).lower()


@pytest.mark.release
def test_who_is_reached_by_another_address_now_is_taken_out_under_the_one_the_vault_knew_before(copy: Path) -> None:
    old, new = "p5.canary@example.org", "new.canary@example.org"
    graph = Graph.of(load_project(copy))
    rows = graph.lake.read(VAULT.key).to_pyarrow().to_pylist()
    moved = [row | {"email": new if row["email"] == old else row["email"]} for row in rows]
    graph.lake.write(VAULT.key, pa.Table.from_pylist(moved, VAULT.schema.to_pyarrow()))

    def deliver() -> tuple[list[str], set[str]]:
        (node,) = graph.destinations
        planning = planning_now(graph, node)
        planned = planning.plan().cache()
        deliver_plan(graph, node, planned, planning.as_of)
        with running(Receiver(copy.parent / "receiver.db", SECRET)) as served:
            return planned["op"].to_pyarrow().to_pylist(), {old, new} & set(served.receiver.held.members("lookers"))

    assert deliver() == (["remove"], set())
    assert deliver() == (["add"], {new})
    assert deliver() == ([], {new})


@pytest.mark.release
def test_consent_withdrawn_between_two_batches_stops_what_is_left_and_takes_out_who_was_sent(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(copy, "timeout: 5", "timeout: 5\n      max_batch: 4\n      at_once: 1")
    edit(copy, "armed: true", "armed: true\n    needs: [marketing_email]")
    graph = Graph.of(load_project(copy))
    (node,) = graph.destinations
    planning = planning_now(graph, node)
    planned = planning.plan(resync=True).cache()
    batches: list[int] = []

    def withdraw(event: DeliveryEvent) -> None:
        if event.state == "batch":
            batches.append(sum(event.verdicts.values()))
        if batches[-1:] == [6]:  # the removals of those who never consented; the first updates are next
            rows = graph.lake.read(CONSENTS.key).to_pyarrow().to_pylist()
            withdrawn = [row | {"state": "denied"} if row["user_id"] in {"u1", "u2", "u3", "u4"} else row for row in rows]
            graph.lake.write(CONSENTS.key, pa.Table.from_pylist(withdrawn, CONSENTS.schema.to_pyarrow()))

    monkeypatch.setattr(Registry, "tell", lambda _, event: withdraw(event))
    deliver_plan(graph, node, planned, planning.as_of, resync=True)
    with running(Receiver(copy.parent / "receiver.db", SECRET)) as served:
        held = {address for audience in ("lookers", "buyers") for address in served.receiver.held.members(audience)}
    assert not held & {f"p{n}.canary@example.org" for n in (0, 1, 2, 3, 4, 5)}
    assert len(held) == 20  # of 30, six never consented and four withdrew
