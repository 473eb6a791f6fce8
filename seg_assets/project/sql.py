"""The SQL a mapping may hold: one scalar expression over the columns of a row, the same every time it is computed.

DuckDB is both parser and judge: its syntax tree shows what the text is, and its catalogue which functions are scalar and deterministic. So what is
checked here is exactly what the engine runs, and statements, subqueries, aggregates, windows, clocks and randomness have no way in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from connectors.words import did_you_mean

if TYPE_CHECKING:
    import duckdb

MAX_LENGTH = 10_000

_ALLOWED = {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA", "OPERATOR"}
_WORDS = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "a star"}
_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_localtime", "current_localtimestamp"}
_SESSION = _CLOCKS | {"age", "current_setting", "getvariable", "stats", "vector_type", "version"}
"""Functions DuckDB calls consistent although they read the session or (`age` of one value) the clock."""
_MACROS = set(
    """
    array_to_string date_add days_in_month fdiv fmod json list_any_value list_append list_avg list_count list_first list_last list_max list_min
    list_prepend list_reverse list_sum nullif round_even roundbankers split_part
    """.split()  # noqa: SIM905
)
"""Functions DuckDB writes as macros over pure functions."""
_NOWHERE = 2**64 - 1
"""Place DuckDB gives to what is not written as such: the parameters of a lambda."""

Node = dict[str, Any]


def check_scalar(text: str) -> frozenset[str]:
    """Checks a mapping's SQL and tells which columns it reads.

    Args:
        text: an expression in DuckDB's dialect.

    Returns:
        Names of the columns it reads, as written.

    Raises:
        ValueError: it is not one deterministic scalar expression.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the SQL has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    if "\0" in text:
        raise ValueError("the SQL holds a NUL character")
    columns, parameters = set(), set()
    for node in _nodes(_parse(text)):
        _check(node)
        if node.get("class") == "COLUMN_REF":
            (parameters if node["query_location"] == _NOWHERE else columns).add(node["column_names"][0])
    return frozenset(columns - parameters)


def _parse(text: str) -> Node:
    """The syntax tree of `text` as the only thing selected by a query without FROM, WHERE or anything else."""
    try:
        parsed, blank = _tree(text), _tree("NULL")
    except RecursionError:
        raise ValueError("the SQL is nested too deeply") from None
    if parsed["error"]:
        raise ValueError(f"not valid SQL: {parsed['error_message']}")
    selections = [statement["node"].pop("select_list", []) for statement in (*parsed["statements"], *blank["statements"])]
    if parsed != blank or len(selections[0]) != 1:
        raise ValueError("the SQL must be one expression over the row's columns, and nothing around it")
    return selections[0][0]


def _tree(text: str) -> Node:
    quoted = f"SELECT (\n{text}\n)".replace("'", "''")  # bound as a parameter it would make DuckDB import pandas
    row = _parser().cursor().execute(f"SELECT json_serialize_sql('{quoted}')").fetchone()
    return json.loads(row[0]) if row else {}


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """An empty database without threads of its own, files or network."""
    import duckdb

    return duckdb.connect(config={"threads": "1", "enable_external_access": "false"})


def _nodes(tree: Node) -> Iterator[Node]:
    """Every part of a syntax tree, from the outside in: expressions have a "class", the other parts none."""
    waiting: list[Any] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check(node: Node) -> None:
    kind = node.get("class")
    if kind is None:
        if node.get("type") == "UNBOUND_TYPE_INFO" and node["name"].lower() != "json":
            raise ValueError(f"the SQL names the type {node['name']!r}, which there is not")
        return
    if kind not in _ALLOWED or node["type"] == "GROUPING_FUNCTION":
        raise ValueError(f"the SQL holds {_WORDS.get(kind, kind.lower())}; only expressions over one row are allowed")
    if kind == "FUNCTION":
        name = node["function_name"].lower()
        if name == "row":
            raise ValueError("the SQL holds a list of values; write one expression per column")
        if name not in _functions():
            raise ValueError(f"the SQL calls {name}(), which is not a scalar function{did_you_mean(name, _functions(), lead='; ')}")
        if not _functions()[name]:
            raise ValueError(f"the SQL calls {name}(), which is not a function of one row's values alone")
        if node["distinct"] or node["filter"] or node["order_bys"]["orders"]:
            raise ValueError(f"the SQL calls {name}() as an aggregate; only expressions over one row are allowed")
    if kind == "COLUMN_REF" and node["column_names"][0].lower() in _CLOCKS:
        raise ValueError(f"the SQL reads the clock ({node['column_names'][0]}); every computation is true for an as_of")


@cache
def _functions() -> dict[str, bool]:
    """DuckDB's functions by name, and whether each one's result depends on the arguments of one call alone."""
    query = """
        SELECT lower(function_name), bool_and(function_type = 'scalar' AND stability = 'CONSISTENT')
        FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro') GROUP BY 1
    """
    found = _parser().cursor().execute(query).fetchall()
    return {name: (pure and name not in _SESSION and not name.startswith("__")) or name in _MACROS for name, pure in found}
