"""The connectors and policies that can be used, and what is wrong with a plug-in that can't be.

Built-ins, installed packages (entry-point group `seg_assets.connectors`) and the project's own `connectors/*.py` files go through the same hooks. Plug-ins
are found in `connectors.discovery`, loaded one by one in `connectors.loading`, checked in `connectors.conformance`. Nothing here configures or runs one.

Environment: `SEG_PLUGINS` (comma-separated names of plug-ins or distributions) loads only these besides the built-ins; `SEG_PLUGINS_DISABLED` switches
plug-ins off, built-ins too; `SEG_TRACE_PLUGINS=1` shows every call of a hook.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import SecretStr

from connectors.discovery import disabled_by, find_plugins
from connectors.errors import ConfigError
from connectors.loading import KINDS, Loaded, described, load_plugin, traced
from connectors.normalise import rules
from connectors.types import ConsentProvider, DeliveryEvent, Destination, Enricher, Normaliser, PlanSummary, Source
from connectors.words import did_you_mean

LOAD_SECONDS = 30.0
"""How long a plug-in may take to import and answer its hooks."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PluginRecord:
    """One plug-in that was found, loaded or not.

    Args:
        name: entry-point name, built-in name, or the file's name without `.py`.
        kind: where it came from.
        origin: distribution and version ("acme-seg 1.2"), or the file.
        connectors: ids of the connectors it contributed.
        error: what is wrong with it (all faults, "; "-separated), or None.
        disabled_by: the environment variable that switched it off, or None.
        hooks: hooks it implements.
        seconds: how long loading took.
    """

    name: str
    kind: Literal["built-in", "package", "project"]
    origin: str
    connectors: tuple[str, ...] = ()
    error: str | None = None
    disabled_by: str | None = None
    hooks: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Registry:
    """Connectors by kind and id, normalisers by name, policies by hook (each with its plug-in's name), and a record of every plug-in."""

    records: tuple[PluginRecord, ...]
    sources: Mapping[str, type[Source]]
    destinations: Mapping[str, type[Destination]]
    enrichers: Mapping[str, type[Enricher]] = field(default_factory=dict)
    consent_providers: Mapping[str, type[ConsentProvider]] = field(default_factory=dict)
    normalisers: Mapping[str, Normaliser] = field(default_factory=dict)
    policies: Mapping[str, tuple[tuple[str, Callable[..., Any]], ...]] = field(default_factory=dict)

    @property
    def connectors(self) -> Mapping[str, Mapping[str, type]]:
        """Kind to id to class."""
        held = (self.sources, self.enrichers, self.destinations, self.consent_providers)
        return dict(zip(KINDS, held, strict=True))

    def source(self, connector: str) -> type[Source]:
        """The source class with this id.

        Raises:
            ConfigError: there is none; the message suggests what was meant or which broken plug-in may be the cause.
        """
        return self._named(connector, "source", self.sources)

    def destination(self, connector: str) -> type[Destination]:
        """The destination class with this id. Raises as `source`."""
        return self._named(connector, "destination", self.destinations)

    def enricher(self, connector: str) -> type[Enricher]:
        """The enricher class with this id. Raises as `source`."""
        return self._named(connector, "enricher", self.enrichers)

    def consent_provider(self, connector: str) -> type[ConsentProvider]:
        """The consent provider class with this id. Raises as `source`."""
        return self._named(connector, "consent provider", self.consent_providers)

    def refusals(self, plan: PlanSummary) -> list[str]:
        """Why gates do not let a delivery start; empty when it may. A gate that fails refuses."""
        found = []
        for plugin, gate in self.policies.get("seg_gate", ()):
            try:
                answers = traced(plugin, "seg_gate", lambda gate=gate: gate(plan=plan))
            except BaseException as error:
                answers = [f"the gate failed: {described(error)}"]
            found += [f"{plugin}: {reason}" for reason in answers if reason]
        return found

    def secret(self, name: str) -> SecretStr | None:
        """The first plug-in's answer to what `${name}` stands for; None when no plug-in knows.

        Raises:
            ConfigError: a plug-in failed; its message is not repeated.
        """
        for plugin, hook in self.policies.get("seg_secret", ()):
            try:
                answers = traced(plugin, "seg_secret", lambda hook=hook: hook(name=name))
            except BaseException as error:
                raise ConfigError(f"the plug-in {plugin!r} failed to look up the secret {name}: {type(error).__name__}") from None
            for answer in answers:
                if isinstance(answer, SecretStr):
                    return answer
        return None

    def tell(self, event: DeliveryEvent) -> None:
        """Tells observers. What they do wrong is logged and harms nobody."""
        for plugin, observer in self.policies.get("seg_event", ()):
            try:
                traced(plugin, "seg_event", lambda observer=observer: observer(event=event))
            except BaseException as error:
                _log.warning("plug-in %r: seg_event failed: %s", plugin, described(error))

    def _named(self, connector: str, kind: str, known: Mapping[str, Any]) -> Any:
        if connector in known:
            return known[connector]
        others = [other for other, held in self.connectors.items() if connector in held]
        hints = []
        if others:
            hints.append(f"{connector!r} is of another kind: {', '.join(others)}")
        else:
            hints.append(did_you_mean(connector, known) or f"known: {', '.join(sorted(known)) or 'none'}")
        for record in self.records:
            if record.error:
                hints.append(f"the plug-in {record.name!r} ({record.origin}) is broken and may be the cause: {record.error}")
            elif record.disabled_by:
                hints.append(f"the plug-in {record.name!r} ({record.origin}) is switched off by {record.disabled_by}")
        raise ConfigError(f"there is no {kind} connector {connector!r}", hint="; ".join(hints))


