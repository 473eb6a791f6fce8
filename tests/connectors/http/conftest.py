"""A clock that does not wait, a context, and an API of a vendor on a loopback server."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from connectors.http import Api, HttpSpec
from connectors.types import Context

NOW = 1_767_225_600.0
"""2026-01-01T00:00:00Z"""


@dataclass
class StillClock:
    """Stands still; sleeping moves it."""

    time: float = NOW
    slept: list[float] = field(default_factory=list)

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def context(tmp_path, clock):
    return Context(datetime.fromtimestamp(NOW, UTC), tmp_path, tmp_path, home=tmp_path / "home", clock=clock)


@pytest.fixture
def vendor(httpserver):
    """Makes an API of the loopback server; `get` reads /things, `put` upserts (class A), `post` appends (class D)."""

    def make(secrets=None, **changes):
        endpoints = {
            "get": {"path": "/things"},
            "put": {"method": "PUT", "path": "/things", "idempotency": "A"},
            "post": {"method": "POST", "path": "/things"},
        }
        content = {"base_url": httpserver.url_for(""), "endpoints": endpoints, "timeout": 5, "source": "test", "read_on": "2026-01-01", **changes}
        return Api(HttpSpec.model_validate(content), secrets or {}, name="the vendor", seed="test")

    return make
