"""Connectors that are sound keep every law, and no law is skipped for them."""

from seg_connector_acme.contracts import Consents, Destination, Enricher, Source


class TestDestination(Destination): ...


class TestSource(Source): ...


class TestEnricher(Enricher): ...


class TestConsents(Consents): ...
