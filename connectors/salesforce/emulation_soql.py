"""The SOQL the Salesforce stand-in understands, as SQL over its store: one object, conditions, order, limit, COUNT(). No joins, no date words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.salesforce.emulation_objects import OBJECTS, SObject, record_id, record_number
from connectors.sandbox.emulation import instant

if TYPE_CHECKING:
    from sqlglot import exp

_QUOTED = re.compile(r"('(?:\\.|[^'\\])*')")
_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))?")
_MARK = "\x01"
"""Stands before a date or time that was written without quotes, as it must be."""


class SoqlError(Exception):
    """A query that can't be run: `code` is Salesforce's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Query:
    """A query, ready to be run.

    Args:
        object: what is asked for.
        fields: what is shown, in order; none for COUNT().
        where: condition in SQL over the store's columns.
        parameters: for the condition.
        order: in SQL.
        limit: most records, -1 without one.
        offset: records passed over.
    """

    object: str
    fields: list[str] = field(default_factory=list)
    where: str = "true"
    parameters: list[Any] = field(default_factory=list)
    order: str = "id"
    limit: int = -1
    offset: int = 0


def parsed(text: str) -> Query:
    """A SOQL text as a query.

    Raises:
        SoqlError: it is malformed, or asks for what is not there.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    marked = [part if i % 2 else _INSTANT.sub(rf"'{_MARK}\g<0>'", part) for i, part in enumerate(_QUOTED.split(text))]
    try:
        tree = parse_one("".join(marked), read="mysql")
    except SqlglotError:
        raise SoqlError("MALFORMED_QUERY", "unexpected token") from None
    table = tree.find(exp.Table)
    if not isinstance(tree, exp.Select) or table is None or tree.args.get("joins") or tree.args.get("group"):
        raise SoqlError("MALFORMED_QUERY", "only plain SELECT queries are understood here")
    name = next((known for known in OBJECTS if known.lower() == table.name.lower()), None)
    if name is None:
        raise SoqlError("INVALID_TYPE", f"sObject type '{table.name}' is not supported.")
    compiler = _Compiler(OBJECTS[name])
    query = Query(name, [field for one in tree.expressions for field in compiler.shown(one)])
    if tree.args.get("where"):
        query.where = compiler.condition(tree.args["where"].this)
    if tree.args.get("order"):
        query.order = ", ".join([*(compiler.ordered(one) for one in tree.args["order"].expressions), "id"])
    query.parameters = compiler.parameters
    query.limit, query.offset = _count(tree, "limit", -1), _count(tree, "offset", 0)
    return query


def _count(tree: exp.Expression, clause: str, default: int) -> int:
    found = tree.args.get(clause)
    if not found:
        return default
    if not found.expression.name.isdecimal():
        raise SoqlError("MALFORMED_QUERY", f"{clause} takes a whole number")
    return min(int(found.expression.name), 2**31)


class _Compiler:
    """Turns parts of one query into SQL and gathers the parameters."""

    def __init__(self, kind: SObject) -> None:
        self._kind = kind
        self._names = {name.lower(): name for name in kind.all}
        self.parameters: list[Any] = []

    def shown(self, node: exp.Expression) -> list[str]:
        """Fields a selected expression stands for."""
        from sqlglot import exp

        if isinstance(node, exp.Column) and not node.table:
            return [self._name(node.name)]
        if isinstance(node, exp.Anonymous) and node.name.upper() == "FIELDS":
            return list(self._kind.all)
        if isinstance(node, exp.Count) and node.this is None:
            return []
        raise SoqlError("INVALID_FIELD", "only fields of the object itself can be selected here")

    def ordered(self, node: exp.Expression) -> str:
        nulls = "first" if node.args.get("nulls_first", True) else "last"
        return f"{self._column(node.this)[0]} {'desc' if node.args.get('desc') else 'asc'} nulls {nulls}"

    def condition(self, node: exp.Expression) -> str:
        """A condition as SQL; NULL compares as in SOQL: `!=` is true for it."""
        from sqlglot import exp

        match node:
            case exp.And() | exp.Or():
                return f"({self.condition(node.left)} {'and' if isinstance(node, exp.And) else 'or'} {self.condition(node.right)})"
            case exp.Paren():
                return self.condition(node.this)
            case exp.Not(this=exp.In() | exp.Like() as inside):
                return f"coalesce(not {self.condition(inside)}, true)"
            case exp.Not():
                return f"not coalesce({self.condition(node.this)}, false)"
            case exp.In() if node.expressions:
                column, value = self._column(node.this)
                self.parameters += [value(one) for one in node.expressions]
                return f"{column} in ({', '.join('?' * len(node.expressions))})"
            case exp.Like():
                column, value = self._column(node.this)
                self.parameters.append(value(node.expression))
                return f"{column} like ?"
            case exp.EQ() | exp.NEQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                signs = {exp.EQ: "is", exp.NEQ: "is not", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
                column, value = self._column(node.left)
                self.parameters.append(value(node.right))
                return f"{column} {signs[type(node)]} ?"
        raise SoqlError("MALFORMED_QUERY", "the condition is not understood here")

    def _name(self, name: str) -> str:
        if name.lower() not in self._names:
            raise SoqlError("INVALID_FIELD", f"No such column '{name}' on entity.")
        return self._names[name.lower()]

    def _column(self, node: exp.Expression) -> tuple[str, Callable[[exp.Expression], Any]]:
        """A field as SQL, and how literals become comparable with it."""
        name = self._name(node.name)
        kind = self._kind.all[name]
        if name in {"CreatedDate", "LastModifiedDate", "SystemModstamp"}:
            return "created_at" if name == "CreatedDate" else "changed_at", lambda value: self._moment(name, value)
        collation = "" if kind in {"id", "boolean", "double"} else " collate nocase"
        return f"json_extract(body, '$.{name}'){collation}", lambda value: self._value(name, kind, value)

    def _value(self, name: str, kind: str, node: exp.Expression) -> Any:
        from sqlglot import exp

        match node:
            case exp.Null():
                return None
            case exp.Boolean() if kind == "boolean":
                return int(node.this)
            case exp.Literal() if kind == "double" and not node.is_string:
                return float(node.name)
            case exp.Literal() if (
                node.is_string and kind not in {"double", "boolean"} and (kind in {"date", "datetime"}) == node.name.startswith(_MARK)
            ):
                text = node.name.removeprefix(_MARK)
                return record_id(text[:3], record_number(text)) if kind == "id" and record_number(text) else text
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"value of filter criterion for field '{name}' must be of type {kind}")

    def _moment(self, name: str, node: exp.Expression) -> int | None:
        from sqlglot import exp

        if isinstance(node, exp.Null):
            return None
        if not node.name.startswith(_MARK) or "T" not in node.name:
            message = f"value of filter criterion for field '{name}' must be of type dateTime and should not be enclosed in quotes"
            raise SoqlError("INVALID_FIELD", message)
        return instant(node.name.removeprefix(_MARK))
