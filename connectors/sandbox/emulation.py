"""`Emulation`: what every stand-in does with a request — faults, sign-in, limits, one transaction, a log. Vendors add endpoints and words."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from connectors.sandbox.faults import Fault, Faults, RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.store import Change, Store
from connectors.sandbox.tokens import Tokens

if TYPE_CHECKING:
    from connectors.sandbox.people import Person

MAX_BODY = 160 << 20
KEPT_REQUESTS = 500


class RefusedError(Exception):
    """Ends the handling of a request with this answer; nothing of it is kept."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class JSONResponse(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


@dataclass(frozen=True)
class Endpoint:
    """One method and path, and what it does.

    Args:
        method: GET, POST, ...
        path: as Starlette writes it, below the stand-in's address.
        handle: makes the answer.
        windows: names of the rate windows a call counts in.
        open: no sign-in needed.
    """

    method: str
    path: str
    handle: Callable[[Call], Response]
    windows: Sequence[str] = ()
    open: bool = False


@dataclass
class Call:
    """A request being handled.

    Args:
        request: headers, path and query.
        body: all of it.
        id: the request id the vendor would give.
        now: Unix seconds.
        fault: what goes wrong with it.
        endpoint: where it goes.
        rows: how many rows it carries, told by the handler.
        effects: what it changed, told by the handler.
    """

    request: Request
    body: bytes
    id: str
    now: float
    fault: Fault
    endpoint: Endpoint
    rows: int = 0
    effects: list[Change] = field(default_factory=list)

    @cached_property
    def at(self) -> int:
        """Now in Unix milliseconds."""
        return int(self.now * 1000)

    @property
    def base(self) -> str:
        """The stand-in's address, without a slash at the end."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}{self.request.scope['root_path']}"

    @property
    def bearer(self) -> str:
        """The bearer token, "" where there is none."""
        scheme, _, token = self.header("authorization").partition(" ")
        return token if scheme.lower() == "bearer" else ""

    def path(self, name: str) -> str:
        return self.request.path_params[name]

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def header(self, name: str) -> str:
        return self.request.headers.get(name, "")

    def form(self) -> dict[str, str]:
        """The body as an HTML form, and the query: token endpoints take either."""
        return {**self.request.query_params, **dict(parse_qsl(self.body.decode("utf-8", "replace")))}

    def json(self) -> Any:
        """The body as JSON, None where it is none or holds halves of characters."""
        try:
            return orjson.loads(self.body)
        except ValueError:
            return None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object, {} where it is none."""
        content = self.json()
        return content if isinstance(content, dict) else {}

    def note(self, op: str, target: str, content: Any = None) -> None:
        """Says that something changed. What is told twice in a row about one target counts as repeated."""
        self.effects.append((op, target, "" if content is None else digest(content)))

    def made(self, target: str) -> None:
        """Says that something new is there. Its id was never used before, so this can't happen twice and needs no digest."""
        self.effects.append(("create", target, ""))

    def note_each(self, op: str, targets: Iterable[str]) -> None:
        """As `note`, for many targets."""
        self.effects += [(op, target, "") for target in targets]


@dataclass(frozen=True)
class Seen:
    """A request that was answered, without anything personal."""

    at: float
    method: str
    path: str
    status: int | None
    rows: int
    fault: str


