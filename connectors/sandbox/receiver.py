"""The sandbox's webhook receiver: verifies, applies, answers per operation, shows what it holds. For this machine only.

`Faults` makes it misbehave on purpose, one request at a time, so that tests meet every answer a real receiver may give.
"""

from __future__ import annotations

import html
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from connectors.sandbox.store import MemberStore
from connectors.webhook.signature import HEADER, signature_fault

MAX_BODY = 64 << 20
_START_SECONDS = 30


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Args:
        status: answer with this instead of what was worked out; None: the real answer.
        headers: added to the answer.
        body: sent instead of the real answer's body; None: the real body.
        applied: whether the operations are applied all the same.
        lost: no answer at all: the connection stays silent until the sender gives up.
        omitted: leave this many operations out of the answer, the last ones.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    applied: bool = False
    lost: bool = False
    omitted: int = 0


@dataclass
class Faults:
    """The dial: `coming` are used up one per request, `rejected_keys` are always refused."""

    coming: deque[Fault] = field(default_factory=deque)
    rejected_keys: set[str] = field(default_factory=set)


class Receiver:
    """A webhook receiver with a memory.

    Args:
        store: SQLite file; what is in it survives restarts.
        secret: the signing key.
        clock: Unix time, for signatures and "last change".
    """

    def __init__(self, store: Path, secret: str, clock: Callable[[], float] = time.time) -> None:
        self.held = MemberStore(store)
        self.faults = Faults()
        self._secret, self._clock = secret, clock
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/audiences", self._audiences),
                Route("/deliver", self._deliver, methods=["POST"]),
            ]
        )

    async def _deliver(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return JSONResponse({"error": "body too large"}, 413)
        if fault := signature_fault(self._secret, bytes(body), request.headers.get(HEADER, ""), self._clock()):
            return JSONResponse({"error": fault}, 401)
        operations = _operations(bytes(body))
        if operations is None:
            return JSONResponse({"error": "not a list of operations"}, 400)
        fault = self.faults.coming.popleft() if self.faults.coming else Fault(applied=True)
        accepted = [operation for operation in operations if not self._refusal(operation)]
        if fault.applied:
            await run_in_threadpool(self.held.apply, accepted, self._clock())
        if fault.lost:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        answered = operations[: len(operations) - fault.omitted]
        outcomes = {str(operation.get("op_id")): self._outcome(operation) for operation in answered}
        content = json.dumps({"outcomes": outcomes}).encode() if fault.body is None else fault.body
        return Response(content, fault.status or 200, dict(fault.headers), "application/json")

    def _refusal(self, operation: dict[str, Any]) -> str:
        """A code word for why an operation can't be applied, or ""."""
        texts = [operation.get(name) for name in ("op_id", "audience", "key")]
        if not all(isinstance(text, str) and text for text in texts):
            return "incomplete_operation"
        if operation.get("op") not in {"add", "update", "remove"} or not isinstance(operation.get("fields"), dict):
            return "unknown_operation"
        return "key_refused" if operation["key"] in self.faults.rejected_keys else ""

    def _outcome(self, operation: dict[str, Any]) -> dict[str, str]:
        refusal = self._refusal(operation)
        return {"verdict": "rejected", "reason": refusal} if refusal else {"verdict": "acked"}

    def _audiences(self, _: Request) -> Response:
        return JSONResponse({one.audience: {"members": one.members, "changed_at": one.changed_at} for one in self.held.audiences()})

    def _page(self, _: Request) -> Response:
        rows = "".join(
            f"<tr><td>{html.escape(one.audience)}<td class=n>{one.members:,}<td><time>{one.changed_at.replace('T', ' ').replace('+00:00', ' UTC')}</time>"
            for one in self.held.audiences()
        )
        return HTMLResponse(_PAGE.replace("{rows}", rows or "<tr><td colspan=3>Nothing was delivered yet."))


@dataclass(frozen=True)
class Running:
    """A receiver that is being served. `url` is where batches go, `page` what people open."""

    receiver: Receiver
    page: str

    @property
    def url(self) -> str:
        return f"{self.page}deliver"


@contextmanager
def running(receiver: Receiver, port: int = 0) -> Iterator[Running]:
    """Serves a receiver on this machine from a thread while the block runs.

    Args:
        receiver: what to serve.
        port: 0 takes a free one.

    Raises:
        OSError: the port is taken.
        RuntimeError: the server did not start.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = _Server(uvicorn.Config(receiver.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox receiver", daemon=True)
        thread.start()
        try:
            if not server.ready.wait(_START_SECONDS):
                raise RuntimeError(f"the sandbox receiver did not start within {_START_SECONDS} s")
            yield Running(receiver, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _operations(body: bytes) -> list[dict[str, Any]] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    operations = content.get("operations") if isinstance(content, dict) else None
    return operations if isinstance(operations, list) and all(isinstance(one, dict) for one in operations) else None


_PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5><meta name=viewport content="width=device-width">
<title>Sandbox receiver</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.3rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #d8dde3}
.n{text-align:right;font-variant-numeric:tabular-nums}time{color:#57606a}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}time{color:#9aa4af}}
</style>
<h1>What this receiver holds</h1>
<table><tr><th>Audience<th class=n>Members<th>Last change{rows}</table>
</html>"""
