"""`seg table`: prints any table of the lake."""

from __future__ import annotations

from pathlib import Path

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_rows


@click.command()
@click.argument("key")
@PROJECT_OPTION
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="Rows to print; 0 prints all.")
@JSON_OPTION
def table(key: str, project_dir: Path | None, limit: int, as_json: bool) -> None:
    """Print the table KEY of the lake, e.g. profiles/features. `seg status` lists the tables."""
    from seg_assets.lake import Lake
    from seg_assets.project.load import load_project

    rows = Lake(load_project(project_dir).lake).read(tuple(key.strip("/").split("/")))
    shown = rows.limit(limit) if limit else rows
    print_rows(shown.to_pyarrow().to_pylist(), rows.columns, as_json=as_json)
