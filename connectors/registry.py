"""Finding and loading plug-ins: which connectors exist, and what is wrong with a plug-in that can't be used.

Built-ins, installed packages (entry-point group `seg_assets.connectors`) and the project's own `connectors/*.py` files go through the same hooks.
Each plug-in is loaded by itself: whatever it does wrong ends up in its `PluginRecord` and harms no other. What a connector must look like is checked in
`connectors.conformance`. Nothing here configures or runs a connector.

Environment: `SEG_PLUGINS` (comma-separated names of plug-ins or distributions) loads only these besides the built-ins; `SEG_PLUGINS_DISABLED` switches
plug-ins off, built-ins too.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import logging
import os
import re
import sys
import threading
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pluggy

from connectors.conformance import destination_fault, source_fault
from connectors.errors import ConfigError
from connectors.hookspecs import ENTRY_POINT_GROUP, PROJECT, ConnectorSpecs
from connectors.types import Destination, Source

BUILT_INS = ("files", "shop", "webhook")
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
    """

    name: str
    kind: Literal["built-in", "package", "project"]
    origin: str
    connectors: tuple[str, ...] = ()
    error: str | None = None
    disabled_by: str | None = None


@dataclass(frozen=True)
class Registry:
    """The connectors that can be used, and a record of every plug-in that was found."""

    records: tuple[PluginRecord, ...]
    sources: Mapping[str, type[Source]]
    destinations: Mapping[str, type[Destination]]

    def source(self, connector: str) -> type[Source]:
        """The source class with this id.

        Raises:
            ConfigError: there is none; the message suggests what was meant or which broken plug-in may be the cause.
        """
        if connector in self.sources:
            return self.sources[connector]
        raise self._unknown(connector, "source", self.sources, self.destinations)

    def destination(self, connector: str) -> type[Destination]:
        """The destination class with this id.

        Raises:
            ConfigError: as for `source`.
        """
        if connector in self.destinations:
            return self.destinations[connector]
        raise self._unknown(connector, "destination", self.destinations, self.sources)

    def _unknown(self, connector: str, kind: str, known: Mapping[str, object], others: Mapping[str, object]) -> ConfigError:
        hints = []
        if connector in others:
            hints.append(f"{connector!r} is a {'destination' if kind == 'source' else 'source'}")
        elif close := difflib.get_close_matches(connector, known, n=1):
            hints.append(f"did you mean {close[0]!r}?")
        else:
            hints.append(f"known: {', '.join(sorted(known)) or 'none'}")
        for record in self.records:
            if record.error:
                hints.append(f"the plug-in {record.name!r} ({record.origin}) is broken and may be the cause: {record.error}")
            elif record.disabled_by:
                hints.append(f"the plug-in {record.name!r} ({record.origin}) is switched off by {record.disabled_by}")
        return ConfigError(f"there is no {kind} connector {connector!r}", hint="; ".join(hints))


@dataclass(frozen=True)
class _Candidate:
    """A plug-in that was found: how to name it and how to import it."""

    name: str
    kind: Literal["built-in", "package", "project"]
    origin: str
    load: Callable[[], Any]
    dist: str | None = None


