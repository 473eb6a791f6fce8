"""The SQL a mapping may hold: one deterministic expression over a row."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_assets.project.sql import MAX_LENGTH, check_scalar


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("amount * 100", {"amount"}),
        ("lower(trim(\"E-Mail\"))", {"E-Mail"}),
        ("a || '/' || b", {"a", "b"}),
        ("CASE WHEN qty < 0 THEN 'order_refunded' ELSE 'order_completed' END", {"qty"}),
        ("coalesce(nullif(x, ''), y, 'none')", {"x", "y"}),
        ("strptime(d, '%d/%m/%Y')::date + INTERVAL 1 DAY", {"d"}),
        ("try_cast(x AS DOUBLE)", {"x"}),
        ("t AT TIME ZONE 'Europe/Berlin'", {"t"}),
        ("extract(year FROM t) BETWEEN 2020 AND 2026", {"t"}),
        ("x IN (1, 2) AND y IS NOT NULL AND z NOT LIKE 'a%'", {"x", "y", "z"}),
        ("json ->> '$.user.id'", {"json"}),
        ("split_part(name, ' ', 1)", {"name"}),
        ("list_transform(xs, lambda x: x + y)[1]", {"xs", "y"}),
        ("x::json::VARCHAR[]", {"x"}),
        ("md5(concat_ws('|', a, b))", {"a", "b"}),
        ("payload.user.id", {"payload"}),
        ("'it''s -- no comment; DROP TABLE x'", set()),
        ("a -- the amount", {"a"}),
    ],
)  # fmt: skip
def test_expression_over_a_row_is_accepted_with_its_columns(sql: str, columns: set[str]) -> None:
    assert check_scalar(sql) == columns


@pytest.mark.parametrize(
    "sql",
    [
        "", " ", "-- nothing", "a b c", "a,", "(a", "a)", "a, b",
        "a; DROP TABLE events", "DROP TABLE events", "SELECT 1", "a FROM events", "1) FROM secrets --", "1), (2", "1) UNION SELECT (2",
        "1) WHERE (true", "1) LIMIT (1", "1) ORDER BY (1", "a) AS x FROM (SELECT 1 AS a", "COPY x TO '/tmp/x'", "ATTACH '/tmp/x' AS y", "PRAGMA version",
        "SET x = 1", "INSTALL httpfs", "1 /* open", "a\0; DROP TABLE t", "'", "')); DROP TABLE t --",
    ],
)  # fmt: skip
def test_anything_around_the_expression_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="SQL"):
        check_scalar(sql)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("(SELECT max(x) FROM other)", "subquery"),
        ("x IN (SELECT y FROM other)", "subquery"),
        ("EXISTS (FROM other)", "subquery"),
        ("[y FOR y IN (SELECT 1)]", "subquery"),
        ("CASE WHEN (SELECT true) THEN 1 END", "subquery"),
        ("sum(x)", r"sum\(\)"),
        ("count(*)", r"count_star\(\)"),
        ("x + max(x)", r"max\(\)"),
        ("lower(x ORDER BY y)", "aggregate"),
        ("lower(DISTINCT x)", "aggregate"),
        ("grouping(x)", "one row"),
        ("row_number() OVER ()", "window"),
        ("lag(x) OVER (ORDER BY t)", "window"),
        ("*", "star"),
        ("COLUMNS('a.*')", "star"),
        ("?", "one expression"),
        ("$1", "one expression"),
        ("unnest(xs)", "unnest"),
        ("read_csv('/etc/passwd')", "read_csv"),
        ("read_text('/etc/passwd')", "read_text"),
        ("query('SELECT 1')", "query"),
        ("getenv('HOME')", "getenv"),
        ("current_setting('temp_directory')", "current_setting"),
        ("getvariable('x')", "getvariable"),
        ("nextval('s')", "nextval"),
        ("write_log('x')", "write_log"),
        ("error('x')", "error"),
        ("json_execute_serialized_sql('x')", "json_execute_serialized_sql"),
        ("pg_sleep(1)", "pg_sleep"),
        ("random()", "random"),
        ("uuid()", "uuid"),
        ("now()", "now"),
        ("today()", "today"),
        ("current_timestamp", "clock"),
        ("CURRENT_DATE", "clock"),
        ("ago(INTERVAL 1 DAY)", "ago"),
        ("age(t)", "age"),
        ("x::moeny", "type 'moeny'"),
        ("ATTACH 'x'", "type 'ATTACH'"),
        ("lowr(x)", "did you mean 'lower'"),
    ],
)  # fmt: skip
def test_what_is_not_a_function_of_the_row_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_scalar(sql)


def test_text_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="characters"):
        check_scalar("1" + " + 1" * MAX_LENGTH)


@pytest.mark.parametrize("sql", ["-" * 9_000 + "1", "lower(" * 1_600 + "x" + ")" * 1_600])
def test_deep_nesting_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="SQL"):
        check_scalar(sql)


PIECES = st.sampled_from(
    ["a", "b", "1", "'x'", "(", ")", ",", "+", "||", ";", "--", "/*", "*/", "\n", " ", "SELECT", "FROM", "t", "WHERE", "true", "UNION", "sum(a)", "AS", "*", "random()", "lower(a)"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join) | st.lists(PIECES, max_size=12).map(" ".join))
def test_whatever_is_accepted_gives_one_value_per_row_and_the_same_again(sql: str) -> None:
    try:
        check_scalar(sql)
    except ValueError:
        return
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT i::VARCHAR AS a, i AS b FROM range(3) r(i)")
        query = f"SELECT (\n{sql}\n) AS value FROM t"
        try:
            first = connection.execute(query).fetchall()
        except (duckdb.BinderException, duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException):
            return
        assert len(first) == 3
        assert connection.execute(query).fetchall() == first
