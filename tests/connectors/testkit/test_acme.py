"""Connectors that are sound keep every law, and no law is skipped for them."""

from tests.connectors.testkit.contracts import Consents, Destination, Enricher, Source


class TestDestination(Destination): ...


class TestSource(Source): ...


class TestEnricher(Enricher): ...


class TestConsents(Consents): ...
