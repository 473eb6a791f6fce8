"""What a law is tried in: a connector, a vendor's stand-in behind a proxy, a clock that does not wait, folders, and everything that was logged."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from connectors.errors import ConfigError
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.server import serving
from connectors.testkit.proxy import Answer, Proxy
from connectors.types import Checks, Context

NOW = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where the clock stands when a law begins."""
CANARY = "canary"
"""Part of every secret (then not followed by a hyphen) and every person (then followed by one): what is said must not hold it."""


@dataclass
class StillClock:
    """Stands still; sleeping moves it."""

    time: float = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += max(seconds, 0.0)


@dataclass
class Stand:
    """A stand-in that is being served, and its address."""

    emulation: Any
    url: str


@contextmanager
def standing(emulation: Emulation) -> Iterator[Stand]:
    """Serves a stand-in alone: what most contracts return from `serve`."""
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name}: {self.format(record)}")


@dataclass
class World:
    """One connector's surroundings while a law is tried.

    Args:
        make: a fresh connector for an address; None: the proxy's.
        vendor: what the contract's `serve` yields.
        proxy: between them; None for connectors that do not speak HTTP.
        clock: moves only when somebody sleeps.
        context: for every call.
        logged: everything any logger of connectors said.
    """

    make: Callable[..., Any]
    vendor: Any
    proxy: Proxy | None
    clock: StillClock
    context: Context
    logged: list[str]

    @property
    def wire(self) -> Proxy:
        """The proxy; skips the law for connectors without HTTP."""
        if self.proxy is None:
            pytest.skip("does not speak HTTP")
        return self.proxy

    def kept(self) -> list[Path]:
        """Files the connector keeps."""
        home = self.context.home or self.context.root
        return [file for file in home.rglob("*") if file.is_file()]


class Contract:
    """What all contracts share: how a world is made, and laws about declarations.

    Attributes:
        connector: the class under test.
        calls: regular expression over "METHOD path": requests that faults shall hit; token requests, say, are left out. Default: all.
        renews: regular expression over "METHOD path" of requests for a token, for connectors that renew one; None: they do not.
    """

    connector: ClassVar[Any]
    calls: ClassVar[str] = ""
    renews: ClassVar[str | None] = None

    def serve(self, folder: Path, clock: StillClock) -> AbstractContextManager[Any]:
        """Runs a stand-in of the vendor. What it yields has a `url`, or None where nothing speaks HTTP."""
        raise NotImplementedError

    def config(self, url: str) -> dict[str, Any]:
        """The connector's configuration for an address. Secrets hold the word canary."""
        raise NotImplementedError

    @contextmanager
    def surroundings(self, folder: Path) -> Iterator[World]:
        """Everything a law needs."""
        clock, kept = StillClock(), _Kept()
        log = logging.getLogger(f"connectors.contract.{type(self).__name__}")
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        (folder / "vendor").mkdir(exist_ok=True)
        (folder / "scratch").mkdir(exist_ok=True)
        context = Context(datetime.fromtimestamp(NOW, UTC), folder, folder / "scratch", log=log, home=home, clock=clock)
        with ExitStack() as stack:
            for name in ("connectors", "httpx", "httpcore"):
                _listening(stack, logging.getLogger(name), kept)
            vendor = stack.enter_context(self.serve(folder / "vendor", clock))
            proxy = stack.enter_context(Proxy(vendor.url, clock.now, self.calls).running()) if getattr(vendor, "url", None) else None

            def make(url: str | None = None) -> Any:
                address = url or (proxy.url if proxy else "")
                return self.connector(self.connector.config_model.model_validate(self.config(address)))

            yield World(make, vendor, proxy, clock, context, kept.texts)

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        with self.surroundings(tmp_path) as world:
            yield world

    def test_every_setting_is_described(self) -> None:
        undescribed = [name for name, setting in self.connector.config_model.model_fields.items() if not setting.description]
        assert not undescribed, f"settings without a description: {undescribed}"

    def test_settings_that_look_secret_are_secret(self) -> None:
        words = ("secret", "token", "password", "api_key", "private_key")
        exposed = [
            name
            for name, setting in self.connector.config_model.model_fields.items()
            if any(word in name for word in words) and not name.endswith("_url") and SecretStr.__name__ not in str(setting.annotation)
        ]
        assert not exposed, f"declare these as SecretStr: {exposed}"

    def test_limits_say_where_and_when_they_were_read(self) -> None:
        vague = [limit.name for limit in self.connector.meta.limits if not limit.source or not limit.read_on or limit.value <= 0]
        assert not vague, f"limits without source, date or value: {vague}"

    def test_a_check_passes_with_right_credentials_and_tells_refused_ones(self, world: World) -> None:
        if not isinstance(world.make(), Checks):
            pytest.skip("has no check")
        world.make().check(world.context)
        assert world.wire.hits, "nothing was asked"
        world.wire.always = Answer(401)
        with pytest.raises(ConfigError) as error:
            world.make().check(world.context)
        assert error.value.hint, "say what the user can do"

    def test_making_one_touches_nothing(self, world: World) -> None:
        world.make()
        assert world.proxy is None or not world.proxy.seen, "the constructor sends requests"
        assert not world.kept(), "the constructor writes files"


def _listening(stack: ExitStack, logger: logging.Logger, handler: logging.Handler) -> None:
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if logger.name == "connectors" else level)
    stack.callback(logger.setLevel, level)
    stack.callback(logger.removeHandler, handler)


def nobody() -> str:
    """An address on this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def said(error: BaseException) -> list[str]:
    """Every text of an exception and of what caused it."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), *map(str, getattr(seen, "__notes__", ()))]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return texts


def spilled(world: World, *more: str) -> list[str]:
    """Texts that hold a canary, and files that name a person, or hold a secret and are not for their owner only."""
    texts = [text for text in (*world.logged, *more) if CANARY in text]
    person, secret = f"{CANARY}-".encode(), CANARY.encode()
    for file in world.kept():
        content = file.read_bytes()
        if person in content or (secret in content and file.stat().st_mode & 0o077):
            texts.append(f"{file.name} in what the connector keeps")
    return texts
