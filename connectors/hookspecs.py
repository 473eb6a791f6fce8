"""The pluggy hooks by which a package offers connectors and policies. Hooks declare; rows never pass through them.

Example (module named by the entry point, or a file in the project's `connectors/` folder):

    from seg_assets.sdk import hookimpl

    @hookimpl
    def seg_sources():
        return [AcmeSource]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pluggy
from pydantic import SecretStr

from connectors.types import ConsentProvider, DeliveryEvent, Destination, Enricher, Normaliser, PlanSummary, Source

PROJECT = "seg"
ENTRY_POINT_GROUP = "seg_assets.connectors"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class ConnectorSpecs:
    """What a plug-in offers. Called once, when the graph loads."""

    @hookspec
    def seg_sources(self) -> Sequence[type[Source]]:  # type: ignore[empty-body]
        """Source classes this plug-in offers."""

    @hookspec
    def seg_enrichers(self) -> Sequence[type[Enricher]]:  # type: ignore[empty-body]
        """Enricher classes this plug-in offers."""

    @hookspec
    def seg_destinations(self) -> Sequence[type[Destination]]:  # type: ignore[empty-body]
        """Destination classes this plug-in offers."""

    @hookspec
    def seg_consent_providers(self) -> Sequence[type[ConsentProvider]]:  # type: ignore[empty-body]
        """Consent provider classes this plug-in offers."""

    @hookspec
    def seg_normalisers(self) -> Mapping[str, Normaliser]:  # type: ignore[empty-body]
        """Normalisers by name: destination, field and the date of the rules, e.g. "meta.email@2026-01"."""


class PolicySpecs:
    """What a plug-in may say while the graph runs. Each is asked by itself; none can break another."""

    @hookspec
    def seg_gate(self, plan: PlanSummary) -> str | None:
        """Why this delivery must not start, or None. One refusal is enough, and a gate that fails refuses."""

    @hookspec
    def seg_secret(self, name: str) -> SecretStr | None:
        """The value of a secret that `${name}` stands for, or None. The first answer counts; the environment is asked last."""

    @hookspec
    def seg_event(self, event: DeliveryEvent) -> None:
        """Hears of a delivery's progress. What it does wrong is logged and harms nobody."""


CONNECTOR_HOOKS = tuple(name for name in vars(ConnectorSpecs) if name.startswith("seg_"))
POLICY_HOOKS = tuple(name for name in vars(PolicySpecs) if name.startswith("seg_"))
