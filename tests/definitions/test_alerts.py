"""Alerts: told once when a promise is broken, once when it is kept again; over real HTTP and SMTP on this machine."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from connectors.types import Outcome, Verdict
from seg_assets.build import definitions_of
from seg_assets.deliveries.alerts import Change, broken_promises, changes, send
from seg_assets.errors import DeliveryError
from seg_assets.graph import Graph
from seg_assets.project.alerts import Alert
from seg_assets.project.load import load_project
from tests.definitions.conftest import Shop, write_project

LOST = Outcome(Verdict.IN_DOUBT, "lost")
NEWS = [Change("crm in_doubt", True, "3 operations are in doubt"), Change("crm rejected", False, "")]


class Inbox:
    """What arrived; answers with `status`."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.status = 200


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    box = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            box.received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(box.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield box, f"http://127.0.0.1:{server.server_port}/services/T0/B0"
        server.shutdown()


class Mailbox(socketserver.StreamRequestHandler):
    """As much SMTP as one message needs."""

    messages: list[str] = []  # noqa: RUF012 (one server at a time)

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in iter(self.rfile.readline, b""):
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.messages.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")


def graph_of(tmp_path: Path, **alerts: Any) -> Graph:
    return Graph.of(load_project(write_project(tmp_path / "shop", alerts=alerts)))


def test_only_what_changed_is_news() -> None:
    assert changes(["crm rejected"], {"crm in_doubt": "3 operations are in doubt"}) == NEWS
    assert changes(["crm in_doubt"], {"crm in_doubt": "4 operations are in doubt"}) == []


def test_a_webhook_gets_what_slack_understands(tmp_path: Path, inbox: tuple[Inbox, str], monkeypatch: pytest.MonkeyPatch) -> None:
    box, url = inbox
    monkeypatch.setenv("SLACK_URL", url)
    graph = graph_of(tmp_path)
    with graph.context(graph.project.config.as_of) as context:  # type: ignore[arg-type]
        send(graph, Alert(webhook="${SLACK_URL}"), NEWS, context)
        send(graph, Alert(webhook="${SLACK_URL}", format="json"), NEWS, context)
    text = "shop: deliveries\n- crm in_doubt: 3 operations are in doubt\n- crm rejected: all is well again"
    assert box.received[0] == {"text": text}
    assert box.received[1]["findings"][0] == {"place": "crm in_doubt", "broken": True, "words": "3 operations are in doubt"}


def test_a_message_goes_by_mail(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    with socketserver.TCPServer(("127.0.0.1", 0), Mailbox) as server, graph.context(graph.project.config.as_of) as context:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mail = {"to": ["ops@example.com"], "sender": "seg@example.com", "host": "127.0.0.1", "port": server.server_address[1], "starttls": False}
        send(graph, Alert.model_validate({"mail": mail}), NEWS, context)
        server.shutdown()
        with pytest.raises(DeliveryError, match=r"the mail server 127.0.0.1 does not take the alert"):
            send(graph, Alert.model_validate({"mail": {**mail, "port": 9}}), NEWS, context)
    (message,) = Mailbox.messages
    assert "Subject: shop: deliveries" in message
    assert "- crm in_doubt: 3 operations are in doubt" in message


def test_the_sensor_tells_each_recipient_once_and_again_on_recovery(shop: Shop, tmp_path: Path, inbox: tuple[Inbox, str]) -> None:
    box, url = inbox
    graph = graph_of(tmp_path, ops={"webhook": url})
    ledger = graph.ledger("crm", "members")
    doubtful(ledger, graph)
    sensor = next(s for s in definitions_of(graph).get_repository_def().sensor_defs if s.name == "delivery_alerts")
    cursor: str | None = None

    def look() -> None:
        nonlocal cursor
        with dg.build_sensor_context(instance=shop.instance, cursor=cursor) as context:
            sensor(context)
            cursor = context.cursor

    box.status = 500
    look()
    assert json.loads(cursor or "") == {}
    box.received.clear()
    box.status = 200
    look()
    look()
    assert [one["text"].splitlines()[1:] for one in box.received] == [["- crm in_doubt: 1 operations are in doubt"]]
    ledger.settle({"op1": True}, graph.project.config.as_of)  # type: ignore[arg-type]
    look()
    assert box.received[-1]["text"].endswith("- crm in_doubt: all is well again")
    assert broken_promises(graph) == {}


def test_what_waits_is_delivered_again_by_and_by(shop: Shop, tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    sensor = next(s for s in definitions_of(graph).get_repository_def().sensor_defs if s.name == "deliveries_due")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    cursor: str | None = None

    def requested() -> list[str]:
        nonlocal cursor
        with dg.build_sensor_context(instance=shop.instance, cursor=cursor) as context:
            answer = sensor(context)
            cursor = context.cursor
        runs = answer.run_requests if isinstance(answer, dg.SensorResult) else []
        return [key.to_user_string() for run in runs or [] for key in run.asset_selection or []]

    assert requested() == []
    doubtful(graph.ledger("crm", "members"), graph, Outcome(Verdict.RETRY, "http 503"))
    assert requested() == [f"activation/crm/members/{part}" for part in ("plan", "delivery", "receipts")]
    assert requested() == []  # not every 30 seconds
    assert json.loads(cursor or "")["crm"][1] == 1


def test_what_a_destination_wants_later_is_not_due_before(shop: Shop, tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    sensor = next(s for s in definitions_of(graph).get_repository_def().sensor_defs if s.name == "deliveries_due")
    doubtful(graph.ledger("crm", "members"), graph, Outcome(Verdict.RETRY, "later", datetime(2999, 1, 1, tzinfo=UTC)))
    with dg.build_sensor_context(instance=shop.instance) as context:
        assert isinstance(sensor(context), dg.SkipReason)


def doubtful(ledger: Any, graph: Graph, answer: Outcome = LOST) -> None:
    """One operation was not acknowledged."""
    import pyarrow as pa

    row = {"op_id": "op1", "op": "add", "audience": "vip", "person_id": 1, "payload_hash": "h", "generation": 1}
    with ledger.claim(graph.project.config.as_of) as claim:
        (known,) = claim.take(pa.Table.from_pylist([row]))
        claim.begin([known.id], {})
        claim.record({known.id: answer}, {known.id: "op1"}, repeatable=False)


def test_a_promise_that_is_kept_is_no_finding(shop: Shop) -> None:
    assert broken_promises(shop.graph) == {}
