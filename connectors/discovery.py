"""Where plug-ins are found: built in, installed as packages, in the project's `connectors/*.py`; and which of them are switched off. Imports none of them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import logging
import os
import re
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from connectors.hookspecs import ENTRY_POINT_GROUP

BUILT_INS = ("braze", "customerio", "files", "hubspot", "marketo", "onetrust", "people_data_labs", "salesforce", "shop", "webhook")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A plug-in that was found.

    Args:
        name: entry-point name, built-in name, or the file's name without `.py`.
        kind: where it came from.
        origin: distribution and version ("acme-seg 1.2"), or the file.
        load: imports it.
        dist: its distribution's name, if it has one.
    """

    name: str
    kind: Literal["built-in", "package", "project"]
    origin: str
    load: Callable[[], Any]
    dist: str | None = None


def find_plugins(project_connectors: Path | None) -> list[Candidate]:
    """Every plug-in: built-ins, then packages, then project files, each by name. Broken metadata of a package hides no other.

    Args:
        project_connectors: the project's `connectors` folder; may be absent.
    """
    found = [*_built_ins(), *_packages(), *_project_files(project_connectors)]
    known = set().union(*map(_names, found))
    for variable in ("SEG_PLUGINS", "SEG_PLUGINS_DISABLED"):
        if unknown := (_listed(variable) or set()) - known:
            _log.warning("%s names plug-ins that were not found: %s", variable, ", ".join(sorted(unknown)))
    return found


def disabled_by(found: Candidate) -> str | None:
    """The environment variable that switches a plug-in off, or None. Names are those of plug-ins or of distributions."""
    names = _names(found)
    allowed = _listed("SEG_PLUGINS")
    if names & (_listed("SEG_PLUGINS_DISABLED") or set()):
        return "SEG_PLUGINS_DISABLED"
    if found.kind != "built-in" and allowed is not None and not names & allowed:
        return "SEG_PLUGINS"
    return None


def _built_ins() -> list[Candidate]:
    return [Candidate(name, "built-in", f"connectors.{name}", lambda name=name: importlib.import_module(f"connectors.{name}")) for name in BUILT_INS]


def _packages() -> list[Candidate]:
    """Entry points, distribution by distribution: broken metadata of one, even an unrelated one, must not hide the others."""
    found: dict[tuple[str, str], Candidate] = {}
    for dist in importlib.metadata.distributions():
        try:
            for point in dist.entry_points.select(group=ENTRY_POINT_GROUP):
                one = Candidate(point.name, "package", f"{dist.name} {dist.version}", point.load, dist.name)
                found.setdefault((_normal(dist.name), point.name), one)  # like an import, the first on the path wins
        except Exception as error:
            _log.warning("the metadata of an installed distribution can't be read, its plug-ins are unknown: %s", type(error).__name__)
    return sorted(found.values(), key=lambda one: (one.name, one.origin))


def _project_files(folder: Path | None) -> Sequence[Candidate]:
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
    return [Candidate(file.stem, "project", str(file), lambda file=file: _import_file(package, file)) for file in files]


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


def _names(found: Candidate) -> set[str]:
    return {_normal(name) for name in (found.name, found.dist) if name}
