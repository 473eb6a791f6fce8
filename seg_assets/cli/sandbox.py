"""`seg sandbox`: stand-ins for vendors on this machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from seg_assets.cli.console import JSON_OPTION, print_json, print_rows


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8025, show_default=True, help="Port on this machine; 0 takes a free one.")
@click.option(
    "--dir", "home", type=click.Path(file_okay=False, path_type=Path), default=Path("sandbox"), show_default=True, help="Where the state is kept."
)
@click.option(
    "--vendor",
    "vendors",
    multiple=True,
    metavar="NAME",
    help="Only this stand-in, or the module of one of your own; repeat for more. Default: all built-in ones.",
)
@click.option(
    "--customers", type=click.IntRange(0, 1_000_000), default=500, show_default=True, help="Size of the shop whose people they hold at first."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, help="Another seed makes another shop.")
@JSON_OPTION
def sandbox(port: int, home: Path, vendors: tuple[str, ...], customers: int, seed: int, as_json: bool) -> None:
    """Serve stand-ins for vendors: real HTTP, real state, faults on demand. They answer on this machine only.

    What they hold survives restarts; delete the folder to begin anew.
    """
    from connectors.sandbox.people import seed_all
    from connectors.sandbox.server import VENDORS
    from connectors.sandbox.shared import shared

    try:
        with shared(home, vendors or VENDORS, port=port) as (served, some):
            if not some:
                raise click.ClickException(f"{home} is being served already: {served.page}")
            if customers:
                seed_all(some, customers, seed)
            rows = [{"vendor": one.title, "address": served.url(one)} for one in some]
            if as_json:
                print_json({"page": served.page, "vendors": {one.name: {"url": served.url(one), **one.credentials()} for one in some}})
            else:
                print_rows(rows, ("vendor", "address"), as_json=False)
                click.echo(f"\nWhat they hold, how to sign in, and the dial for faults: {served.page}  (Ctrl-C stops it)")
            _until_stopped()
    except OSError as error:
        raise click.ClickException(f"port {port} can't be used: {error.strerror}; choose another with --port") from None


def _until_stopped() -> None:
    """Waits for SIGTERM; Ctrl-C ends it by its own exception."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    stopped.wait()
