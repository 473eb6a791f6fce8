"""A vendor that counts what takes effect, and the connector to it: one for each answer to "what if it is sent twice?". For tests of delivery engines.

The vendor is a real HTTP server on this machine. It holds members as rows, so that an addition made twice is two rows, and it can lose answers, lose requests,
be busy, refuse keys, and kill the process that asks once it has done what was asked.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal

from pydantic import Field

from connectors.errors import DestinationError
from connectors.types import (
    ACKED,
    Capability,
    Config,
    ConnectorMeta,
    Context,
    Idempotency,
    ObjectDef,
    Operation,
    Outcome,
    RemoteRow,
    Verdict,
)

Fault = Literal["", "lose answer", "lose request", "kill", "busy", "error", "reject"]
"""What happens to a request: answered, applied and not answered, not seen, applied and the sender killed, 429, 500 unapplied, every row refused."""


@dataclass
class Vendor:
    """What the vendor holds and has seen.

    Args:
        kind: what sending twice does: A sets, B knows ids, C and D append.
        fault: decides about a request, given the ids of its operations.
    """

    kind: Idempotency
    fault: Callable[[Sequence[str]], Fault] = lambda _: ""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    removed: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    requests: int = 0
    jobs: dict[str, tuple[list[dict[str, Any]], dict[str, Any] | None]] = field(default_factory=dict)
    polls_needed: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)

    def held(self, audience: str) -> dict[str, dict[str, Any]]:
        """Key to fields of an audience's members."""
        return {key: rows[-1] for (of, key), rows in self.rows.items() if of == audience and rows}

    @property
    def doubled(self) -> list[str]:
        """Operations that took effect more than once, and members that are there more than once."""
        return [op_id for op_id, n in self.effects.items() if n > 1] + [f"{a}/{key}" for (a, key), rows in self.rows.items() if len(rows) > 1]

    def apply(self, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Does what is asked; the answer per op_id."""
        told: dict[str, Any] = {}
        for one in operations:
            if one["key"] in self.refused:
                told[one["op_id"]] = {"verdict": "rejected", "reason": "key_refused"}
                continue
            told[one["op_id"]] = {"verdict": "acked"}
            place = one["audience"], one["key"]
            held = self.rows.setdefault(place, [])
            after = [] if one["op"] == "remove" else [one["fields"]]
            if self.kind is Idempotency.ABSOLUTE and held == after:
                continue
            if self.kind is Idempotency.DEDUPLICATED and one["op_id"] in self.effects:
                continue
            self.effects[one["op_id"]] += 1
            if one["op"] == "remove":
                self.removed.append(place)
            appends = one["op"] == "add" and self.kind in {Idempotency.READ_BACK, Idempotency.APPEND}
            self.rows[place] = held + after if appends else after
        return told

    def poll(self, reference: str) -> dict[str, Any] | None:
        """A job's outcomes; None while it goes on. It moves on each time it is asked for."""
        operations, outcomes = self.jobs[reference]
        if outcomes is None:
            self.polls_needed -= 1
            if self.polls_needed >= 0:
                return None
            outcomes = self.apply(operations)
            self.jobs[reference] = operations, outcomes
        return outcomes

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serves while the block runs; gives the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vendor": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="counting vendor", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    vendor: Vendor
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the sender died
            self.close_connection = True
            return None
        asked = json.loads(body)
        vendor = self.vendor
        with vendor.lock:
            vendor.requests += 1
            fault = vendor.fault([one["op_id"] for one in asked.get("operations", ())])
            if fault in {"lose request", "busy", "error", "reject"}:
                return self._fail(fault, asked)
            answer = self._answer(asked)
        if fault == "kill":
            os.kill(int(self.headers["X-Sender"]), signal.SIGKILL)
        if fault:
            self.close_connection = True
            return None
        return self._send(200, answer)

    def _answer(self, asked: Mapping[str, Any]) -> Any:
        vendor = self.vendor
        match self.path:
            case "/deliver":
                return vendor.apply(asked["operations"])
            case "/read":
                return {key: vendor.rows.get((asked["audience"], key), []) for key in asked["keys"]}
            case "/submit":
                if asked["operations"]:
                    vendor.jobs.setdefault(asked["job"], (asked["operations"], None))
                return asked["job"] if asked["job"] in vendor.jobs else ""
        return vendor.poll(asked["job"])

    def _fail(self, fault: Fault, asked: Mapping[str, Any]) -> None:
        if fault == "lose request":
            self.close_connection = True
        elif fault == "reject":
            self._send(200, {one["op_id"]: {"verdict": "rejected", "reason": "refused"} for one in asked.get("operations", ())})
        else:
            self._send(429 if fault == "busy" else 500, {})

    def _send(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class CountingConfig(Config):
    """Where the vendor is, and what it is like."""

    url: str = Field(description="Address of a `Vendor`.")
    kind: Idempotency = Field(description="What sending twice does there.")
    max_batch: int = Field(10, description="Operations per request.")
    concurrency: int = Field(1, description="Requests at once.")
    max_job: int | None = Field(None, description="Operations per job; none: no jobs.")
    remembers: float | None = Field(None, description="Seconds the vendor knows an id.")


class CountingDestination:
    """Delivers to a `Vendor`, one request per batch and no second try."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="counting", title="Counting vendor", description="For tests.", capabilities=frozenset({Capability.READ_BACK, Capability.BULK})
    )
    config_model: ClassVar[type[Config]] = CountingConfig

    def __init__(self, config: CountingConfig) -> None:
        self.config = config

    def objects(self) -> Sequence[ObjectDef]:
        config = self.config
        remembers = timedelta(seconds=config.remembers) if config.remembers is not None else None
        target = ObjectDef("members", "email", config.max_batch, idempotency=config.kind, concurrency=config.concurrency)
        return [replace(target, remembers=remembers, max_job=config.max_job, min_job=1)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        status, answer = self._call("/deliver", {"operations": _rows(batch)})
        if status == 429:
            later = datetime.fromtimestamp(context.clock.now() + 60, UTC)
            return {one.op_id: Outcome(Verdict.RETRY, "busy", later) for one in batch}
        if answer is None:
            return {one.op_id: Outcome(Verdict.IN_DOUBT, "no answer") for one in batch}
        return _outcomes(answer)

    def submit(self, object: str, job: str, batch: Sequence[Operation], context: Context) -> str:
        return self._asked("/submit", {"job": job, "operations": _rows(batch)})

    def poll(self, object: str, reference: str, context: Context) -> Mapping[str, Outcome] | None:
        answer = self._asked("/poll", {"job": reference})
        return None if answer is None else _outcomes(answer)

    def _asked(self, path: str, body: Any) -> Any:
        status, answer = self._call(path, body)
        if status != 200:
            raise DestinationError("the vendor gives no answer")
        return answer

    def _call(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and answer; 0 and None where none came."""
        address = self.config.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.connect()
        except OSError:
            raise DestinationError("the vendor can't be reached", hint="nothing of this batch was sent") from None
        try:
            self.transmit(connection, path, json.dumps(body).encode())
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if response.status == 200 else None
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def transmit(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
        """Sends one request. A test may cut it short."""
        connection.request("POST", path, body, {"X-Sender": str(os.getpid())})


class ReadableDestination(CountingDestination):
    """One whose vendor can be asked what it holds."""

    def read_back(self, object: str, audience: str, keys: Sequence[str], context: Context) -> Iterator[RemoteRow]:
        held = self._asked("/read", {"audience": audience, "keys": list(keys)})
        return iter([RemoteRow(key, bool(held[key]), held[key][-1] if held[key] else {}) for key in keys])


def _rows(batch: Sequence[Operation]) -> list[dict[str, Any]]:
    return [{"op_id": o.op_id, "op": o.kind.value, "audience": o.audience, "key": o.key, "fields": dict(o.fields)} for o in batch]


def _outcomes(answer: Mapping[str, Any]) -> dict[str, Outcome]:
    return {op_id: ACKED if one["verdict"] == "acked" else Outcome(Verdict.REJECTED, one["reason"]) for op_id, one in answer.items()}
