"""`seg demo`: the whole graph on the synthetic shop, delivered to stand-ins for HubSpot, Braze and Customer.io on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seg_assets.cli.console import JSON_OPTION, print_json, print_next, progress


@click.command()
@click.option(
    "--dir", "home", type=click.Path(file_okay=False, path_type=Path), default=Path("demo"), show_default=True, help="Where everything goes."
)
@click.option("--customers", type=click.IntRange(1, 10_000_000), default=5000, show_default=True, help="Customers of the made-up shop.")
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed makes another shop.")
@JSON_OPTION
def demo(home: Path, customers: int, seed: int, as_json: bool) -> None:
    """Run the whole graph on a made-up shop and deliver its audiences over HTTP to stand-ins for HubSpot, Braze and Customer.io.

    Run it again: nothing has changed, so nothing is delivered twice.
    """
    from seg_assets.cli.pictures import write_pictures
    from seg_assets.cli.refresh import instance_of, refresh, summary
    from seg_assets.cli.run import complain, show
    from seg_assets.graph import Graph
    from seg_assets.project.init import copy_demo
    from seg_assets.project.load import load_project

    graph = Graph.of(load_project(copy_demo(home, customers=customers, seed=seed)))
    click.echo(f"A shop with {customers:,} customers: from its raw systems to delivered audiences", err=True)
    done = refresh(graph, as_of=None, select=None, on_step=progress)
    found = summary(graph, done)
    with instance_of(graph) as instance:
        page = write_pictures(graph, instance, found)
    if as_json:
        print_json(found)
    else:
        show(found)
        click.echo(f"Pictures: {page}")
        print_next(
            (f"ui --project {home}", "look at the graph in Dagster: every table, check and picture"),
            (f"sandbox --dir {home / 'sandbox'}", "look at what HubSpot, Braze and Customer.io hold"),
            ("init my-project", "start with your own files"),
        )
    complain(done.failures)
    sys.exit(0 if done.ok else 1)
