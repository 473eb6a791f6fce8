"""Deliveries over real HTTP: after any mishap, one good delivery leaves the receiver with exactly what is wanted."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sandbox.faults import Fault
from connectors.types import Context, Operation, OpKind, Outcome, Verdict
from connectors.webhook import WebhookDestination
from connectors.webhook.emulation import Receiver, Running, running
from seg_assets.activation.deliver import outgoing
from seg_assets.activation.ledger import Ledger

Make = Callable[..., Any]
MISHAPS = {
    "server error, applied": Fault(500, applied=True),
    "server error, not applied": Fault(502),
    "too many requests": Fault(429),
    "answer without some operations": Fault(applied=True, omitted=2),
    "answer that can't be read": Fault(body=b"<html>", applied=True),
    "no answer, applied": Fault(lost=True, applied=True),
    "no answer, not applied": Fault(lost=True),
    "refused": Fault(400),
}


def members(receiver: Receiver, audience: str = "vip") -> dict[str, dict[str, Any]]:
    return receiver.held.members(audience)


def test_the_receiver_holds_what_is_wanted(world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context) -> None:
    shop = world(25)
    shop.tiers[3] = "gold"
    result = shop.deliver(ledger, webhook(served.url), context)
    assert result.verdicts == {"acked": 25}
    assert members(served.receiver) == shop.sendable()
    assert shop.deliver(ledger, webhook(served.url), context).sent == 0


def test_changes_reach_the_receiver(world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context) -> None:
    shop = world(10)
    shop.deliver(ledger, webhook(served.url), context)
    shop.members["vip"] = {2, 3, 11}
    shop.emails[11] = "p11@example.org"
    shop.tiers[2] = "gold"
    assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": 10}  # eight removals, an update, an addition
    assert members(served.receiver) == shop.sendable()


def test_persons_can_be_matched_by_their_id(world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context) -> None:
    shop = world(2)
    shop.match_key, shop.emails = "person_id", {}
    shop.deliver(ledger, webhook(served.url, match_key="person_id"), context)
    assert members(served.receiver) == {"1": {"tier": None}, "2": {"tier": None}}


@pytest.mark.parametrize("mishap", MISHAPS)
def test_after_a_mishap_the_next_delivery_sends_what_is_not_acknowledged(
    mishap: str, small_shop: Make, ledger: Ledger, served: Running, webhook: Make, context: Context
) -> None:
    shop = small_shop(15)
    served.receiver.faults.coming.append(MISHAPS[mishap])
    shop.deliver(ledger, webhook(served.url, timeout=0.3), context)
    unanswered = 15 - ledger.states().get("acked", 0)
    assert unanswered
    assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": unanswered}
    assert members(served.receiver) == shop.sendable()


step = st.tuples(
    st.dictionaries(st.integers(1, 6), st.sampled_from([None, "gold", "silver"]), max_size=6),
    st.sets(st.integers(1, 6)),
    st.lists(st.sampled_from(sorted(MISHAPS)), max_size=2),
)
"""Members with their tiers, who consents, and what goes wrong."""


@pytest.mark.release
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=1, max_size=4))
def test_whatever_changes_and_fails_a_good_delivery_makes_it_right(
    steps: list[Any], world: Make, tmp_path_factory: pytest.TempPathFactory, webhook: Make, context: Context
) -> None:
    folder = tmp_path_factory.mktemp("story")
    ledger, shop = Ledger(f"sqlite:///{folder}/ops.sqlite", "crm", "members"), world(6)
    shop.needs["vip"] = ("marketing_email",)
    with running(Receiver(folder / "receiver.db", "a signing key for tests", clock=context.as_of.timestamp)) as served:
        for tiers, consenting, mishaps in steps:
            shop.members["vip"], shop.tiers = set(tiers), {p: t for p, t in tiers.items() if t}
            shop.consents = {(p, "marketing_email") for p in consenting}
            served.receiver.faults.coming.clear()
            served.receiver.faults.coming.extend(MISHAPS[m] for m in mishaps)
            shop.deliver(ledger, webhook(served.url, timeout=0.2, max_batch=3), context)
        served.receiver.faults.coming.clear()
        shop.deliver(ledger, webhook(served.url), context)
        assert members(served.receiver) == shop.sendable()
        assert shop.deliver(ledger, webhook(served.url), context).sent == 0


CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from connectors.types import Context
from connectors.webhook import WebhookDestination
from seg_assets.activation.deliver import deliver
from seg_assets.activation.ledger import Ledger

rows, ledger, url, secret, moment, scratch = sys.argv[1:]
as_of = datetime(2026, 7, 1, tzinfo=UTC)


class Dying(WebhookDestination):
    batches = 0

    def deliver(self, object, batch, context):
        self.batches += 1
        if self.batches == 2 and moment == "before it is sent":
            os.kill(os.getpid(), signal.SIGKILL)
        outcomes = super().deliver(object, batch, context)
        if self.batches == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcomes


destination = Dying(Dying.config_model(url=url, secret=secret, max_batch=10, at_once=1), as_of.timestamp)
with pa.ipc.open_file(rows) as file:
    batches = iter([file.get_batch(i) for i in range(file.num_record_batches)])
    deliver(batches, destination, destination.objects()[0], Ledger(ledger, "crm", "members"), Context(as_of, Path(scratch), Path(scratch)))
"""


