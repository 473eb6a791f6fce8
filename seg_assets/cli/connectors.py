"""`seg connectors`: which connectors there are, what they take, and how to begin one. Trying out a configured one is in `connections.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from seg_assets.cli.connections import check, discover, read
from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_json, print_rows


@click.group()
def connectors() -> None:
    """List connectors, show what they take, try out configured ones, begin new ones."""


for verb in (check, discover, read):
    connectors.add_command(verb)


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


@connectors.command()
@click.argument("connector")
@PROJECT_OPTION
def docs(connector: str, project_dir: Path | None) -> None:
    """Print the page about a connector, in Markdown."""
    from connectors.about import connector_page

    registry = _registry(project_dir)
    kinds = {kind: known[connector] for kind, known in registry.connectors.items() if connector in known}
    click.echo(connector_page(kinds or {"source": registry.source(connector)}), nl=False)


@connectors.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["source", "destination", "enricher", "consent"]),
    required=True,
    help="What it shall be; repeat the command for more.",
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=None, help="Folder of the package. Default: seg-connector-NAME.")
def new(name: str, kind: str, folder: Path | None) -> None:
    """Begin the connector NAME: a pip package that works and keeps its contract against a made-up vendor, to be turned into the real one."""
    from connectors.scaffold import scaffold

    folder = folder or Path(f"seg-connector-{name.replace('_', '-')}")
    for file in scaffold(folder, name, kind, datetime.now(UTC).date()):
        click.echo(f"  {file}")
    click.echo(
        f"\nseg connectors test {folder}      its contract, against its stand-in\npip install -e {folder}            from then on `seg connectors list` shows it"
    )


@connectors.command(context_settings={"ignore_unknown_options": True})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.argument("pytest_options", nargs=-1, type=click.UNPROCESSED)
def test(folder: Path, pytest_options: tuple[str, ...]) -> None:
    """Run the contracts of the connector package in FOLDER, and show which laws it keeps. Further options go to pytest."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="seg-") as scratch:
        table = Path(scratch) / "laws.md"
        options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "--rootdir", ".", "-c", os.devnull, "--seg-conformance", str(table)]
        path = os.pathsep.join(filter(None, [str(folder.resolve()), os.environ.get("PYTHONPATH", "")]))
        command = [sys.executable, "-m", "pytest", *options, "tests", *pytest_options]
        done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=False)
        if table.is_file():
            click.echo(f"\n{table.read_text(encoding='utf-8')}", nl=False)
    sys.exit(done.returncode)


def _registry(project_dir: Path | None) -> Any:
    from connectors.registry import load_registry
    from seg_assets.project.load import load_project

    return load_registry(load_project(project_dir).connectors_dir)
