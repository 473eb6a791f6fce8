"""The stand-in for a webhook receiver: verifies, applies, answers per operation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.responses import Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf
from connectors.sandbox.faults import RowFault
from connectors.sandbox.server import serving
from connectors.webhook.emulation_members import MemberStore
from connectors.webhook.signature import HEADER, signature_fault

SECRET = "sandbox-webhook-signing-key"
REASONS = {None: "", RowFault.REJECTED: "key_refused", RowFault.BUSY: "busy"}
ACKED = {"verdict": "acked"}


class Receiver(Emulation):
    """A webhook receiver with a memory.

    Args:
        file: SQLite file; what is in it survives restarts.
        secret: the signing key.
        clock: Unix time, for signatures and "last change".
    """

    name = "webhook"
    title = "Webhook receiver"
    source = "our own format, see connectors/webhook"

    def __init__(self, file: Path, secret: str = SECRET, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        super().__init__(file, clock)

    def open_store(self, file: Path) -> MemberStore:
        self.held = MemberStore(file)
        return self.held

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint("POST", "/deliver", self._deliver)]

    def admit(self, call: Call) -> None:
        if fault := signature_fault(self._secret, call.body, call.header(HEADER), call.now):
            raise RefusedError(self.failure(call, 401, reason=fault))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None, *, reason: str = "") -> Response:
        return JSONResponse({"error": reason or f"http {status}"}, status, headers)

    def credentials(self) -> Mapping[str, str]:
        return {"signing key": self._secret}

    def shelves(self) -> Sequence[Shelf]:
        audiences = self.held.audiences()
        when = {one.audience: one.changed_at.replace("T", " ").replace("+00:00", " UTC") for one in audiences}
        rows = [(one.audience, f"{one.members:,}", when[one.audience]) for one in audiences]
        return [Shelf("Audiences", len(audiences), ("audience", "members", "last change"), rows)]

    def _deliver(self, call: Call) -> Response:
        operations = call.object().get("operations")
        if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
            raise RefusedError(self.failure(call, 400, reason="not a list of operations"))
        call.rows = len(operations)
        refusals = [self._refusal(call, operation, position) for position, operation in enumerate(operations)]
        accepted = [operation for operation, refusal in zip(operations, refusals, strict=True) if not refusal]
        for operation in self.held.apply(accepted, datetime.fromtimestamp(call.now, UTC)):
            call.note(operation["op"], f"{operation['audience']}/{operation['key']}", operation["fields"])
        answered = list(zip(operations, refusals, strict=True))[: len(operations) - call.fault.omitted]
        outcomes = {str(o.get("op_id")): {"verdict": "rejected", "reason": why} if why else ACKED for o, why in answered}
        return JSONResponse({"outcomes": outcomes})

    def _refusal(self, call: Call, operation: Mapping[str, Any], position: int) -> str:
        """A code word for why an operation can't be applied, or ""."""
        for name in ("op_id", "audience", "key"):
            if not isinstance(operation.get(name), str) or not operation[name]:
                return "incomplete_operation"
        if operation.get("op") not in {"add", "update", "remove"} or not isinstance(operation.get("fields"), dict):
            return "unknown_operation"
        fault = self.row_fault(call, operation["key"], position)
        return REASONS[fault]


@dataclass(frozen=True)
class Running:
    """A receiver that is being served. `url` is where batches go, `page` what people open."""

    receiver: Receiver
    url: str
    page: str


@contextmanager
def running(receiver: Receiver, port: int = 0) -> Iterator[Running]:
    """Serves a receiver alone, see `serving`."""
    with serving(receiver, port=port) as served:
        yield Running(receiver, f"{served.url(receiver)}/deliver", served.page)


EMULATION = Receiver
