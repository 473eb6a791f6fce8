"""Raw streams become canonical tables; nothing is lost without a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
import pytest

from seg_assets.errors import MappingError
from seg_assets.lake import Engine
from seg_assets.schema.tables import CONTACTS, UNIFIED
from seg_assets.schema.taxonomy import default_taxonomy
from seg_assets.unify import FromColumn, FromSql, FromValue, StreamMapping, unify
from seg_assets.unify.typing import Conventions

ENGINE = Engine()
COLUMNS = {"event_id": "id", "event_type": "type", "event_time": "time", "user_id": "user"}


def raw(**columns: list[Any]) -> ibis.Table:
    n = len(next(iter(columns.values())))
    return ENGINE.from_arrow(pa.table({**columns, "_slice": ["f.csv"] * n, "_row": list(range(n))}))


def run(table: ibis.Table, mapping: StreamMapping, **conventions: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    arguments = ([(table, mapping)], UNIFIED[mapping.to], default_taxonomy(), Conventions(**conventions))
    rows, quarantine = (ENGINE.connection.to_pyarrow(made).to_pylist() for made in unify(*arguments))
    key = UNIFIED[mapping.to].primary_key
    return sorted(rows, key=lambda r: [r[k] for k in key]), sorted(quarantine, key=lambda r: (r["position"], r["reason"]))


def events(*, timezone: str = "UTC", extra: dict[str, Any] | None = None, **columns: list[Any]):
    table = raw(**columns)
    mapping = {c: FromColumn(r) for c, r in COLUMNS.items()} | (extra or {})
    return table, StreamMapping("shop/clicks", "events", mapping, timezone)


def test_aliases_blanks_and_case_of_event_types_are_understood() -> None:
    rows, quarantine = run(*events(id=["1", "2"], type=[" Add to Cart ", "ORDER_COMPLETED"], time=["2026-01-01T00:00:00Z"] * 2, user=["u", "u"]))
    assert [r["event_type"] for r in rows] == ["product_added", "order_completed"]
    assert quarantine == []


def test_an_unknown_event_type_is_quarantined_without_its_value() -> None:
    rows, quarantine = run(*events(id=["1"], type=["alice@example.com"], time=["2026-01-01T00:00:00Z"], user=["u"]))
    assert rows == []
    assert [(q["field"], q["lost"], q["position"], q["slice"]) for q in quarantine] == [("event_type", "row", "row 1", "f.csv")]
    assert "alice" not in str(quarantine)


def test_naive_times_are_read_in_the_streams_zone_and_zoned_ones_in_their_own() -> None:
    times = ["2026-03-29T03:30:00", "2026-01-15 12:00:00", "2026-01-15T12:00:00-05:00", "2026-01-15T12:00:00Z"]
    rows, _ = run(*events(id=["1", "2", "3", "4"], type=["page_viewed"] * 4, time=times, user=["u"] * 4, timezone="Europe/Berlin"))
    assert [r["event_time"] for r in rows] == [
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 1, 15, 11, tzinfo=UTC),
        datetime(2026, 1, 15, 17, tzinfo=UTC),
        datetime(2026, 1, 15, 12, tzinfo=UTC),
    ]


def test_native_naive_timestamps_are_localised_too() -> None:
    table = raw(id=["1"], type=["page_viewed"], user=["u"]).mutate(time=ibis.timestamp("2026-07-01 12:00:00"))
    rows, _ = run(table, events(id=[], type=[], time=[], user=[], timezone="Europe/London")[1])
    assert rows[0]["event_time"] == datetime(2026, 7, 1, 11, tzinfo=UTC)


def test_a_time_that_is_none_costs_the_row_and_names_the_field() -> None:
    rows, quarantine = run(*events(id=["1", "2"], type=["page_viewed"] * 2, time=["yesterday", None], user=["u"] * 2))
    assert rows == []
    assert [q["reason"] for q in quarantine] == ["event_time is not an ISO 8601 time", "event_time is missing"]


@pytest.mark.parametrize("time", ["infinity", "-infinity", "12026-01-01", "0001-01-01 (BC)"])
def test_a_time_no_calendar_has_costs_the_row(time: str) -> None:
    rows, quarantine = run(*events(id=["1"], type=["page_viewed"], time=[time], user=["u"]))
    assert rows == []
    assert [q["reason"] for q in quarantine] == ["event_time is not an ISO 8601 time"]


def test_an_event_of_nobody_is_quarantined() -> None:
    rows, quarantine = run(*events(id=["1", "2"], type=["page_viewed"] * 2, time=["2026-01-01"] * 2, user=[None, " "]))
    assert rows == []
    assert {q["reason"] for q in quarantine} == {"no identifier: nobody it could belong to"}


def test_a_bad_optional_value_costs_the_value_and_not_the_row() -> None:
    table, mapping = events(
        id=["1", "2", "3"], type=["order_completed"] * 3, time=["2026-01-01"] * 3, user=["u"] * 3, amount=["12.345", "-3", "a lot"],
        extra={"revenue": FromColumn("amount")},
    )  # fmt: skip
    rows, quarantine = run(table, mapping)
    assert [r["revenue"] for r in rows] == [Decimal("12.35"), None, None]
    assert [(q["position"], q["lost"], q["reason"]) for q in quarantine] == [
        ("row 2", "value", "revenue is below 0"),
        ("row 3", "value", "revenue is not an amount in a known currency"),
    ]


def test_foreign_money_is_converted_and_money_without_a_rate_is_not_guessed() -> None:
    table, mapping = events(
        id=["1", "2", "3"], type=["order_completed"] * 3, time=["2026-01-01"] * 3, user=["u"] * 3, amount=["10", "10", "10"],
        code=["usd", "EUR", "JPY"], extra={"revenue": FromColumn("amount"), "currency": FromColumn("code")},
    )  # fmt: skip
    rows, quarantine = run(table, mapping, currency="USD", fx={"EUR": 1.1})
    assert [r["revenue"] for r in rows] == [Decimal("10.00"), Decimal("11.00"), None]
    assert [q["position"] for q in quarantine] == ["row 3"]


def test_repeated_deliveries_of_an_event_count_once() -> None:
    table, mapping = events(
        id=["1", "1", "2"], type=["page_viewed"] * 3, time=["2026-01-01"] * 3, user=["u"] * 3, got=["2026-01-03", "2026-01-02", "2026-01-02"],
        extra={"received_at": FromColumn("got")},
    )  # fmt: skip
    rows, _ = run(table, mapping)
    assert [(r["event_id"], r["received_at"].day) for r in rows] == [("1", 2), ("2", 2)]


def test_an_event_received_before_it_happened_shows_a_wrong_clock() -> None:
    table, mapping = events(
        id=["1"], type=["page_viewed"], time=["2036-01-01"], user=["u"], got=["2026-01-01"], extra={"received_at": FromColumn("got")}
    )
    rows, quarantine = run(table, mapping)
    assert rows == []
    assert "clock is wrong" in quarantine[0]["reason"]


def test_constants_and_expressions_map_columns() -> None:
    table, mapping = events(
        id=["1"], type=["x"], time=["2026-01-01"], user=["u"], n=["3"], price=["2.50"],
        extra={"event_type": FromValue("order_completed"), "revenue": FromSql("n::int * price::decimal(9,2)"), "channel": FromValue("Website")},
    )  # fmt: skip
    rows, _ = run(table, mapping)
    assert (rows[0]["revenue"], rows[0]["event_type"], rows[0]["channel"]) == (Decimal("7.50"), "order_completed", "web")


def test_a_missing_column_is_an_error_that_lists_what_there_is() -> None:
    table = raw(id=["1"], kind=["page_viewed"], time=["2026-01-01"], user=["u"])
    with pytest.raises(MappingError, match=r"no column 'type'.*it has id, kind, time, user"):
        run(table, events(id=[], type=[], time=[], user=[])[1])


def test_a_wrong_expression_is_an_error_that_names_stream_and_column() -> None:
    table, mapping = events(id=["1"], type=["x"], time=["2026-01-01"], user=["u"], extra={"revenue": FromSql("no_such_column * 2")})
    with pytest.raises(MappingError, match=r"stream shop/clicks, column revenue.*no_such_column"):
        run(table, mapping)


def contacts(**columns: list[Any]):
    return raw(**columns), StreamMapping("crm/people", "contacts")


def test_emails_and_phones_are_normalised_and_bad_ones_quarantined() -> None:
    table, mapping = contacts(
        contact_id=["1", "2", "3", "4", "5"],
        email=["  Ann.Lee@Example.COM ", "not an address", None, None, None],
        phone=["020 7946 0958", "+49 (30) 901820", "12", "0043 (0)664 1234567", "+39 (0)6 698 12345"],
        country=["gb", "DE", "US", None, "DE"],
        user_id=["a", "b", "c", "d", "e"],
    )
    rows, quarantine = run(table, mapping)
    assert [r["email"] for r in rows] == ["ann.lee@example.com", None, None, None, None]
    assert [r["phone"] for r in rows] == ["+442079460958", "+4930901820", None, "+436641234567", "+390669812345"]
    assert [q["field"] for q in quarantine] == ["email", "phone"]
    assert {q["lost"] for q in quarantine} == {"value"}


def test_what_third_parties_say_must_fit_the_taxonomy() -> None:
    table = raw(
        enrichment_id=["1", "2", "3", "4"],
        user_id=["u"] * 4,
        attribute=["age", "age", "area", "shoe_size"],
        value=["41", "forty", "Countryside", "43"],
        provided_at=["2026-01-01"] * 4,
    )
    rows, quarantine = run(table, StreamMapping("bureau/facts", "enrichments"))
    assert [r["enrichment_id"] for r in rows] == ["1", "3"]
    assert [(q["position"], q["field"]) for q in quarantine] == [("row 2", "value"), ("row 4", "attribute")]


def test_the_newest_version_of_a_record_wins() -> None:
    table, mapping = contacts(
        contact_id=["1", "1"], user_id=["a", "a"], city=["Old Town", "New Town"], updated_at=["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    )
    rows, _ = run(table, mapping)
    assert [r["city"] for r in rows] == ["New Town"]


def test_whole_numbers_are_not_rounded_into_being() -> None:
    table, mapping = contacts(contact_id=["1", "2", "3"], user_id=["a", "b", "c"], age=["41", "41.5", "431"])
    rows, quarantine = run(table, mapping)
    assert [r["age"] for r in rows] == [41, None, None]
    assert [q["reason"] for q in quarantine] == ["age is not a valid whole number", "age is above 130"]


def test_rows_in_are_rows_out_plus_duplicates_plus_quarantined_rows() -> None:
    n = 500
    table, mapping = events(
        id=[str(i % 450) for i in range(n)],
        type=["page_viewed" if i % 10 else "nonsense" for i in range(n)],
        time=["2026-01-01" if i % 7 else "?" for i in range(n)],
        user=["u"] * n,
    )
    rows, quarantine = run(table, mapping)
    lost = {q["position"] for q in quarantine if q["lost"] == "row"}
    usable = [str(i % 450) for i in range(n) if i % 10 and i % 7]
    assert len(lost) == n - len(usable)
    assert [r["event_id"] for r in rows] == sorted(set(usable))


def test_no_stream_makes_an_empty_table_with_its_schema() -> None:
    rows, problems = unify([], CONTACTS, default_taxonomy(), Conventions())
    assert rows.schema() == CONTACTS.schema
    assert problems.count().execute() == 0
