"""`seg init`: a project folder that works at once."""

from __future__ import annotations

from pathlib import Path

import click

from seg_assets.cli.console import print_next


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def init(directory: Path) -> None:
    """Make a project folder that works at once, with sample data, three segments and every setting explained."""
    from seg_assets.project.init import init_project

    written = init_project(directory)
    click.echo(f"Made {directory} with {len(written)} files.")
    print_next((f"run --project {directory}", "refresh it: sources to audiences"), (f"ui --project {directory}", "look at the graph"))
    click.echo(f"Then put your own files into {directory / 'data'} and say in {directory / 'project.yaml'} which column is which.")
