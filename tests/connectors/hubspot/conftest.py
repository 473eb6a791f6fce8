"""A stand-in, and connectors to it."""

import pytest

from connectors.hubspot import HubSpotDestination, HubSpotSource
from tests.connectors.hubspot.stand import KEY, serve


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