def load_registry(project_connectors: Path | None = None, *, timeout: float = LOAD_SECONDS) -> Registry:
    """Finds and loads every plug-in. Never fails because of a plug-in; look at `Registry.records`.

    Args:
        project_connectors: the project's `connectors` folder; may be absent.
        timeout: seconds each plug-in may take.

    Returns:
        The registry. Of two connectors of one kind with the same id the first wins: built-ins, then packages, then project files, each by name.
    """
    records: list[PluginRecord] = []
    held: dict[str, dict[str, Any]] = {**{kind: {} for kind in KINDS}, "normaliser": dict(rules())}
    owners: dict[tuple[str, str], str] = {("normaliser", name): "of rules that come along" for name in held["normaliser"]}
    policies: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
    for found in find_plugins(project_connectors):
        if switch := disabled_by(found):
            records.append(PluginRecord(found.name, found.kind, found.origin, disabled_by=switch))
            continue
        loaded = load_plugin(found, timeout)
        new = _take(loaded, held, owners, f"{found.name!r} ({found.origin})")
        for hook, function in loaded.policies.items():
            policies.setdefault(hook, []).append((found.name, function))
        error = "; ".join(loaded.faults) or None
        records.append(PluginRecord(found.name, found.kind, found.origin, new, error, hooks=loaded.hooks, seconds=loaded.seconds))
        if error:
            _log.warning("plug-in %r (%s): %s", found.name, found.origin, error)
    sources, enrichers, destinations, consent_providers, normalisers = (MappingProxyType(held[kind]) for kind in (*KINDS, "normaliser"))
    frozen = MappingProxyType({hook: tuple(given) for hook, given in policies.items()})
    return Registry(tuple(records), sources, destinations, enrichers, consent_providers, normalisers, frozen)


def _take(loaded: Loaded, held: dict[str, dict[str, Any]], owners: dict[tuple[str, str], str], owner: str) -> tuple[str, ...]:
    """Adds what a plug-in offers; what somebody else offered before becomes a fault. Returns the ids of its connectors."""
    new: dict[str, None] = {}
    for kind, offered in (*loaded.connectors.items(), ("normaliser", loaded.normalisers)):
        for id, one in offered.items():
            if id in held[kind]:
                loaded.faults.append(f"the {kind} id {id!r} is already taken by the plug-in {owners[kind, id]}")
                continue
            held[kind][id], owners[kind, id] = one, owner
            if kind in KINDS:
                new[id] = None
    return tuple(new)
