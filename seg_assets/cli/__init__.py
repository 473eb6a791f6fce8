"""The `seg` command. Each verb lives in a module of its own, imported when it is used: `seg --help` answers at once."""

from __future__ import annotations

import importlib
import sys
from typing import ClassVar

import click


class _LazyGroup(click.Group):
    """Loads a verb's module only when that verb is called or its help is shown."""

    verbs: ClassVar[dict[str, str]] = {
        "demo": "Run the whole graph on a made-up shop and deliver its audiences to stand-ins for vendors.",
        "init": "Make a project folder that works at once.",
        "run": "Refresh a project: from sources to delivered audiences.",
        "ui": "Open the Dagster UI on a project.",
        "status": "Show what the lake holds: tables, rows, instants, audiences, deliveries.",
        "table": "Print a table of the lake.",
        "segments": "Check, test, preview and explain segments.",
        "activate": "Plan, apply, look into and mend deliveries.",
        "connectors": "List connectors and show what they take.",
        "sandbox": "Serve stand-ins for vendors on this machine: HubSpot, Salesforce, Braze and others.",
        "plugins": "Show what is wrong with plug-ins.",
        "schema": "Print the JSON Schema of project.yaml, for editors.",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        return getattr(importlib.import_module(f"seg_assets.cli.{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.verbs.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seg-assets")
def cli() -> None:
    """Audience segmentation as a Dagster graph: raw sources to delivered audiences, every number traceable.

    Start with `seg demo`; then `seg init DIR` for a project of your own.
    """


def main() -> None:
    """Runs the command line. A user's mistake is one clear line and exit code 2; anything else keeps its traceback."""
    from connectors.errors import ConnectorError
    from seg_assets.errors import SegError

    try:
        cli(prog_name="seg", standalone_mode=False)
    except (SegError, ConnectorError) as error:
        click.echo(f"seg: {error}", err=True)
        sys.exit(2)
    except click.UsageError as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            error.show()
        else:
            click.echo(f"seg: {error.format_message().rstrip('.')} (see {error.ctx.command_path if error.ctx else 'seg'} --help)", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("seg: stopped", err=True)
        sys.exit(130)
