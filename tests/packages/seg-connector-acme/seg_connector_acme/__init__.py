"""Connectors to Acme for seg-assets."""

from seg_assets.sdk import hookimpl
from seg_connector_acme.connectors import AcmeConsents, AcmeDestination, AcmeEnricher, AcmeSource


@hookimpl
def seg_sources() -> list[type[AcmeSource]]:
    return [AcmeSource]


@hookimpl
def seg_destinations() -> list[type[AcmeDestination]]:
    return [AcmeDestination]


@hookimpl
def seg_enrichers() -> list[type[AcmeEnricher]]:
    return [AcmeEnricher]


@hookimpl
def seg_consent_providers() -> list[type[AcmeConsents]]:
    return [AcmeConsents]
