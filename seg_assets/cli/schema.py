"""`seg schema`: what project.yaml may say, for editors."""

from __future__ import annotations

import click

from seg_assets.cli.console import print_json


@click.command()
def schema() -> None:
    """Print the JSON Schema of project.yaml, for editors that complete and check YAML."""
    from seg_assets.project.reference import project_json_schema

    print_json(project_json_schema())
