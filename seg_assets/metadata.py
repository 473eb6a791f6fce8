"""What Dagster shows about every asset: description, kinds, tags, owners, column schema, lineage. Derived from the schema; origins are in `lineage.py`."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from connectors.types import Cost
from seg_assets import __version__
from seg_assets.graph import Graph
from seg_assets.lineage import lineage, origins_of
from seg_assets.schema.types import Pii, Table

Assets = list[Any]
"""Asset definitions. `@dg.asset(**arguments)` hides from type checkers that it returns one."""

OWNERS = ["team:audiences"]

FRESHNESS = {
    "raw": timedelta(hours=36),
    "enriched": timedelta(days=8),
    "unified": timedelta(hours=36),
    "identity": timedelta(hours=36),
    "profiles": timedelta(hours=36),
    "scores": timedelta(hours=36),
    "clusters": timedelta(days=8),
    "segments": timedelta(hours=36),
    "activation": timedelta(hours=36),
    "ops": timedelta(hours=36),
}
"""How old a layer may become before Dagster calls it stale."""


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them: type, description with unit, constraints, personal-data class as a tag."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=c.name,
                type=c.type,
                description=f"{c.description}{f' Unit: {c.unit}.' if c.unit else ''}",
                constraints=dg.TableColumnConstraints(
                    nullable=not c.required, unique=table.primary_key == (c.name,), other=[f">= {c.minimum:g}"] if c.minimum is not None else []
                ),
                tags={"pii": c.pii.value} if c.pii is not Pii.NONE else {},
            )
            for c in table.columns
        ]
    )


def asset_arguments(
    graph: Graph,
    key: Sequence[str],
    table: Table | None,
    *,
    description: str | None = None,
    kinds: Collection[str] = ("duckdb", "delta"),
    code: Sequence[Callable[..., Any] | str] = (),
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Keyword arguments of `dg.asset` that every asset has.

    Args:
        graph: names and project.
        key: path of the lake table.
        table: its canonical shape; None where the source decides.
        description: default the table's.
        kinds: at most three.
        code: domain functions (or names of modules too heavy to import here) that decide the content; their source is the code version.
        tags: further tags.
    """
    layer = key[0]
    pii = max((c.pii for c in table.columns), key=list(Pii).index) if table else Pii.DIRECT
    metadata: dict[str, Any] = {"dagster/table_name": "/".join(key), "dagster/uri": graph.lake.uri(tuple(key))}
    if table:
        metadata["dagster/column_schema"] = column_schema(table)
    if origins := origins_of(graph, tuple(key)):
        metadata["dagster/column_lineage"] = lineage(graph, origins)
    return {
        "key": graph.asset_key(key),
        "description": description or (table.description if table else None),
        "group_name": graph.name(layer),
        "kinds": set(kinds),
        "owners": OWNERS,
        "tags": {"layer": layer, "pii": pii.value, **(tags or {})},
        "metadata": metadata,
        "code_version": code_version(*code),
        "freshness_policy": dg.FreshnessPolicy.time_window(fail_window=FRESHNESS[layer]),
        "io_manager_key": graph.io_manager_key,
        "automation_condition": dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed(),
    }


def cost_metadata(cost: Cost) -> dict[str, Any]:
    """What calls to a vendor have cost; nothing where none were made."""
    if not cost.calls:
        return {}
    return {"calls": cost.calls, "seconds_waited": round(cost.waited, 3), "bytes_sent": cost.sent, "bytes_received": cost.received}


def code_version(*code: Callable[..., Any] | str) -> str:
    """Package version and a hash of modules: of those the functions stand in, and of those named. Naming a module does not import it."""
    modules = sorted({c if isinstance(c, str) else c.__module__ for c in code})
    origins = [spec.origin for spec in map(importlib.util.find_spec, modules) if spec and spec.origin]
    digest = hashlib.blake2b(b"".join(Path(origin).read_bytes() for origin in origins), digest_size=4)
    return f"{__version__}+{digest.hexdigest()}"
