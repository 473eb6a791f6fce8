"""A stand-in, a clock that does not wait, and connectors to it."""

from datetime import UTC, datetime

import pytest

from connectors.hubspot import HubSpotDestination, HubSpotSource
from connectors.testkit import StillClock
from connectors.types import Context
from tests.connectors.hubspot.stand import KEY, serve


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def context(tmp_path, clock):
    return Context(datetime.fromtimestamp(clock.time, UTC), tmp_path, tmp_path, home=tmp_path / "home", clock=clock)


@pytest.fixture
def stand(tmp_path, clock):
    with serve(tmp_path, clock.now) as stand:
        yield stand


@pytest.fixture
def destination(stand):
    """Makes a destination with the given settings."""
    return lambda **settings: HubSpotDestination(HubSpotDestination.config_model.model_validate({"base_url": stand.url, **(settings or KEY)}))


@pytest.fixture
def source(stand):
    """Makes a source with the given settings."""
    return lambda **settings: HubSpotSource(HubSpotSource.config_model.model_validate({"base_url": stand.url, **KEY, **settings}))