@dataclass(frozen=True)
class Shelf:
    """A kind of thing on the sandbox's page: heading, total, and the columns and cells of a few of them."""

    title: str
    total: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Emulation:
    """A stand-in for one vendor, an ASGI application.

    Args:
        file: SQLite file with what it holds.
        clock: Unix seconds.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    """Where the facts are from, and their date."""
    initial_tokens: ClassVar[Sequence[tuple[str, str, str]]] = ()
    """Kind, text and client of tokens that are good from the start."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self.store = self.open_store(file)
        self.clock = clock
        self.faults = Faults()
        self.tokens = Tokens(self.store, self.name)
        self.windows: Mapping[str, Window] = self.make_windows()
        self.seen: deque[Seen] = deque(maxlen=KEPT_REQUESTS)
        self.served = 0
        self.in_flight = 0
        self._start = self.store.next_number("starts")
        if self._start == 1:
            for token in self.initial_tokens:
                self.tokens.plant(*token)
        routes = [Route(e.path, self._route(e), methods=[e.method], name=e.path) for e in self.endpoints()]
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    def open_store(self, file: Path) -> Store:
        return Store(file, self.index)

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Names and values a record can be found by."""
        return ()

    def make_windows(self) -> Mapping[str, Window]:
        """The vendor's published rate limits, by the names endpoints use."""
        return {}

    def endpoints(self) -> Sequence[Endpoint]:
        raise NotImplementedError

    def admit(self, call: Call) -> None:
        """Lets the request in or raises a `RefusedError`: key, token, signature."""

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        """The vendor's words for a request that fails as a whole."""
        raise NotImplementedError

    def limited(self, call: Call, window: Window) -> Response:
        """The vendor's answer to one call too many."""
        return self.failure(call, 429)

    def dress(self, call: Call, response: Response) -> None:
        """Adds what the vendor puts on every answer: rate headers, request ids."""

    def seed(self, people: Sequence[Person]) -> None:
        """Fills an empty store with plausible people."""

    def credentials(self) -> Mapping[str, str]:
        """What a connector needs to sign in here; made up, good only here."""
        return {}

    def shelves(self) -> Sequence[Shelf]:
        """What is held, for the page. Cells are masked where they are shown."""
        return ()

    def row_fault(self, call: Call, key: str, position: int) -> RowFault | None:
        """What goes wrong with one row of a batch: `position` counts from 0."""
        if self.faults.refuses(key):
            return RowFault.REJECTED
        return RowFault.BUSY if call.fault.partial and position % 3 == 0 else None

    def _route(self, endpoint: Endpoint) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            self.in_flight += 1
            try:
                return await self._serve(endpoint, request)
            finally:
                self.in_flight -= 1

        return answer

    async def _serve(self, endpoint: Endpoint, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                break
        self.served += 1
        number = uuid.UUID(bytes=blake2b(f"{self.name}:{self._start}:{self.served}".encode(), digest_size=16).digest(), version=4)
        call = Call(request, bytes(body), str(number), self.clock(), self.faults.next(), endpoint)
        response = self.failure(call, 413) if len(body) > MAX_BODY else self._handled(call)
        fault = call.fault
        if fault.status is not None:
            response = self.failure(call, fault.status)
        if fault.body is not None:
            response = Response(fault.body, response.status_code, media_type="application/json")
        self.dress(call, response)
        response.headers.update(fault.headers)
        answered = not (fault.lost or fault.cut)
        told = "/".join("*" if part.startswith("{") else part for part in endpoint.path.split("/"))
        self.seen.append(Seen(call.now, endpoint.method, told, response.status_code if answered else None, call.rows, fault.words))
        if answered and not fault.slow:
            return response
        return _Misbehaving(response, fault)

    def _handled(self, call: Call) -> Response:
        """The real answer; changes are kept unless a fault or a refusal says otherwise."""
        if call.fault.expired:
            self.tokens.expire()
        try:
            return self.store.attempt(lambda: self._work(call), keep=call.fault.applied)
        except RefusedError as refusal:
            return refusal.response

    def _work(self, call: Call) -> Response:
        if not call.endpoint.open:
            self.admit(call)
        windows = [self.windows[name] for name in call.endpoint.windows] if self.faults.dial.limits else []
        for window in windows:
            if window.remaining(call.now) <= 0:
                raise RefusedError(self.limited(call, window))
        for window in windows:
            window.take(call.now)
        response = call.endpoint.handle(call)
        self.store.tell(call.at, call.id, call.effects)
        return response


def digest(content: Any) -> str:
    """A short text that stands for the content, whatever the order of its keys."""
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


@lru_cache(maxsize=4096)
def iso(at: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC: `2026-01-01T00:00:00.000Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: str) -> int | None:
    """ISO 8601 as Unix milliseconds (UTC where no zone is given), or None."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return millis(at if at.tzinfo else at.replace(tzinfo=UTC))


def millis(at: datetime) -> int:
    """An instant as Unix milliseconds."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


class _Misbehaving(Response):
    """An answer that stops in the middle, or never comes."""

    def __init__(self, response: Response, fault: Fault) -> None:
        self._response, self._fault = response, fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._fault.cut:
            scope["sandbox.cut"]()
        if self._fault.cut or self._fault.lost:
            await _gone(receive)
            return
        body, response = bytes(self._response.body), self._response
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        with suppress(TimeoutError):
            await asyncio.wait_for(_gone(receive), self._fault.slow)
        await send({"type": "http.response.body", "body": body[len(body) // 2 :]})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
