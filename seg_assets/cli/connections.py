"""Trying out what a project has configured: `seg connectors check`, `discover` and `read`. Nothing lands in the lake, nothing is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seg_assets.cli.console import JSON_OPTION, PROJECT_OPTION, print_rows
from seg_assets.errors import ProjectError, SegError

if TYPE_CHECKING:
    from connectors.types import Context, StreamDef
    from seg_assets.graph import Graph

HIDDEN = "•••"


@dataclass(frozen=True)
class _Thing:
    """A configured connector: its name in the project, its kind, the words after `connector:`, and an instance of it."""

    name: str
    kind: str
    connector: str
    made: Any


@click.command()
@click.argument("names", nargs=-1)
@PROJECT_OPTION
@JSON_OPTION
def check(names: tuple[str, ...], project_dir: Path | None, as_json: bool) -> None:
    """Ask connections, enrichers and destinations whether they work: address, credentials, permissions. Changes nothing. Default: all of the project."""
    from connectors.errors import ConnectorError

    graph = _graph(project_dir)
    rows = []
    with _context(graph) as context:
        for name in names or _all_names(graph):
            row = {"name": name, "kind": "", "connector": "", "state": "ok", "about": ""}
            try:
                thing = _thing(graph, name)
                row |= {"kind": thing.kind, "connector": thing.connector, "about": _checked(thing, context)}
            except (ConnectorError, SegError) as error:
                row |= {"state": "failed", "about": str(error)}
            rows.append(row)
    print_rows(rows, ["name", "kind", "connector", "state", "about"], as_json=as_json)
    sys.exit(1 if any(row["state"] == "failed" for row in rows) else 0)


@click.command()
@click.argument("name")
@PROJECT_OPTION
@JSON_OPTION
def discover(name: str, project_dir: Path | None, as_json: bool) -> None:
    """Show what a connection, enricher or destination NAME offers: columns of streams, objects and their limits, fields."""
    graph = _graph(project_dir)
    with _context(graph) as context:
        rows = _offered(_thing(graph, name), context)
    print_rows(rows, list(rows[0]) if rows else [], as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("stream", required=False)
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, help="Rows to print; reading ends there.")
@click.option("--clear", is_flag=True, help="Show personal data. Without it columns that relate to a person are hidden.")
@PROJECT_OPTION
@JSON_OPTION
def read(name: str, stream: str | None, limit: int, clear: bool, project_dir: Path | None, as_json: bool) -> None:
    """Read the first rows of a connection NAME's STREAM, from the beginning. Nothing is kept: no rows, no cursor."""
    graph = _graph(project_dir)
    with _context(graph) as context:
        thing = _thing(graph, name)
        if thing.kind != "source":
            raise SegError(f"{name} is a {thing.kind}, there is nothing to read", hint="`seg connectors discover` shows what it offers")
        streams = {one.name: one for one in thing.made.streams(context)}
        wanted = stream or next(iter(streams))
        if wanted not in streams:
            raise SegError(f"{name} has no stream {wanted!r}", hint=f"it has {', '.join(streams)}")
        rows = _first_rows(thing.made, wanted, limit, context)
    hidden = set() if clear else _personal(streams[wanted])
    shown = [{column: HIDDEN if column in hidden and value is not None else value for column, value in row.items()} for row in rows]
    print_rows(shown, list(dict.fromkeys(column for row in shown for column in row)), as_json=as_json)


def _graph(project_dir: Path | None) -> Graph:
    from seg_assets.graph import Graph
    from seg_assets.project.load import load_project

    return Graph.of(load_project(project_dir))


def _all_names(graph: Graph) -> list[str]:
    config = graph.project.config
    return list(dict.fromkeys([*sorted(config.connections), *sorted(config.enrichers), *sorted(config.destinations)]))


def _thing(graph: Graph, name: str) -> _Thing:
    config = graph.project.config
    if name in config.connections:
        return _Thing(name, "source", config.connections[name].connector, graph.source(name))
    if name in config.enrichers:
        return _Thing(name, "enricher", config.enrichers[name].connector, graph.enricher(name))
    if name in config.destinations:
        return _Thing(name, "destination", config.destinations[name].connector, graph.destination(name))
    raise ProjectError(f"the project has no connection, enricher or destination {name!r}", hint=f"it has {', '.join(_all_names(graph)) or 'none'}")


@contextmanager
def _context(graph: Graph) -> Iterator[Context]:
    """Of this moment. What a connector keeps (tokens, rate budgets) is shared with the graph; scratch is not."""
    with graph.context(graph.project.config.as_of or datetime.now(UTC)) as context:
        yield context


def _checked(thing: _Thing, context: Context) -> str:
    """What was found to work, in words."""
    from connectors.types import Checks

    if isinstance(thing.made, Checks):
        thing.made.check(context)
        return "answers, and lets us in"
    if thing.kind == "source":
        marks = {one.name: thing.made.watermark(one.name, context) for one in thing.made.streams(context)}
        return f"answers; newest of {', '.join(f'{name}: {mark:.60}' for name, mark in marks.items())}"
    return "settings are valid; the vendor has no call that changes nothing, so it was not asked"


def _offered(thing: _Thing, context: Context) -> list[dict[str, Any]]:
    if thing.kind == "source":
        return [row for one in thing.made.streams(context) for row in _columns(thing.made, one, context)]
    if thing.kind == "destination":
        return [
            {
                "object": one.name,
                "match key": one.match_key,
                "kinds": ", ".join(sorted(one.kinds)),
                "batch": one.max_batch,
                "repeating": f"{one.idempotency.value}: {one.idempotency.name.lower()}",
                "answers per": one.granularity.value,
                "about": one.description,
            }
            for one in thing.made.objects()
        ]
    return [{"field": one.name, "personal": one.pii.value, "about": one.description} for one in thing.made.fields()]


def _columns(source: Any, stream: StreamDef, context: Context) -> list[dict[str, Any]]:
    """A stream's columns as declared, else as the first rows have them."""
    import pyarrow as pa

    schema = stream.schema if stream.schema is not None else pa.Table.from_pylist(_first_rows(source, stream.name, 100, context)).schema
    return [
        {
            "stream": stream.name,
            "column": column.name,
            "type": str(column.type),
            "key": column.name in stream.keys,
            "cursor": column.name == stream.cursor,
            "personal": str(stream.pii.get(column.name, "none")),
            "becomes": stream.shaped_as or "",
        }
        for column in schema
    ]


def _personal(stream: StreamDef) -> set[str]:
    """Columns that relate to a person: those the connector declares, and those of the canonical table it is shaped as."""
    from connectors.types import PiiClass
    from seg_assets.schema.tables import UNIFIED
    from seg_assets.schema.types import Pii

    canonical = UNIFIED[stream.shaped_as].columns if stream.shaped_as else ()
    return {c for c, kind in stream.pii.items() if kind is not PiiClass.NONE} | {c.name for c in canonical if c.pii is not Pii.NONE}


def _first_rows(source: Any, stream: str, limit: int, context: Context) -> list[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[Mapping[str, Any]] = []
    for page in source.read(stream, None, context):
        if page.parquet is not None:
            rows += next(pq.ParquetFile(page.parquet).iter_batches(limit), pa.record_batch({})).to_pylist()
        elif page.rows is not None:
            rows += page.rows.slice(0, limit - len(rows)).to_pylist()
        if len(rows) >= limit:
            break
    return rows[:limit]
