"""`seg ui`: Dagster's web interface on a project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from seg_assets.cli.console import PROJECT_OPTION


@click.command()
@PROJECT_OPTION
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port on this machine.")
def ui(project_dir: Path | None, port: int) -> None:
    """Open the Dagster UI on a project, with the history of its runs. It has no login: it answers on this machine only."""
    from seg_assets.cli.refresh import dagster_home
    from seg_assets.project.load import load_project

    project = load_project(project_dir)
    os.environ["SEG_PROJECT"], os.environ["SEG_HOME"] = str(project.root), str(project.home)
    os.environ["DAGSTER_HOME"] = str(dagster_home(project))
    click.echo(f"{project.title}: http://127.0.0.1:{port}  (Ctrl-C stops it)", err=True)
    arguments = [sys.executable, "-m", "dagster", "dev", "-m", "seg_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, arguments)
