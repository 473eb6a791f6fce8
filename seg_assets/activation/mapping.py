"""What a destination is told about each person: fields rendered from columns, constants, expressions and rules. No gates, no hashes of persons."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from seg_assets.errors import MappingError
from seg_assets.project.destinations import PayloadField, Rule
from seg_assets.project.sql import check_scalar

VALUE = "value_"
"""Put before a field's name to make its column's."""


@dataclass(frozen=True)
class Rendered:
    """Payloads of persons.

    Args:
        table: person_id and a column per field.
        columns: field to its column in the table.
    """

    table: ir.Table
    columns: Mapping[str, str]


def reads(field: PayloadField) -> frozenset[str]:
    """The person's columns a field is made from."""
    if field.column is not None:
        return frozenset({field.column})
    texts = [field.sql, *(rule.when for rule in field.choose)]
    return frozenset().union(*(check_scalar(text) for text in texts if text is not None))


def rendered(people: ir.Table, fields: Mapping[str, PayloadField], memberships: ir.Table) -> Rendered:
    """Payloads, one row per person.

    Args:
        people: person_id and every column the fields read.
        fields: what each field is made from.
        memberships: person_id and segment, for rules about members.

    Raises:
        MappingError: an expression does not work on these columns; it names the field.
    """
    rows = people
    for segment in sorted({rule.segment for field in fields.values() for rule in field.choose if rule.segment}):
        members = memberships.filter(memberships.segment == segment).select("person_id", **{_in(segment): ibis.literal(True)})
        rows = rows.left_join(members, "person_id").drop("person_id_right")
    expressions = {name: field.sql for name, field in fields.items() if field.sql is not None}
    expressions |= {_when(name, at): rule.when for name, field in fields.items() for at, rule in enumerate(field.choose) if rule.when is not None}
    rows = _computed(rows, expressions)
    values = {f"{VALUE}{name}": _value(rows, name, field) for name, field in fields.items()}
    return Rendered(rows.select("person_id", **values), {name: f"{VALUE}{name}" for name in fields})


def failing(people: ir.Table, fields: Mapping[str, PayloadField], memberships: ir.Table) -> list[str]:
    """Fields whose expressions fail on some person's values. The engine's own words would quote those values. Arguments as for `rendered`."""
    found = []
    for name, field in fields.items():
        one = rendered(people, {name: field}, memberships)
        try:
            one.table.select(one.columns[name]).cast({one.columns[name]: "string"}).distinct().count().to_pyarrow()
        except Exception:  # whatever the engine calls it
            found.append(name)
    return found


def _value(rows: ir.Table, name: str, field: PayloadField) -> ir.Value:
    if field.column is not None:
        return rows[field.column]
    if field.sql is not None:
        return rows[_sql(name)]
    if field.value is not None:
        return ibis.literal(field.value)
    values = [rule.value for rule in field.choose if rule.value is not None]
    kinds = {type(value) for value in values}
    as_text = len(kinds) > 1 and not kinds <= {int, float}
    kind = "string" if as_text or not values else str(ibis.literal(next(iter(v for v in values if isinstance(v, float)), values[0])).type())
    branches = [(_fits(rows, name, at, rule), _literal(rule, kind)) for at, rule in enumerate(field.choose)]
    return ibis.cases(*branches, else_=ibis.null(kind))


def _literal(rule: Rule, kind: str) -> ir.Value:
    if rule.value is None:
        return ibis.null(kind)
    return ibis.literal(str(rule.value) if kind == "string" else rule.value, kind)


def _fits(rows: ir.Table, name: str, at: int, rule: Rule) -> ir.BooleanValue:
    if rule.segment is not None:
        return rows[_in(rule.segment)].fill_null(False)
    if rule.when is not None:
        return rows[_sql(_when(name, at))].cast("boolean").fill_null(False)
    return ibis.literal(True)


def _in(segment: str) -> str:
    return f"_in_{segment}"


def _when(name: str, at: int) -> str:
    return f"{name} rule {at + 1}"


def _sql(name: str) -> str:
    return f"_sql {name}"


def _computed(rows: ir.Table, expressions: Mapping[str, str]) -> ir.Table:
    """With a column per expression, each tried by itself first so that an error names it."""
    for name, sql in expressions.items():
        _query(rows, f"SELECT (\n{sql}\n) AS x FROM {{rows}}", name)
    if not expressions:
        return rows
    columns = ", ".join(f'(\n{sql}\n) AS "{_sql(name)}"' for name, sql in expressions.items())
    return _query(rows, f"SELECT *, {columns} FROM {{rows}}", "fields")


def _query(rows: ir.Table, query: str, name: str) -> ir.Table:
    alias = f"people_{uuid.uuid4().hex}"
    try:
        return rows.alias(alias).sql(query.replace("{rows}", alias), dialect="duckdb")
    except Exception as error:  # the engine's own parser and binder errors, whatever the engine
        raise MappingError(f"field {name}: the SQL does not work: {str(error).splitlines()[0]}") from None
