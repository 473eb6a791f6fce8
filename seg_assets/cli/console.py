"""What verbs share on the terminal: options, tables, progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

PROJECT_OPTION = click.option(
    "--project",
    "project_dir",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Project folder. Default: SEG_PROJECT, else the demo project.",
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def print_next(*steps: tuple[str, str]) -> None:
    """What to do next: commands that work where this one did, `uv run` in front where it stood there, each with what it is for."""
    prefix = "uv run seg" if "UV_RUN_RECURSION_DEPTH" in os.environ else "seg"
    commands = [(f"{prefix} {step}", purpose) for step, purpose in steps]
    width = max(len(command) for command, _ in commands)
    click.echo("\nNext:\n" + "\n".join(f"  {command:<{width}}  {purpose}" for command, purpose in commands))


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool, title: str | None = None) -> None:
    """Prints rows as a table, or as a JSON list on standard output."""
    if as_json:
        click.echo(json.dumps([{c: _plain(row.get(c)) for c in columns} for row in rows], ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float | None) and not isinstance(row.get(column), bool) for row in rows)
        table.add_column(column, justify="right" if rows and numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    Console().print(table)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def progress(total: int) -> Callable[[str, bool], None]:
    """A function to call with each finished step and whether it worked: a line per step on standard error."""
    width, done = len(str(total)), 0

    def step(name: str, worked: bool) -> None:
        nonlocal done
        done += 1
        mark = click.style("ok", fg="green") if worked else click.style("failed", fg="red")
        line = f"  {done:>{width}}/{total}  {name}  {mark}"
        if sys.stderr.isatty() and worked:
            click.echo(f"\r\x1b[2K{line}", nl=done == total, err=True)
        else:
            click.echo(line, err=True)

    return step


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | bool | list | dict) else str(value)
