"""A proxy on this machine between a connector and a vendor's stand-in: passes requests on, remembers them, and spoils some on purpose."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding", "accept-encoding", "date", "server"}


@dataclass(frozen=True)
class Answer:
    """The vendor does not see the request; this is answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Lose:
    """The connection breaks without an answer, after the vendor did its work or before it saw the request."""

    applied: bool = True


@dataclass(frozen=True)
class Distort:
    """The vendor does its work; its answer's body is changed. `change` is given the body and returns another, None: the connection breaks halfway."""

    change: Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class Replay:
    """The vendor does not see the request; its last answer to another one is given again."""


Fault = Answer | Lose | Distort | Replay


@dataclass(frozen=True)
class Seen:
    """A request that came: method, path with query, headers, body, and the clock's time."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


class Proxy:
    """Passes requests on to `target`.

    Args:
        target: base URL of the stand-in.
        now: the time written down with each request.
        calls: regular expression over "METHOD path" that requests must match for faults to hit them.
    """

    def __init__(self, target: str, now: Callable[[], float], calls: str = "") -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._rest = target.split(parts.netloc, 1)[1]
        self._now, self._calls, self._lock = now, re.compile(calls), threading.Lock()
        self._last: tuple[int, list[tuple[str, str]], bytes] | None = None
        self.seen: list[Seen] = []
        self.coming: list[Fault | None] = []
        self.always: Fault | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """What the connector is configured with instead of the stand-in's address."""
        return f"http://127.0.0.1:{self.port}{self._rest}"

    @property
    def hits(self) -> list[Seen]:
        """Requests that faults may hit."""
        return [one for one in self.seen if self._calls.search(f"{one.method} {one.path}")]

    def take(self, seen: Seen) -> Fault | None:
        """Writes a request down; what shall happen to it."""
        with self._lock:
            self.seen.append(seen)
            if not self._calls.search(f"{seen.method} {seen.path}"):
                return None
            return self.coming.pop(0) if self.coming else self.always

    def exchange(self, seen: Seen) -> tuple[int, list[tuple[str, str]], bytes]:
        """Asks the vendor."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        try:
            sent = {name: value for name, value in seen.headers.items() if name.lower() not in _HOP}
            connection.request(seen.method, seen.path, seen.body or None, sent)
            response = connection.getresponse()
            headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP]
            self._last = response.status, headers, response.read()
            return self._last
        finally:
            connection.close()

    @property
    def last(self) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """The vendor's last answer."""
        return self._last

    def now(self) -> float:
        return self._now()

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Serves while the block runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="fault proxy", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, dict(self.headers.items()), body, self.proxy.now())
        fault = self.proxy.take(seen)
        match fault:
            case Answer(status, headers, answer):
                self._send(status, list(headers.items()), answer)
            case Lose(applied):
                if applied:
                    self.proxy.exchange(seen)
                self.close_connection = True
            case Replay() if self.proxy.last:
                self._send(*self.proxy.last)
            case Distort(change):
                status, headers, answer = self.proxy.exchange(seen)
                self._send(status, headers, change(answer), len(answer))
            case _:
                self._send(*self.proxy.exchange(seen))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 (names http.server looks for)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes | None, promised: int = 0) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", str(max(promised, 2) if body is None else len(body)))
        self.end_headers()
        if body is None:
            self.wfile.write(b"{")
            self.close_connection = True
        elif status not in {204, 304}:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def without_lists(body: bytes) -> bytes:
    """An answer that keeps its counts and flags, and loses everything it says of single rows."""
    return _rewritten(body, lambda value: {k: v for k, v in value.items() if not isinstance(v, list | dict)} if isinstance(value, dict) else {})


def reversed_lists(body: bytes) -> bytes:
    """An answer whose lists come in another order."""

    def turned(value: Any) -> Any:
        if isinstance(value, list):
            return [turned(one) for one in reversed(value)]
        return {k: turned(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value

    return _rewritten(body, turned)


def _rewritten(body: bytes, change: Callable[[Any], Any]) -> bytes:
    try:
        return json.dumps(change(json.loads(body))).encode()
    except ValueError:
        return body
