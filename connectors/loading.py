"""Loading one plug-in by itself: import, hooks, what they offer. Whatever it does wrong becomes one of its faults, never an exception.

With `SEG_TRACE_PLUGINS=1` each hook that is called is written to standard error: plug-in, hook, result, time.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pluggy

from connectors.conformance import consent_provider_fault, destination_fault, enricher_fault, source_fault
from connectors.discovery import Candidate
from connectors.hookspecs import CONNECTOR_HOOKS, POLICY_HOOKS, PROJECT, ConnectorSpecs, PolicySpecs
from connectors.types import Normaliser
from connectors.words import did_you_mean

KINDS: Mapping[str, tuple[str, Callable[[Any], str | None]]] = {
    "source": ("seg_sources", source_fault),
    "enricher": ("seg_enrichers", enricher_fault),
    "destination": ("seg_destinations", destination_fault),
    "consent provider": ("seg_consent_providers", consent_provider_fault),
}
"""Kinds of connectors: the hook that offers them, and what checks them."""


@dataclass
class Loaded:
    """What one plug-in gave.

    Args:
        connectors: kind to id to class, of those that conform.
        normalisers: by name.
        policies: hook to function.
        hooks: names of the hooks it implements.
        faults: what is wrong with it.
        seconds: how long it took.
    """

    connectors: dict[str, dict[str, type]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    normalisers: dict[str, Normaliser] = field(default_factory=dict)
    policies: dict[str, Callable[..., Any]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def load_plugin(found: Candidate, timeout: float) -> Loaded:
    """Loads in a thread of its own. A plug-in that hangs keeps that (daemon) thread; its late answer is dropped.

    Args:
        found: what to load.
        timeout: seconds it may take to import and to answer its hooks.
    """
    answers: list[Loaded] = []
    began = time.perf_counter()
    thread = threading.Thread(target=lambda: answers.append(_load(found)), name=f"plug-in {found.name}", daemon=True)
    thread.start()
    thread.join(timeout)
    hung = f"not loaded after {timeout:g} s: it waits or computes while it is imported, or imports the module that is loading the graph"
    loaded = answers[0] if answers else Loaded(faults=[hung])
    loaded.seconds = time.perf_counter() - began
    return loaded


def traced(plugin: str, hook: str, call: Callable[[], Any]) -> Any:
    """Calls a hook of a plug-in; shows that it did when `SEG_TRACE_PLUGINS=1`."""
    if os.environ.get("SEG_TRACE_PLUGINS") != "1":
        return call()
    began, shown = time.perf_counter(), "nothing: it failed"
    try:
        result = call()
        shown = _shown(hook, result)
        return result
    finally:
        sys.stderr.write(f"plug-in {plugin}: {hook} gave {shown} in {(time.perf_counter() - began) * 1000:.1f} ms\n")


def described(error: BaseException) -> str:
    """Type, first line of the message and the place a foreign error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" at {Path(error.filename).name}:{error.lineno}"
    lines = str(error.msg if isinstance(error, SyntaxError) else error).splitlines()
    return f"{type(error).__name__}{f': {lines[0]}' if lines else ''}{place}"


def _load(found: Candidate) -> Loaded:
    loaded = Loaded()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(ConnectorSpecs)
    manager.add_hookspecs(PolicySpecs)
    try:
        plugin = found.load()
        manager.register(plugin, found.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        loaded.faults.append(_hook_fault(str(error)))
        return loaded
    except BaseException as error:  # SystemExit and the like: no plug-in may end the graph
        loaded.faults.append(f"can't be imported: {described(error)}")
        return loaded
    loaded.hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))
    if not loaded.hooks:
        loaded.faults.append("declares no connectors: mark seg_sources or seg_destinations with @hookimpl (shared code: start the name with '_')")
    for kind, (hook, fault_of) in KINDS.items():
        _collect(found.name, getattr(manager.hook, hook), fault_of, loaded.connectors[kind], loaded.faults)
    _collect_normalisers(found.name, manager.hook.seg_normalisers, loaded)
    for hook in POLICY_HOOKS:
        if getattr(manager.hook, hook).get_hookimpls():
            loaded.policies[hook] = getattr(manager.hook, hook)
    return loaded


def _answer(plugin: str, hook: pluggy.HookCaller, wanted: type | tuple[type, ...], words: str, faults: list[str]) -> Any:
    """What a hook of one plug-in returns; None when it has none or a fault was found."""
    if not hook.get_hookimpls():
        return None
    try:
        results = traced(plugin, hook.name, hook)
    except BaseException as error:
        faults.append(f"{hook.name} failed: {described(error)}")
        return None
    offered = results[0] if results else None
    if isinstance(offered, wanted):
        return offered
    faults.append(f"{hook.name} must return {words}; it returned {type(offered).__name__}")
    return None


def _collect(plugin: str, hook: pluggy.HookCaller, fault_of: Callable[[Any], str | None], into: dict[str, Any], faults: list[str]) -> None:
    """Keeps the classes that conform."""
    offered: Sequence[Any] = _answer(plugin, hook, (list, tuple), "a list of classes", faults) or ()
    for connector in offered:
        try:
            fault = fault_of(connector)
        except BaseException as error:  # metaclasses and descriptors run foreign code
            fault = f"{connector!r:.80} can't be inspected: {described(error)}"
        if fault:
            faults.append(fault)
        elif connector.meta.id in into:
            faults.append(f"the id {connector.meta.id!r} is used by two classes of {hook.name}")
        else:
            into[connector.meta.id] = connector


def _collect_normalisers(plugin: str, hook: pluggy.HookCaller, loaded: Loaded) -> None:
    offered: dict[Any, Any] = _answer(plugin, hook, dict, "a dictionary of functions", loaded.faults) or {}
    for name, function in offered.items():
        named = isinstance(name, str) and re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+@\d{4}-\d{2}(-\d{2})?", name)
        if named and callable(function):
            loaded.normalisers[named[0]] = cast("Normaliser", function)
        else:
            loaded.faults.append(f"seg_normalisers: {name!r} must be named like 'meta.email@2026-01' and be a function")


def _hook_fault(message: str) -> str:
    """pluggy's complaint, with the hook that was probably meant."""
    unknown = re.search(r"unknown hook '(\w+)'", message)
    if not unknown:
        return " ".join(message.split())
    hooks = [*CONNECTOR_HOOKS, *POLICY_HOOKS]
    hint = did_you_mean(unknown[1], hooks) or f"hooks: {', '.join(hooks)}"
    return f"there is no hook {unknown[1]!r} ({hint})"


def _shown(hook: str, result: Any) -> str:
    """A result for the trace; of policies only whether there is one, for it may be a secret."""
    if hook in POLICY_HOOKS:
        return "an answer" if result else "no answer"
    names = [getattr(one, "__name__", repr(one)) for one in (result[0] if result and isinstance(result[0], list | tuple | dict) else result or ())]
    return ", ".join(names) or "nothing"
