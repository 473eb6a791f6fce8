"""`seg run`: refreshes a project."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_json, print_rows, progress


@click.command()
@PROJECT_OPTION
@click.option("--as-of", metavar="T", help="Instant to be true for, e.g. 2026-07-01T00:00:00Z. Default: the project's as_of, else now.")
@click.option("--select", metavar="S", help='Dagster asset selection, e.g. "key:segments/memberships+". Default: everything.')
@JSON_OPTION
def run(project_dir: Path | None, as_of: str | None, select: str | None, as_json: bool) -> None:
    """Refresh a project: from sources to delivered audiences.

    Ends with what was found: people, segments, personas, deliveries. Exit code 0 only if every asset and check succeeded.
    """
    from seg_assets.as_of import parse_as_of
    from seg_assets.cli.refresh import refresh, summary
    from seg_assets.graph import Graph
    from seg_assets.project.load import load_project

    graph = Graph.of(load_project(project_dir))
    instant = parse_as_of(as_of) if as_of else None

    def begin(steps: int) -> Callable[[str, bool], None]:
        click.echo(f"{graph.project.title}: refreshing {select or 'everything'}", err=True)
        return progress(steps)

    done = refresh(graph, as_of=instant, select=select, on_step=begin)
    found = summary(graph, done)
    if as_json:
        print_json(found)
    else:
        show(found)
    complain(done.failures)
    sys.exit(0 if done.ok else 1)


def complain(failures: Mapping[str, str]) -> None:
    """Says what failed on standard error, one line per reason."""
    for reason in dict.fromkeys(failures.values()):
        names = ", ".join(name for name, why in failures.items() if why == reason)
        click.echo(f"seg: {names}: {reason}", err=True)


def show(found: dict) -> None:
    """Prints what a refresh found, for people."""
    click.echo(f"\n{found['people']:,} people as of {found['as_of']}, {found['quarantined']:,} rows or values in quarantine, {found['seconds']} s\n")
    if found["segments"]:
        share = [{**s, "share": f"{s['size'] / max(found['people'], 1):.1%}"} for s in found["segments"]]
        print_rows(share, ["id", "size", "share"], as_json=False, title="Segments")
    if found["personas"]:
        click.echo()
        print_rows(found["personas"], ["label", "size"], as_json=False, title="Personas")
    if found["destinations"]:
        click.echo()
        print_rows(found["destinations"], ["destination", "object", "audience", "members"], as_json=False, title="What destinations hold")
    counts = found["deliveries"]
    click.echo(f"\nDeliveries: {counts['acked']:,} acknowledged, {counts['rejected']:,} rejected, {counts['pending']:,} pending")
    click.echo(f"Tables: {found['lake']}")
