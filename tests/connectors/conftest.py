"""What the tests of all vendors stand on: a clock that does not wait, and a context that uses it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.testkit import StillClock
from connectors.types import Context


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def context(tmp_path: Path, clock: StillClock) -> Context:
    return Context(datetime.fromtimestamp(clock.time, UTC), tmp_path, tmp_path, home=tmp_path / "home", clock=clock)
