"""Stand-ins on loopback, with a clock that only moves when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.sandbox.emulation import Emulation
from connectors.sandbox.people import Person, Statement
from connectors.sandbox.server import serving
from tests.connectors.sandbox.specification import Judge

START = 1_767_225_600.0
"""2026-01-01T00:00:00Z"""


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


class Vendor:
    """A stand-in being served, and a client that talks to it.

    Args:
        emulation: the stand-in itself.
        http: a client whose base address is the stand-in's.
        clock: the stand-in's clock.
        page: the sandbox's page.
    """

    def __init__(self, emulation: Emulation, http: httpx.Client, clock: Clock, page: str) -> None:
        self.emulation, self.http, self.clock, self.page = emulation, http, clock, page
        self.store, self.faults = emulation.store, emulation.faults
        self.judge = Judge(emulation.name, http.base_url.path.rstrip("/"))
        http.event_hooks["response"].append(self.judge.look)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.http.request(method, path, **({"json": body} if body is not None else {}), **more)


def some_people(count: int) -> list[Person]:
    """p0@example.com, p1@example.com, ...; every second allows e-mail."""
    from datetime import UTC, datetime

    at = datetime(2025, 9, 1, tzinfo=UTC)
    return [
        Person(
            f"p{i}@example.com",
            user_id=f"u{i}",
            phone=f"+4366412345{i:02d}",
            first_name=f"First{i}",
            last_name=f"Last{i}",
            country="AT",
            city="Graz",
            created_at=at,
            updated_at=at,
            consents={"marketing_email": Statement("granted" if i % 2 == 0 else "denied", at)},
            attributes={"age": str(20 + i), "gender": "female"},
        )
        for i in range(count)
    ]


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Callable[..., Vendor]]:
    """Serves a stand-in that holds `people` persons. Whatever a test says to it and hears is judged by the vendor's specification."""
    served_ones: list[Vendor] = []
    with ExitStack() as stack:

        def serve(kind: type[Emulation], people: int = 0, headers: dict[str, str] | None = None, name: str = "state") -> Vendor:
            clock = Clock()
            emulation = kind(tmp_path / f"{name}.sqlite", clock)
            if people:
                emulation.seed(some_people(people))
            served = stack.enter_context(serving(emulation))
            http = stack.enter_context(httpx.Client(base_url=served.url(emulation), headers=headers, trust_env=False, verify=False, timeout=20))
            served_ones.append(Vendor(emulation, http, clock, served.page))
            return served_ones[-1]

        yield serve
    assert [fault for vendor in served_ones for fault in vendor.judge.faults] == []
