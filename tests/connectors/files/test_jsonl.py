"""JSON Lines: scalars as written, nested values as JSON text, one reject per line that is no object."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_scalars_are_delivered_as_they_are_written(read_bytes):
    table = read_bytes(b'{"a": 1.10, "b": 12345678901234567890123, "c": -0, "d": 1E400, "e": true, "f": null, "g": "", "h": "x"}\n', "a.jsonl")
    expected = {"a": "1.10", "b": "12345678901234567890123", "c": "-0", "d": "1E400", "e": "true", "f": None, "g": None, "h": "x"}
    assert table.rows == [expected]


def test_nested_values_become_compact_json_with_numbers_as_written(read_bytes):
    table = read_bytes('{"a": {"x": [1.0, 1e400, null, "é\\n"]}, "b": [], "c": [{"y": false}]}'.encode(), "a.ndjson")
    assert table.rows == [{"a": '{"x":[1.0,1e400,null,"é\\n"]}', "b": "[]", "c": '[{"y":false}]'}]


def test_columns_are_the_keys_of_all_lines(read_bytes):
    table = read_bytes(b'{"a":1}\n{"b":2,"a":3}\n{}\n', "a.jsonl")
    assert table.rows == [{"a": "1", "b": None}, {"a": "3", "b": "2"}, {"a": None, "b": None}]


def test_null_values_apply(read_bytes):
    assert read_bytes(b'{"a":"NULL","b":"x"}\n', "a.jsonl", null_values=["NULL"]).rows == [{"a": None, "b": "x"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "not valid JSON at column 8"),
        (b"{a: 1}", "not valid JSON at column 2"),
        (b'{"a": 1} {"a": 2}', "not valid JSON at column 10"),
        (b"[1]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b'{"a": [-Infinity]}', "NaN and Infinity are not JSON"),
        (b'{"a": 1, "a": 2}', "a key stands twice in one object"),
        (b'{"a": {"b": 1, "b": 2}}', "a key stands twice in one object"),
        (b'{"a": "\\ud800"}', "holds half of a surrogate pair"),
        (b'{"\\uDC00": 1}', "holds half of a surrogate pair"),
        (b'{"a": "\xff"}', "holds bytes that are not valid in the file's encoding"),
        (b'{"a": "\0"}', "holds a NUL character (is the file UTF-16, or was it cut off by a crash?)"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_line_that_is_no_record_is_rejected_and_the_others_stay(read_bytes, line, reason):
    table = read_bytes(b'{"a": "first"}\n' + line + b'\n{"a": "last"}\n', "a.jsonl")
    assert table.rows == [{"a": "first"}, {"a": "last"}]
    assert table.reasons == {("a.jsonl", "line 2"): reason}


def test_whole_surrogate_pairs_are_characters(read_bytes):
    assert read_bytes(b'{"a": "\\ud83d\\ude00"}\n', "a.jsonl").rows == [{"a": "😀"}]


def test_byte_order_mark_crlf_and_blank_lines(read_bytes):
    assert read_bytes(b'\xef\xbb\xbf{"a":1}\r\n\r\n  \n{"a":2}', "a.jsonl").rows == [{"a": "1"}, {"a": "2"}]


def test_keys_that_differ_only_in_case_are_distinct_columns(read_bytes):
    assert read_bytes(b'{"Mail":1,"mail":2,"":3}\n', "a.jsonl").rows == [{"Mail": "1", "mail_2": "2", "column_3": "3"}]


def test_data_used_as_keys_can_not_grow_the_table_without_bound(read_bytes):
    table = read_bytes(b"".join(b'{"k%d": 1}\n' % n for n in range(2_100)), "a.jsonl")
    assert len(table.rows) == 2_000
    assert len(table.reasons) == 100


def test_a_key_first_seen_on_a_later_page_is_a_column_from_there_on(read_bytes):
    table = read_bytes(b'{"a":1}\n' * 150_000 + b'{"b":2}\n', "a.jsonl")
    assert len(table.rows) == 150_001
    assert table.rows[0] == {"a": "1"}
    assert table.rows[-1] == {"a": None, "b": "2"}


def test_a_line_of_a_megabyte_is_read(read_bytes):
    long = "x" * 1_000_000
    assert read_bytes(json.dumps({"a": long}).encode(), "a.jsonl").rows == [{"a": long}]


def test_gzip_that_ends_too_early_keeps_its_complete_lines(read_bytes):
    packed = gzip.compress(b"".join(b'{"a":"%d"}\n' % (n * n % 7919) for n in range(20_000)))
    table = read_bytes(packed[: len(packed) // 2], "a.jsonl.gz")
    assert [row["a"] for row in table.rows] == [str(n * n % 7919) for n in range(len(table.rows))]
    assert list(table.reasons) == [("a.jsonl.gz", f"line {len(table.rows) + 1}")]


def test_rejects_never_hold_content(read_bytes):
    table = read_bytes(b'{"canary": "canary@x.org"\ncanary\n{"canary":1,"canary":2}\n', "a.jsonl")
    assert len(table.reasons) == 3
    assert "canary" not in repr(table.rejects)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6)


@given(st.lists(st.fixed_dictionaries({"a": values, "b": values}), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_survives(read_bytes, records):
    table = read_bytes("\n".join(json.dumps(record) for record in records).encode(), "a.jsonl")
    assert not table.reasons
    for row, record in zip(table.rows, records, strict=True):
        for name, value in record.items():
            if value is None or value == "":
                assert row[name] is None
            elif isinstance(value, str):
                assert row[name] == value
            else:
                assert json.loads(row[name]) == value
