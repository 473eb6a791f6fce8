"""Serves stand-ins on this machine: each below its name, the page at the root, the dials over HTTP. `VENDORS` names those that come along."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from connectors.errors import ConfigError
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.faults import Dial
from connectors.sandbox.page import PAGE, shown

VENDORS = ("braze", "customerio", "hubspot", "marketo", "onetrust", "people_data_labs", "salesforce", "webhook")
"""Vendors with a stand-in: `connectors/<vendor>/emulation.py` holds `EMULATION`."""
_START_SECONDS = 30
_KEEP_ALIVE_SECONDS = 600


def emulations(folder: Path, vendors: Sequence[str] = VENDORS) -> list[Emulation]:
    """The vendors' stand-ins, each with a file of its own in the folder.

    Args:
        folder: where they keep their state.
        vendors: names of `VENDORS`, or modules that hold an `EMULATION` ("seg_connector_acme.source_emulation").

    Raises:
        ConfigError: there is no such stand-in.
    """
    return [_emulation(vendor)(folder / f"{vendor}.sqlite") for vendor in vendors]


def _emulation(vendor: str) -> type[Emulation]:
    if vendor not in VENDORS and "." not in vendor:
        raise ConfigError(f"there is no stand-in {vendor!r}; there are {', '.join(VENDORS)}", hint="or name a module that holds an EMULATION")
    try:
        return import_module(vendor if "." in vendor else f"connectors.{vendor}.emulation").EMULATION
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{vendor} is no module with an EMULATION: {error}", hint="is its package installed?") from None


@dataclass(frozen=True)
class Served:
    """Stand-ins that are being served. `page` is what people open."""

    page: str

    def url(self, emulation: Emulation | str) -> str:
        """A stand-in's address, without a slash at the end."""
        return self.page + (emulation if isinstance(emulation, str) else emulation.name)


@contextmanager
def serving(*emulations: Emulation, port: int = 0) -> Iterator[Served]:
    """Serves stand-ins on this machine from a thread while the block runs.

    Args:
        emulations: what to serve; their names differ.
        port: 0 takes a free one.

    Raises:
        OSError: the port is taken.
        RuntimeError: the server did not start.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = _Server(_config(application(emulations)))
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            if not server.ready.wait(_START_SECONDS):
                raise RuntimeError(f"the sandbox did not start within {_START_SECONDS} s")
            yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            server.stop()
            thread.join()


def application(emulations: Sequence[Emulation]) -> ASGIApp:
    """The page, the dials and the stand-ins as one ASGI application that answers to this machine's own names only."""
    by_name = {emulation.name: emulation for emulation in emulations}

    def of(request: Request) -> Emulation:
        return by_name[request.path_params["name"]]

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE)

    async def state(_: Request) -> Response:
        return JSONResponse([shown(emulation) for emulation in emulations])

    async def get_dial(request: Request) -> Response:
        return JSONResponse(of(request).faults.dial.model_dump())

    async def put_dial(request: Request) -> Response:
        try:
            dial = Dial.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse({"error": error.errors(include_url=False, include_input=False, include_context=False)}, 422)
        of(request).faults.turn(dial)
        return JSONResponse(dial.model_dump())

    async def effects(request: Request) -> Response:
        store = of(request).store
        told: dict[str, Any] = {"total": store.count_effects(), "repeated": len(store.repeated_effects())}
        return JSONResponse(told)

    def known(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await endpoint(request) if request.path_params["name"] in by_name else JSONResponse({"error": "no such vendor"}, 404)

        return answer

    return Starlette(
        routes=[
            Route("/", page),
            Route("/sandbox/state", state),
            Route("/sandbox/{name}/dial", known(get_dial), methods=["GET"]),
            Route("/sandbox/{name}/dial", known(put_dial), methods=["PUT"]),
            Route("/sandbox/{name}/effects", known(effects)),
            *(Mount(f"/{emulation.name}", emulation) for emulation in emulations),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]), Middleware(_CanCut)],
    )


class _CanCut:
    """Tells the application how to cut the connection a request came by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["client"]:
            scope["sandbox.cut"] = _Protocol.transports[tuple(scope["client"])].abort
        await self._app(scope, receive, send)


class _Protocol(AutoHTTPProtocol):
    """HTTP whose connections can be found by the other side's address."""

    transports: dict[tuple[str, int], asyncio.Transport] = {}  # noqa: RUF012 (shared by all connections on purpose)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._peer = tuple(transport.get_extra_info("peername"))
        self.transports[self._peer] = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transports.pop(self._peer, None)
        super().connection_lost(exc)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        proxy_headers=False,
    )


class _Server(uvicorn.Server):
    """A server that says when it is ready and stops at once when told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._told: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks) and self._told:
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 0.1)

    def stop(self) -> None:
        """Ends the server from another thread."""
        self.should_exit = True
        if self._loop and self._told and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told.set)
