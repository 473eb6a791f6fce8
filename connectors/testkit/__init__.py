"""Contracts: what a connector must do, as tests its author inherits. Needs pytest (`pip install seg-assets[testkit]`).

    from connectors.testkit import DestinationContract

    class TestAcme(DestinationContract):
        connector = AcmeDestination

        def serve(self, folder, clock): ...     # a context manager that runs a stand-in of the vendor and yields it; it has a `url`
        def config(self, url): ...              # the configuration for an address
        def held(self, vendor, audience): ...   # what the stand-in holds: match key to fields

Between connector and stand-in stands a proxy that loses, refuses, delays and distorts, on a clock that does not wait.
"""

# ruff: noqa: E402 (assertions are rewritten in what is imported after this)
import pytest

pytest.register_assert_rewrite(*(f"connectors.testkit.{name}" for name in ("world", "source", "destination", "enricher", "consent")))

from connectors.testkit.consent import ConsentContract
from connectors.testkit.destination import DestinationContract
from connectors.testkit.enricher import EnricherContract
from connectors.testkit.proxy import Answer, Distort, Fault, Lose, Proxy, Replay
from connectors.testkit.source import SourceContract
from connectors.testkit.world import Stand, StillClock, World, standing

__all__ = [
    "Answer",
    "ConsentContract",
    "DestinationContract",
    "Distort",
    "EnricherContract",
    "Fault",
    "Lose",
    "Proxy",
    "Replay",
    "SourceContract",
    "Stand",
    "StillClock",
    "World",
    "standing",
]