@dataclass
class _Yield:
    """What one plug-in gave: connector classes that conform, and its faults."""

    sources: dict[str, type[Source]] = field(default_factory=dict)
    destinations: dict[str, type[Destination]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def load_registry(project_connectors: Path | None = None, *, timeout: float = LOAD_SECONDS) -> Registry:
    """Finds and loads every plug-in. Never fails because of a plug-in; look at `Registry.records`.

    Args:
        project_connectors: the project's `connectors` folder; may be absent.
        timeout: seconds each plug-in may take.

    Returns:
        The registry. Of two connectors of one kind with the same id the first wins: built-ins, then packages, then project files, each by name.
    """
    records: list[PluginRecord] = []
    sources: dict[str, type[Source]] = {}
    destinations: dict[str, type[Destination]] = {}
    owners: dict[tuple[str, str], str] = {}
    candidates = [*_built_ins(), *_packages(), *_project_files(project_connectors)]
    _warn_of_unknown_names(candidates)
    for found in candidates:
        if switch := _disabled_by(found):
            records.append(PluginRecord(found.name, found.kind, found.origin, disabled_by=switch))
            continue
        given = _load_in_time(found, timeout)
        new: dict[str, None] = {}
        for kind, offered, taken in (("source", given.sources, sources), ("destination", given.destinations, destinations)):
            for id, connector in offered.items():
                if id in taken:
                    given.faults.append(f"the {kind} id {id!r} is already taken by the plug-in {owners[kind, id]}")
                    continue
                taken[id] = connector  # type: ignore[assignment]
                owners[kind, id] = f"{found.name!r} ({found.origin})"
                new[id] = None
        records.append(PluginRecord(found.name, found.kind, found.origin, tuple(new), "; ".join(given.faults) or None))
        if given.faults:
            _log.warning("plug-in %r (%s): %s", found.name, found.origin, "; ".join(given.faults))
    return Registry(tuple(records), types.MappingProxyType(sources), types.MappingProxyType(destinations))


def _built_ins() -> list[_Candidate]:
    return [_Candidate(name, "built-in", f"connectors.{name}", lambda name=name: importlib.import_module(f"connectors.{name}")) for name in BUILT_INS]


def _packages() -> list[_Candidate]:
    """Entry points, distribution by distribution: broken metadata of one, even an unrelated one, must not hide the others."""
    found: dict[tuple[str, str], _Candidate] = {}
    for dist in importlib.metadata.distributions():
        try:
            for point in dist.entry_points.select(group=ENTRY_POINT_GROUP):
                one = _Candidate(point.name, "package", f"{dist.name} {dist.version}", point.load, dist.name)
                found.setdefault((_normal(dist.name), point.name), one)  # like an import, the first on the path wins
        except Exception as error:
            _log.warning("the metadata of an installed distribution can't be read, its plug-ins are unknown: %s", _described(error))
    return sorted(found.values(), key=lambda one: (one.name, one.origin))


def _project_files(folder: Path | None) -> list[_Candidate]:
    """The plug-in files of a project; names with a leading underscore are left for shared code (`from ._shared import ...` works)."""
    if folder is None or not folder.is_dir():
        return []
    folder = folder.resolve()
    package = f"seg_project_{hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()}"
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    module = types.ModuleType(package, "A project's own connectors.")
    module.__path__ = [str(folder)]
    sys.modules[package] = module
    files = sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", ".")))
    return [_Candidate(file.stem, "project", str(file), lambda file=file: _import_file(package, file)) for file in files]


def _import_file(package: str, file: Path) -> types.ModuleType:
    if not file.stem.isidentifier():
        raise ImportError("the file's name is not a Python name; use letters, digits and underscores")
    return importlib.import_module(f"{package}.{file.stem}")


def _listed(variable: str) -> set[str] | None:
    """Names in an environment variable, normalised like distribution names; None when it is not set."""
    text = os.environ.get(variable)
    return None if text is None else {_normal(name) for name in text.split(",") if name.strip()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _names(found: _Candidate) -> set[str]:
    return {_normal(name) for name in (found.name, found.dist) if name}


def _disabled_by(found: _Candidate) -> str | None:
    names = _names(found)
    allowed = _listed("SEG_PLUGINS")
    if names & (_listed("SEG_PLUGINS_DISABLED") or set()):
        return "SEG_PLUGINS_DISABLED"
    if found.kind != "built-in" and allowed is not None and not names & allowed:
        return "SEG_PLUGINS"
    return None


def _warn_of_unknown_names(candidates: Sequence[_Candidate]) -> None:
    known = set().union(*map(_names, candidates))
    for variable in ("SEG_PLUGINS", "SEG_PLUGINS_DISABLED"):
        if unknown := (_listed(variable) or set()) - known:
            _log.warning("%s names plug-ins that were not found: %s", variable, ", ".join(sorted(unknown)))


def _load_in_time(found: _Candidate, timeout: float) -> _Yield:
    """Loads in a thread of its own. A plug-in that hangs keeps that (daemon) thread; its late answer is dropped."""
    hung = f"not loaded after {timeout:g} s: it waits or computes while it is imported, or imports the module that is loading the graph"
    answers: list[_Yield] = []
    thread = threading.Thread(target=lambda: answers.append(_load_alone(found)), name=f"plug-in {found.name}", daemon=True)
    thread.start()
    thread.join(timeout)
    return answers[0] if answers else _Yield(faults=[hung])


def _load_alone(found: _Candidate) -> _Yield:
    given = _Yield()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(ConnectorSpecs)
    try:
        plugin = found.load()
        manager.register(plugin, found.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        given.faults.append(_hook_fault(str(error)))
        return given
    except BaseException as error:  # SystemExit and the like: no plug-in may end the graph
        given.faults.append(f"can't be imported: {_described(error)}")
        return given
    if not manager.get_hookcallers(plugin):
        given.faults.append("declares no connectors: mark seg_sources or seg_destinations with @hookimpl (shared code: start the name with '_')")
    _collect(manager.hook.seg_sources, source_fault, given.sources, given.faults)
    _collect(manager.hook.seg_destinations, destination_fault, given.destinations, given.faults)
    return given


def _collect(hook: pluggy.HookCaller, fault_of: Callable[[Any], str | None], into: dict[str, Any], faults: list[str]) -> None:
    """Calls one hook of one plug-in and keeps the classes that conform."""
    if not hook.get_hookimpls():
        return
    try:
        results = hook()
    except BaseException as error:
        faults.append(f"{hook.name} failed: {_described(error)}")
        return
    offered = results[0] if results else None
    if not isinstance(offered, (list, tuple)):
        faults.append(f"{hook.name} must return a list of classes; it returned {type(offered).__name__}")
        return
    for connector in offered:
        try:
            fault = fault_of(connector)
        except BaseException as error:  # metaclasses and descriptors run foreign code
            fault = f"{connector!r:.80} can't be inspected: {_described(error)}"
        if fault:
            faults.append(fault)
        elif connector.meta.id in into:
            faults.append(f"the id {connector.meta.id!r} is used by two classes of {hook.name}")
        else:
            into[connector.meta.id] = connector


def _hook_fault(message: str) -> str:
    """pluggy's complaint, with the hook that was probably meant."""
    unknown = re.search(r"unknown hook '(\w+)'", message)
    if not unknown:
        return " ".join(message.split())
    hooks = [name for name in vars(ConnectorSpecs) if name.startswith("seg_")]
    close = difflib.get_close_matches(unknown[1], hooks, n=1)
    return f"there is no hook {unknown[1]!r} ({f'did you mean {close[0]!r}?' if close else 'hooks: ' + ', '.join(hooks)})"


def _described(error: BaseException) -> str:
    """Type, first line of the message and the place a foreign error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" at {Path(error.filename).name}:{error.lineno}"
    lines = str(error.msg if isinstance(error, SyntaxError) else error).splitlines()
    return f"{type(error).__name__}{f': {lines[0]}' if lines else ''}{place}"
