"""`seg plugins`: what was found, what it offers, and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_rows


@click.group()
def plugins() -> None:
    """Show what is wrong with plug-ins."""


@plugins.command()
@PROJECT_OPTION
@JSON_OPTION
def doctor(project_dir: Path | None, as_json: bool) -> None:
    """Loads every plug-in and says what each offers or lacks. Exit code 1 if one is broken."""
    from connectors.registry import load_registry
    from connectors.types import API_VERSION
    from seg_assets.project.load import load_project

    records = load_registry(load_project(project_dir).connectors_dir).records
    rows = [
        {
            "plug-in": record.name,
            "from": record.kind if record.kind == "built-in" else f"{record.kind}: {record.origin}",
            "hooks": ", ".join(record.hooks),
            "connectors": ", ".join(record.connectors),
            "ms": round(record.seconds * 1000),
            "state": "broken" if record.error else "off" if record.disabled_by else "ok",
            "reason": record.error or record.disabled_by or "",
        }
        for record in records
    ]
    print_rows(rows, list(rows[0]), as_json=as_json)
    broken = sum(row["state"] == "broken" for row in rows)
    if not as_json:
        click.echo(f"\n{len(rows)} plug-ins, {broken} broken. Interface version {API_VERSION}. SEG_TRACE_PLUGINS=1 shows each call of a hook.")
    sys.exit(1 if broken else 0)
