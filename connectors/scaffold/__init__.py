"""Begins a connector: a pip package for a made-up vendor that keeps its contract from the first minute, to be turned into the real one.

The package is `acme/`, complete and tested as it stands; a new one is a copy under another name, with the files of the kinds that are asked for.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from connectors.errors import ConfigError

KINDS = ("source", "destination", "enricher", "consent")
"""What a connector can be; each is one module, its spec, its stand-in and its contract."""
TEMPLATE = Path(__file__).parent / "acme"
_SHARED = ("README.md", "pyproject.toml", "seg_connector_acme/__init__.py")
_OF_KIND = (
    "seg_connector_acme/{kind}.py",
    "seg_connector_acme/{kind}.yaml",
    "seg_connector_acme/{kind}_emulation.py",
    "tests/test_{kind}.py",
)
_WRITTEN_ON = "2026-11-22"
_ENTRY_POINTS = '[project.entry-points."seg_assets.connectors"]\n'


def scaffold(folder: Path, name: str, kind: str, today: date) -> list[Path]:
    """Writes the package of a connector, or adds a kind to one that was begun this way.

    Args:
        folder: of the package; made if it is missing.
        name: the connector's id: lower-case letters, digits and underscores.
        kind: one of `KINDS`.
        today: stands for "read on" until the real limits do.

    Returns:
        The files written.

    Raises:
        ConfigError: the name is not usable, or the connector has this kind already. Nothing is written then.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError(f"{name!r} can't be a connector's id", hint="use lower-case letters, digits and underscores, a letter first")
    sources = [*_SHARED, *(path.format(kind=kind) for path in _OF_KIND)]
    texts = {_named(path, name): _named((TEMPLATE / path).read_text(encoding="utf-8"), name).replace(_WRITTEN_ON, str(today)) for path in sources}
    own = {path: text for path, text in texts.items() if (kind in Path(path).name or not (folder / path).exists())}
    if taken := [path for path in own if (folder / path).exists()]:
        raise ConfigError(f"there is a {taken[0]} in {folder} already", hint="choose another name, kind or folder; nothing was written")
    for path, text in own.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    project = folder / "pyproject.toml"
    entry = f'{name}_{kind} = "seg_connector_{name}.{kind}"\n'
    project.write_text(project.read_text(encoding="utf-8").replace(_ENTRY_POINTS, _ENTRY_POINTS + entry), encoding="utf-8")
    return [folder / path for path in own]


def _named(text: str, name: str) -> str:
    """The template's text under another name: `acme`, `Acme` and, where names of packages have hyphens, `seg-connector-acme`."""
    title = "".join(part.capitalize() for part in name.split("_"))
    hyphened = name.replace("_", "-")
    text = text.replace("seg-connector-acme", f"seg-connector-{hyphened}").replace("acme.example", f"{hyphened}.example")
    return text.replace("acme", name).replace("Acme", title)
