"""`seg status`: what the lake holds."""

from __future__ import annotations

from pathlib import Path

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_rows


@click.command()
@PROJECT_OPTION
@JSON_OPTION
def status(project_dir: Path | None, as_json: bool) -> None:
    """Show what the lake holds: every table with its rows, version, size and the instant it is true for."""
    from seg_assets.lake import Lake
    from seg_assets.project.load import load_project

    lake = Lake(load_project(project_dir).lake)
    rows = []
    for key in lake.tables():
        commit = lake.commit(key)
        rows.append(
            {
                "table": "/".join(key),
                "rows": commit.rows,
                "megabytes": round(commit.size / 1e6, 2),
                "version": commit.version,
                "as_of": lake.facts(key).get("as_of"),
            }
        )
    if not rows and not as_json:
        click.echo(f"The lake {lake.root} is empty. `seg run` fills it.")
        return
    print_rows(rows, ["table", "rows", "megabytes", "version", "as_of"], as_json=as_json, title=lake.root)
