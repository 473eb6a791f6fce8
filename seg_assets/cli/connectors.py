"""`seg connectors`: which connectors there are, and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_json, print_rows


@click.group()
def connectors() -> None:
    """List connectors and show what they take."""


@connectors.command("list")
@PROJECT_OPTION
@JSON_OPTION
def list_(project_dir: Path | None, as_json: bool) -> None:
    """Every plug-in that was found, with its connectors; a broken one with its reason."""
    registry = _registry(project_dir)
    rows = []
    for record in registry.records:
        for connector in record.connectors or (None,):
            kinds = [kind for kind, known in registry.connectors.items() if connector in known]
            cls: Any = registry.connectors[kinds[0]][connector] if kinds else None
            rows.append(
                {
                    "connector": connector or f"({record.name})",
                    "kind": ", ".join(kinds),
                    "from": f"{record.kind}: {record.origin}" if record.kind != "built-in" else "built-in",
                    "state": "broken" if record.error else "off" if record.disabled_by else "ok",
                    "about": record.error or record.disabled_by or (cls.meta.description if cls else ""),
                }
            )
    print_rows(rows, ["connector", "kind", "from", "state", "about"], as_json=as_json)


@connectors.command()
@click.argument("connector")
@PROJECT_OPTION
@JSON_OPTION
def info(connector: str, project_dir: Path | None, as_json: bool) -> None:
    """What a connector's `config` takes."""
    registry = _registry(project_dir)
    kinds = [kind for kind, known in registry.connectors.items() if connector in known]
    cls: Any = registry.connectors[kinds[-1]][connector] if kinds else registry.source(connector)
    schema = cls.config_model.model_json_schema()
    if as_json:
        limits = [{"limit": one.name, "value": one.value, "source": one.source, "read_on": one.read_on.isoformat()} for one in cls.meta.limits]
        about = {"id": cls.meta.id, "title": cls.meta.title, "description": cls.meta.description, "kinds": kinds}
        print_json({**about, "capabilities": sorted(cls.meta.capabilities), "limits": limits, "config": schema})
        return
    click.echo(f"{cls.meta.title} ({cls.meta.id})\n{cls.meta.description}\n")
    required = set(schema.get("required", ()))
    rows = [
        {"setting": name, "default": "required" if name in required else field.get("default"), "about": field.get("description", "")}
        for name, field in schema.get("properties", {}).items()
    ]
    print_rows(rows, ["setting", "default", "about"], as_json=False)
    if cls.meta.capabilities:
        click.echo(f"\nBesides delivering: {', '.join(sorted(cls.meta.capabilities))}")
    if cls.meta.limits:
        click.echo("")
        limits = [{"limit": one.name, "value": f"{one.value:,g}", "source": one.source, "read on": str(one.read_on)} for one in cls.meta.limits]
        print_rows(limits, ["limit", "value", "source", "read on"], as_json=False)


def _registry(project_dir: Path | None) -> Any:
    from connectors.registry import load_registry
    from seg_assets.project.load import load_project

    return load_registry(load_project(project_dir).connectors_dir)
