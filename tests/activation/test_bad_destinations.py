"""Destinations that misbehave, over real HTTP: the error says what is wrong, every operation has a state, and once all is well everything arrives."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.faults import Fault
from connectors.types import Context
from connectors.webhook import WebhookDestination
from connectors.webhook.emulation import Receiver, Running, running
from seg_assets.activation.deliver import Delivered
from seg_assets.activation.ledger import Ledger

Make = Callable[..., Any]


@dataclass
class Clock:
    """Time that passes when slept on."""

    time: float = 1_782_864_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def patient(context: Context) -> Context:
    return replace(context, clock=Clock())


@pytest.fixture
def recovers(small_shop: Make, ledger: Ledger, served: Running, webhook: Make, patient: Context) -> Callable[..., Delivered]:
    """A delivery that goes badly, checked, and then a good one after which the receiver holds everybody."""

    def of(destination: Any, states: dict[str, int]) -> Delivered:
        shop = small_shop(12)
        bad = shop.deliver(ledger, destination, patient)
        assert ledger.states() == states
        served.receiver.faults.coming.clear()
        assert isinstance(patient.clock, Clock)
        patient.clock.time += 7200
        shop.deliver(ledger, webhook(served.url), patient)
        assert served.receiver.held.members("vip") == shop.sendable()
        assert ledger.states() == {"acked": 12}
        return bad

    return of


def test_revoked_credentials_stop_at_the_first_batch(recovers: Make, served: Running, webhook: Make) -> None:
    bad = recovers(webhook(served.url, secret="a key that was revoked"), {"retry_wait": 10, "planned": 2})
    assert bad.stopped == "the webhook (deliver): our signature is refused (http 401) (check the credentials, their permissions and the address)"
    assert bad.verdicts == {"retry": 10}


def test_a_clock_that_is_wrong_is_refused_and_sends_nothing(recovers: Make, receiver: Receiver, served: Running, webhook: Make) -> None:
    skewed = WebhookDestination(
        WebhookDestination.config_model(url=served.url, secret="a signing key for tests", max_batch=10, at_once=1), lambda: receiver.clock() + 3600
    )
    bad = recovers(skewed, {"retry_wait": 10, "planned": 2})
    assert bad.stopped
    assert "http 401" in bad.stopped


def test_an_error_of_ten_megabytes_is_neither_kept_nor_told(recovers: Make, ledger_file: Path, served: Running, webhook: Make) -> None:
    served.receiver.faults.coming.extend([Fault(500, body=b"p1.canary@example.org " * 500_000)] * 20)
    bad = recovers(webhook(served.url), {"in_doubt": 12})
    assert set(bad.reasons) == {"http 500"}
    assert sum(file.stat().st_size for file in ledger_file.parent.glob("ops.sqlite*") if file.is_file()) < 1_000_000


@pytest.mark.parametrize("place", ["", "http://127.0.0.1:9/elsewhere"])
def test_endless_redirects_are_not_followed(recovers: Make, served: Running, webhook: Make, place: str) -> None:
    served.receiver.faults.coming.extend([Fault(307, {"Location": place or served.url})] * 1000)
    bad = recovers(webhook(served.url), {"retry_wait": 10, "planned": 2})
    assert bad.stopped
    assert "http 307" in bad.stopped
    assert served.receiver.served < 20


def test_a_host_that_is_dead_has_been_sent_nothing(recovers: Make, tmp_path: Path, webhook: Make) -> None:
    with running(Receiver(tmp_path / "gone.db")) as gone:
        url = gone.url
    bad = recovers(webhook(url), {"retry_wait": 10, "planned": 2})
    assert bad.stopped == "the webhook can't be reached: connect error (nothing of this batch was sent)"


def test_a_host_that_takes_requests_and_never_answers_leaves_doubts(recovers: Make, webhook: Make) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(50)
        bad = recovers(webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/deliver", timeout=0.05), {"in_doubt": 12})
    assert set(bad.reasons) == {"no answer: read timeout"}
