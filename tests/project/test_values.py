"""How single values are written in project.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from seg_assets.project import values
from seg_assets.project.values import IntRange, format_duration, parse_duration, parse_instant


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600), ("1h30m", 5_400), ("9m59s", 599)]
)
def test_duration_is_exact_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "7", "d", "7 d", "1.5h", "-1h", "30m1h", "0s", "1mo", "5y", "7D", 7, None, True, ["7d"], "99999999999d", "٣d"])
def test_anything_else_is_not_a_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than nothing"):
        parse_duration(value)


@given(st.integers(min_value=1, max_value=36_525 * 86_400))
def test_duration_written_and_read_again_is_the_same(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_instant_is_kept_in_utc() -> None:
    assert parse_instant("2026-07-01T02:00:00+02:00").isoformat() == "2026-07-01T00:00:00+00:00"


@pytest.mark.parametrize("value", ["2026-07-01", "2026-07-01T00:00:00", "yesterday", "", 20260701, None, "2026-13-01T00:00:00Z"])
def test_instant_without_offset_or_sense_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"offset|not an instant"):
        parse_instant(value)


@pytest.mark.parametrize(("value", "share"), [("20%", 0.2), ("12.5 %", 0.125), ("0%", 0.0), ("100%", 1.0), (0.3, 0.3), (1, 1.0)])
def test_share_is_a_percentage_or_a_number(value: object, share: float) -> None:
    assert TypeAdapter(values.Share).validate_python(value) == share


@pytest.mark.parametrize("value", ["120%", "-5%", "20", "a%", 20, -0.1, True, None, float("nan")])
def test_share_outside_its_range_is_refused(value: object) -> None:
    assert not accepts(values.Share, value)


@pytest.mark.parametrize(("value", "expected"), [("3..12", IntRange(3, 12)), ("4..4", IntRange(4, 4)), (5, IntRange(5, 5))])
def test_range_has_both_ends(value: object, expected: IntRange) -> None:
    assert TypeAdapter(values.WholeRange).validate_python(value) == expected


@pytest.mark.parametrize("value", ["12..3", "3-12", "3..", "..3", "a..b", -1, 2.5, True, None, [3, 12]])
def test_range_that_is_none_is_refused(value: object) -> None:
    assert not accepts(values.WholeRange, value)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_iana_zone_is_accepted(name: str) -> None:
    assert accepts(values.TimeZone, name)


@pytest.mark.parametrize("name", ["Berlin", "GMT+25", "../etc/passwd", "/etc/localtime", "", "europe/berlin"])
def test_anything_else_is_not_a_zone(name: str) -> None:
    assert not accepts(values.TimeZone, name)


@pytest.mark.parametrize(
    ("kind", "good", "bad"), [(values.Currency, "EUR", "EURO"), (values.Currency, "JPY", "jpy"), (values.Country, "DE", "Germany")]
)
def test_codes_are_those_of_their_norm(kind: Any, good: str, bad: str) -> None:
    assert accepts(kind, good)
    assert not accepts(kind, bad)


@pytest.mark.parametrize("name", ["", "Shop", "9lives", "a-b", "a b", "a" * 64, "ünder", "a\n"])
def test_name_that_would_break_a_path_is_refused(name: str) -> None:
    assert not accepts(values.Slug, name)


@pytest.mark.parametrize("line", ["0 5 * * *", "*/15 * * * *", "0 6-18/2 * * mon-fri", "30 4 1,15 jan *", "0 0 * * 7"])
def test_cron_line_is_accepted(line: str) -> None:
    assert accepts(values.Cron, line)


@pytest.mark.parametrize(
    "line", ["", "daily", "0 5 * *", "0 25 * * *", "60 0 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "*/0 * * * *", "5-1 * * * *", "1- * * * *",
             "0 5 * * * *", "a * * * *", "0 0 * foo *", "1/ * * * *", "1,,2 * * * *", "1-2-3 * * * *"]
)  # fmt: skip
def test_bad_cron_line_is_refused(line: str) -> None:
    assert not accepts(values.Cron, line)


def cron_field(low: int, high: int, words: str = "") -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: "{}-{}".format(*sorted(ends)))
    stepped = st.tuples(st.one_of(span, st.just("*")), st.integers(1, high)).map(lambda part: "{}/{}".format(*part))
    part = st.one_of(st.just("*"), number.map(str), span, stepped, st.sampled_from([*words.split(), "*"]))
    return st.lists(part, min_size=1, max_size=3).map(",".join)


@pytest.mark.filterwarnings("ignore:Found a cron schedule with an interval")
@given(
    st.tuples(
        cron_field(0, 59), cron_field(0, 23), cron_field(1, 31), cron_field(1, 12, "jan jun dec"), cron_field(0, 7, "sun wed sat")
    ).map(" ".join)
)  # fmt: skip
def test_dagster_accepts_every_cron_line_accepted_here(line: str) -> None:
    if accepts(values.Cron, line):
        schedule = dg.ScheduleDefinition(name="any", job_name="any", cron_schedule=line, execution_timezone="Europe/Berlin")
        assert schedule.cron_schedule == line
