"""What a connector class must look like before it is let in: members, signatures, interface version. Does not run it."""

from __future__ import annotations

import inspect
import re
from typing import Any

from connectors.types import API_VERSION, Config, ConnectorMeta, Destination, Source

_ID = re.compile(r"[a-z][a-z0-9_]*")


def source_fault(candidate: Any) -> str | None:
    """Why `candidate` can't be used as a source class, or None."""
    return _fault(candidate, Source, ("streams", "watermark", "read"))


def destination_fault(candidate: Any) -> str | None:
    """Why `candidate` can't be used as a destination class, or None."""
    return _fault(candidate, Destination, ("objects", "deliver"))


def _fault(candidate: Any, protocol: type, methods: tuple[str, ...]) -> str | None:
    if not inspect.isclass(candidate):
        return f"a {protocol.__name__.lower()} must be given as a class, not {type(candidate).__name__}"
    for fault in (_meta_fault(candidate), *(_method_fault(candidate, protocol, method) for method in methods), _constructor_fault(candidate)):
        if fault:
            return f"{candidate.__name__}: {fault}"
    return None


def _meta_fault(candidate: type) -> str | None:
    meta, model = getattr(candidate, "meta", None), getattr(candidate, "config_model", None)
    if not isinstance(meta, ConnectorMeta):
        return "`meta` must be a ConnectorMeta"
    if meta.api != API_VERSION:
        older = isinstance(meta.api, int) and meta.api < API_VERSION
        return f"written for interface version {meta.api}, this is {API_VERSION}; upgrade {'the plug-in' if older else 'seg-assets'}"
    if not isinstance(meta.id, str) or not _ID.fullmatch(meta.id):
        return f"the id {meta.id!r} must be lower-case letters, digits and underscores, a letter first"
    if not (inspect.isclass(model) and issubclass(model, Config)):
        return "`config_model` must be a subclass of Config"
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