@pytest.mark.parametrize("moment", ["before it is sent", "after it is applied"])
def test_a_delivery_killed_between_sending_and_writing_down_loses_and_repeats_nothing(
    moment: str, world: Make, ledger: Ledger, ledger_file: Path, served: Running, webhook: Make, context: Context, tmp_path: Path
) -> None:
    shop = world(35)
    planned = shop.planned(ledger)
    batches = list(outgoing(planned, planned.filter(False).select("op_id"), shop.people(), shop.vault(), "email", {"tier": "tier"}))
    with pa.ipc.new_file(tmp_path / "rows.arrow", batches[0].schema) as file:
        for batch in batches:
            file.write_batch(batch)
    arguments = [tmp_path / "rows.arrow", f"sqlite:///{ledger_file}", served.url, "a signing key for tests", moment, tmp_path]
    child = subprocess.run([sys.executable, "-c", CHILD, *map(str, arguments)], capture_output=True, timeout=120, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert ledger.states() == {"acked": 10, "sending": 10, "planned": 15}
    assert len(members(served.receiver)) == (10 if moment == "before it is sent" else 20)

    assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": 25}
    assert members(served.receiver) == shop.sendable()
    # The ids are those of the first attempt: the receiver knows them and applies each once.
    assert set(ledger.operations()["op_id"].to_pylist()) == {row["op_id"] for batch in batches for row in batch.to_pylist()}


def test_a_destination_that_is_down_gets_everything_once_it_is_up(
    world: Make, ledger: Ledger, receiver: Receiver, webhook: Make, context: Context
) -> None:
    shop = world(25)
    with running(receiver) as gone:
        url = gone.url
    result = shop.deliver(ledger, webhook(url), context)
    assert result.stopped == "the webhook can't be reached: connect error (nothing of this batch was sent)"
    assert result.verdicts == {"retry": 10}  # the first batch; no second one was tried
    with running(receiver) as served:
        assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": 25}
    assert members(receiver) == shop.sendable()


def test_a_rejected_person_is_not_sent_again_until_something_changes(
    world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context
) -> None:
    shop = world(3)
    served.receiver.faults.rejected_keys.add(shop.emails[2])
    assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": 2, "rejected": 1}
    served.receiver.faults.rejected_keys.clear()
    assert shop.deliver(ledger, webhook(served.url), context).sent == 0
    shop.tiers[2] = "gold"
    assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": 1}
    assert members(served.receiver) == shop.sendable()


def test_a_delivery_of_an_old_plan_skips_what_was_acknowledged(world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context) -> None:
    shop = world(15)
    planned = shop.planned(ledger)
    served.receiver.faults.coming.append(Fault(429))
    assert shop.deliver(ledger, webhook(served.url), context, planned).verdicts == {"retry": 10, "acked": 5}
    assert shop.deliver(ledger, webhook(served.url), context, planned).verdicts == {"acked": 10}


def test_the_ledger_holds_no_address(world: Make, ledger: Ledger, ledger_file: Path, served: Running, webhook: Make, context: Context) -> None:
    shop = world(12)
    served.receiver.faults.rejected_keys.add(shop.emails[2])
    served.receiver.faults.coming.extend([Fault(500), Fault(applied=True)])
    for _ in range(2):
        shop.deliver(ledger, webhook(served.url), context)
    files = [file for file in ledger_file.parent.rglob("*") if file.is_file()]
    assert ledger_file in files
    assert not [file for file in files if b"canary" in file.read_bytes()]
    assert any(b"canary" in file.read_bytes() for file in (ledger_file.parent.parent / "receiver").iterdir())


def test_what_the_gate_holds_back_is_not_sent_and_comes_again(world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context) -> None:
    shop = world(5)
    asked: list[int] = []

    def gate(rows: pa.Table) -> Mapping[str, str]:
        asked.extend(rows["person_id"].to_pylist())
        return {row["op_id"]: "quiet hours" for row in rows.to_pylist() if row["person_id"] in {2, 4}}

    first = shop.deliver(ledger, webhook(served.url), context, gate=gate)
    assert (first.verdicts, first.reasons, first.sent) == ({"acked": 3, "gated": 2}, {"quiet hours": 2}, 3)
    assert asked == [1, 2, 3, 4, 5]
    assert ledger.states() == {"acked": 3, "gated": 2}
    assert shop.deliver(ledger, webhook(served.url), context).verdicts == {"acked": 2}
    assert members(served.receiver) == shop.sendable()


class Recording(WebhookDestination):
    """Remembers what it was given and answers as told."""

    def __init__(self, answer: Verdict | Exception = Verdict.ACKED) -> None:
        super().__init__(self.config_model(url="https://unset.invalid/", secret="a signing key for tests", max_batch=10, at_once=1))
        self.given: list[list[Operation]] = []
        self._answer = answer

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        self.given.append(list(batch))
        if isinstance(self._answer, Exception):
            raise self._answer
        return {operation.op_id: Outcome(self._answer) for operation in batch}


def test_removals_go_first_and_carry_no_fields(world: Make, ledger: Ledger, context: Context) -> None:
    shop = world(20)
    shop.deliver(ledger, Recording(), context)
    shop.members["vip"] = set(range(3, 31))
    shop.emails |= {p: f"p{p}@example.org" for p in range(21, 31)}
    destination = Recording()
    shop.deliver(ledger, destination, context)
    assert [len(batch) for batch in destination.given] == [10, 2]
    first, *others = (operation for batch in destination.given for operation in batch)
    kinds = [operation.kind for operation in (first, *others)]
    assert kinds == [OpKind.REMOVE] * 2 + [OpKind.ADD] * 10
    assert first.fields == {}
    assert others[-1].fields == {"tier": None}


def test_a_connector_that_breaks_leaves_its_batch_in_doubt(world: Make, ledger: Ledger, context: Context) -> None:
    shop = world(15)
    with pytest.raises(ZeroDivisionError):
        shop.deliver(ledger, Recording(ZeroDivisionError()), context)
    assert ledger.states() == {"in_doubt": 10, "planned": 5}
    assert shop.deliver(ledger, Recording(), context).verdicts == {"acked": 15}
