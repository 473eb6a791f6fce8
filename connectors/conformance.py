"""What a connector class must look like before it is let in: members, signatures, interface version, capabilities. Does not run it.

What it must do is tested by the contracts in `connectors.testkit`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from connectors.types import (
    API_VERSION,
    Archives,
    Capability,
    Checks,
    Config,
    ConnectorMeta,
    ConsentProvider,
    Destination,
    Enricher,
    Erases,
    Limit,
    MakesContainers,
    ReadsBack,
    Source,
    WorksInBulk,
    api_range,
)

_ID = re.compile(r"[a-z][a-z0-9_]*")

CAPABILITIES: dict[Capability, tuple[type, tuple[str, ...]]] = {
    Capability.CONTAINERS: (MakesContainers, ("ensure_container",)),
    Capability.READ_BACK: (ReadsBack, ("read_back",)),
    Capability.ARCHIVE: (Archives, ("archive",)),
    Capability.ERASE: (Erases, ("erase",)),
    Capability.BULK: (WorksInBulk, ("submit", "poll")),
}
"""The protocol behind each capability, and its methods."""


def source_fault(candidate: Any) -> str | None:
    """Why `candidate` can't be used as a source class, or None."""
    return _fault(candidate, Source, "source", ("streams", "watermark", "read"))


def enricher_fault(candidate: Any) -> str | None:
    """Why `candidate` can't be used as an enricher class, or None."""
    return _fault(candidate, Enricher, "enricher", ("fields", "quote", "enrich", "purge"))


def destination_fault(candidate: Any) -> str | None:
    """Why `candidate` can't be used as a destination class, or None."""
    return _fault(candidate, Destination, "destination", ("objects", "deliver"), _capability_fault)


def consent_provider_fault(candidate: Any) -> str | None:
    """Why `candidate` can't be used as a consent provider class, or None."""
    return _fault(candidate, ConsentProvider, "consent provider", ("purposes", "decide", "changes"))


def _fault(candidate: Any, protocol: type, word: str, methods: tuple[str, ...], more: Callable[[type], str | None] = lambda _: None) -> str | None:
    if not inspect.isclass(candidate):
        return f"a {word} must be given as a class, not {type(candidate).__name__}"
    wanted = [(protocol, method) for method in methods]
    if inspect.getattr_static(candidate, "check", None) is not None:
        wanted.append((Checks, "check"))
    faults = (_meta_fault(candidate), *(_method_fault(candidate, *method) for method in wanted), _constructor_fault(candidate))
    for fault in faults:
        if fault:
            return f"{candidate.__name__}: {fault}"
    fault = more(candidate)
    return f"{candidate.__name__}: {fault}" if fault else None


def _meta_fault(candidate: type) -> str | None:
    meta, model = getattr(candidate, "meta", None), getattr(candidate, "config_model", None)
    if not isinstance(meta, ConnectorMeta):
        return "`meta` must be a ConnectorMeta"
    if fault := _api_fault(meta.api):
        return fault
    if not isinstance(meta.id, str) or not _ID.fullmatch(meta.id):
        return f"the id {meta.id!r} must be lower-case letters, digits and underscores, a letter first"
    if not (inspect.isclass(model) and issubclass(model, Config)):
        return "`config_model` must be a subclass of Config"
    if not all(isinstance(limit, Limit) and limit.source for limit in meta.limits):
        return "each of `meta.limits` must be a Limit with its source"
    if unknown := [name for name in meta.capabilities if name not in CAPABILITIES]:
        return f"{unknown[0]!r} is no capability; they are {', '.join(CAPABILITIES)}"
    return None


def _api_fault(api: Any) -> str | None:
    try:
        first, end = api_range(api)
    except ValueError as error:
        return str(error)
    if first <= API_VERSION and (end is None or end > API_VERSION):
        return None
    return f"written for interface version {api}, this is {API_VERSION}; upgrade {'seg-assets' if first > API_VERSION else 'the plug-in'}"


def _capability_fault(candidate: type) -> str | None:
    """Declared and implemented must be the same: the graph relies on what is declared, authors on what they wrote."""
    for capability, (protocol, methods) in CAPABILITIES.items():
        declared = capability in candidate.meta.capabilities  # type: ignore[attr-defined]
        written = [name for name in methods if inspect.getattr_static(candidate, name, None) is not None]
        if declared:
            if fault := next(filter(None, (_method_fault(candidate, protocol, name) for name in methods)), None):
                return f"declares the capability {capability.value}, but {fault}"
        elif written:
            return f"has {written[0]}, but does not declare the capability {capability.value}"
    return None


def _method_fault(candidate: type, protocol: type, name: str) -> str | None:
    method = inspect.getattr_static(candidate, name, None)
    if method is None or getattr(protocol, name) is getattr(candidate, name):
        return f"the method {name} is missing"
    if not inspect.isfunction(method):
        return f"{name} must be a plain method"
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return f"{name} must not be async"
    wanted = [parameter for parameter in inspect.signature(getattr(protocol, name)).parameters if parameter != "self"]
    try:
        signature = inspect.signature(method)
        signature.bind(None, *wanted)
        signature.bind(None, **dict.fromkeys(wanted))
    except TypeError:
        return f"{name} must take ({', '.join(['self', *wanted])})"
    return None


def _constructor_fault(candidate: type) -> str | None:
    if inspect.isabstract(candidate):
        return "the class is abstract"
    try:
        inspect.signature(candidate).bind(None)
    except TypeError:
        return "the constructor must take the configuration and nothing else that is required"
    return None
