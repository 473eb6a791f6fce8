"""Which raw column, constant or expression each canonical column comes from. Values are still as delivered afterwards; see `typing.py`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from seg_assets.errors import MappingError
from seg_assets.schema.types import Column, Table


@dataclass(frozen=True)
class FromColumn:
    """The raw column of that name."""

    name: str


@dataclass(frozen=True)
class FromValue:
    """The same value in every row."""

    value: str | int | float | bool


@dataclass(frozen=True)
class FromSql:
    """A scalar SQL expression over the raw columns, in DuckDB's dialect."""

    sql: str


Origin = FromColumn | FromValue | FromSql


@dataclass(frozen=True)
class StreamMapping:
    """How one stream becomes rows of a canonical table.

    Args:
        source: "connection/stream", kept in every row.
        to: name of the canonical table ("events", ...).
        columns: canonical column (or custom property or attribute) to its origin; None takes every raw column that has a canonical name.
        timezone: IANA zone of times delivered without one.
        where: SQL condition on the raw rows; the others are not for this table.
    """

    source: str
    to: str
    columns: Mapping[str, Origin] | None = None
    timezone: str = "UTC"
    where: str | None = None
    extras: Mapping[str, Column] = field(default_factory=dict)
    """The taxonomy's own properties or attributes, by name."""


def mapped(raw: ir.Table, mapping: StreamMapping, table: Table) -> ir.Table:
    """Raw rows with their canonical columns, not yet typed, beside all columns whose name begins with an underscore.

    A column the stream does not deliver is left out.

    Args:
        raw: the raw table.
        mapping: origin of each column.
        table: the canonical table.

    Raises:
        MappingError: a column the mapping names is not in the raw table, or an expression does not compile.
    """
    origins: Mapping[str, Origin] = {}  # of a stream that has delivered nothing yet, not even columns
    if not all(name.startswith("_") for name in raw.columns):
        origins = mapping.columns if mapping.columns is not None else _same_names(raw, mapping, table)
        raw = _filtered(raw, mapping)
    missing = sorted({o.name for o in origins.values() if isinstance(o, FromColumn)} - set(raw.columns))
    if missing:
        raise MappingError(
            f"stream {mapping.source}: no column {', '.join(map(repr, missing))} in what was delivered",
            hint=f"it has {', '.join(c for c in raw.columns if not c.startswith('_'))}",
        )
    expressions = {name: origin.sql for name, origin in origins.items() if isinstance(origin, FromSql)}
    computed = _computed(raw, expressions, mapping.source)
    technical = {c: computed[c] for c in raw.columns if c.startswith("_")}

    def value(name: str, origin: Origin) -> ir.Value:
        match origin:
            case FromColumn(column):
                return computed[column]
            case FromValue(constant):
                return ibis.literal(constant)
            case FromSql():
                return computed[_computed_name(name)]

    wanted = [c.name for c in table.columns if c.name not in {"source", "day"}] + list(mapping.extras)
    return computed.select(**{name: value(name, origins[name]) for name in wanted if name in origins}, **technical)


def _same_names(raw: ir.Table, mapping: StreamMapping, table: Table) -> dict[str, Origin]:
    names = {c.name for c in table.columns} | set(mapping.extras)
    return {name: FromColumn(name) for name in raw.columns if name in names}


def _computed_name(name: str) -> str:
    return f"_sql_{name}"


def _filtered(raw: ir.Table, mapping: StreamMapping) -> ir.Table:
    if mapping.where is None:
        return raw
    return _sql(raw, f"SELECT * FROM {{raw}} WHERE (\n{mapping.where}\n)", f"stream {mapping.source}, where")


def _computed(raw: ir.Table, expressions: Mapping[str, str], source: str) -> ir.Table:
    if not expressions:
        return raw
    for name, sql in expressions.items():
        _sql(raw, f"SELECT (\n{sql}\n) AS x FROM {{raw}}", f"stream {source}, column {name}")
    columns = ", ".join(f'(\n{sql}\n) AS "{_computed_name(name)}"' for name, sql in expressions.items())
    return _sql(raw, f"SELECT *, {columns} FROM {{raw}}", f"stream {source}")


def _sql(raw: ir.Table, query: str, place: str) -> ir.Table:
    alias = f"raw_{uuid.uuid4().hex}"
    try:
        return raw.alias(alias).sql(query.replace("{raw}", alias), dialect="duckdb")
    except Exception as error:  # the engine's own parser and binder errors, whatever the engine
        raise MappingError(f"{place}: the SQL does not work: {str(error).splitlines()[0]}") from None
