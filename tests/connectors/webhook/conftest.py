"""A running sandbox receiver and a webhook that delivers to it."""

from datetime import UTC, datetime

import pytest

from connectors.types import Context, Operation, OpKind
from connectors.webhook import WebhookDestination
from connectors.webhook.emulation import Receiver, running

SECRET = "a signing key for tests"
NOW = 1_767_225_600
"""2026-01-01T00:00:00Z"""


@pytest.fixture
def context(tmp_path):
    return Context(datetime.fromtimestamp(NOW, UTC), tmp_path, tmp_path)


@pytest.fixture
def served(tmp_path):
    """A receiver on a free port, whose clock stands at NOW."""
    with running(Receiver(tmp_path / "receiver.db", SECRET, clock=lambda: NOW)) as served:
        yield served


@pytest.fixture
def webhook():
    """Makes a webhook destination for a URL."""

    def make(url, clock=lambda: NOW, **config):
        return WebhookDestination(WebhookDestination.config_model(url=url, **({"secret": SECRET, "timeout": 5} | config)), clock)

    return make


@pytest.fixture
def adds():
    """Operations that add the given keys to the audience `vip`."""

    def make(*keys):
        return [Operation(f"op-{key}", OpKind.ADD, "vip", key, {"name": key.title()}) for key in keys]

    return make
