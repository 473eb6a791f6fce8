"""The judge is judged: verdicts anybody can check by hand, among them every example of the segment language's specification."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from seg_assets.documents import parse_documents
from tests.segments.oracle import duration, members, next_flip, verdict_at

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def documents(text: str) -> list[dict[str, Any]]:
    return [d.data for d in parse_documents(text)]


def stream(*lines: str, person: int = 1, start: datetime = START) -> list[dict[str, Any]]:
    """Events written as in the `expect:` lines: offset, event type, properties."""
    events = []
    for number, line in enumerate(lines):
        offset, event_type, *properties = line.split()
        values: dict[str, Any] = dict(p.split("=") for p in properties)
        if "percent" in values:
            values["percent"] = float(values["percent"])
        if "revenue" in values:
            values["revenue"] = Decimal(values["revenue"])
        at = start + duration(offset)
        events.append(
            {"person_id": person, "event_id": f"e{person}-{number}", "event_type": event_type, "event_time": at, "properties": None, **values}
        )
    return events


def is_member(where: str, *lines: str, at: str = "1d", person: dict[str, Any] | None = None, head: str = "") -> bool:
    definition = documents(f"segment: s\n{head}\nwhere: {where}")
    return members(definition, [{"person_id": 1, **(person or {})}], stream(*lines), [], START + duration(at)) == {"s": {1}}


SPECIFIED = """
segment: fast_checkout
where: {then: [product_added, checkout_started], within: 10m, on: cart_id, in: 30d}
expect:
  - {events: ["0m product_added cart_id=1", "9m59s checkout_started cart_id=1"], at: 10m, member: true}
  - {events: ["0m product_added cart_id=1", "10m01s checkout_started cart_id=1"], at: 11m, member: false}
  - {events: ["0m product_added cart_id=1", "10m checkout_started cart_id=1"], at: 11m, member: true}
  - {events: ["0m product_added cart_id=1", "5m checkout_started cart_id=2"], at: 11m, member: false}
  - {events: ["0m product_added", "5m checkout_started"], at: 11m, member: false}
  - {events: ["0m checkout_started cart_id=1", "5m product_added cart_id=1"], at: 11m, member: false}
  - {events: ["0m product_added cart_id=1", "0m checkout_started cart_id=1"], at: 11m, member: false}
  - {events: ["0m product_added cart_id=1", "1d product_added cart_id=1", "24h5m checkout_started cart_id=1"], at: 2d, member: true}
  - {events: ["0m product_added cart_id=1", "5m checkout_started cart_id=1"], at: 30d, member: false}
  - {events: [], at: 1d, member: false}
---
segment: cart_abandoned_48h
where: {then: [product_added, {no: order_completed, for: 48h}], on: cart_id, in: 30d}
expect:
  - {events: ["0m product_added cart_id=1"], at: 48h, member: true}
  - {events: ["0m product_added cart_id=1"], at: 47h59m59s, member: false}
  - {events: ["0m product_added cart_id=1", "1h order_completed cart_id=1"], at: 48h, member: false}
  - {events: ["0m product_added cart_id=1", "49h order_completed cart_id=1"], at: 50h, member: false}
  - {events: ["0m product_added cart_id=1", "1h order_completed cart_id=2"], at: 48h, member: true}
  - {events: ["0m product_added cart_id=1", "1h order_completed"], at: 48h, member: true}
  - {events: ["0m product_added cart_id=1", "0m order_completed cart_id=1"], at: 48h, member: true}
  - {events: ["0m product_added cart_id=1", "1h order_completed cart_id=1", "2h product_added cart_id=1"], at: 50h, member: true}
---
segment: cart_slow_48h
where: {then: [product_added, {no: order_completed, within: 48h}], on: cart_id, in: 30d}
expect:
  - {events: ["0m product_added cart_id=1"], at: 47h, member: false}
  - {events: ["0m product_added cart_id=1", "49h order_completed cart_id=1"], at: 50h, member: true}
  - {events: ["0m product_added cart_id=1", "48h order_completed cart_id=1"], at: 50h, member: false}
---
segment: looked_twice_not_bought
where:
  all:
    - {did: product_viewed, times: ">=2", in: 7d, same: product_id}
    - {never: order_completed, in: 7d, same: product_id}
expect:
  - {events: ["0m product_viewed product_id=a", "1h product_viewed product_id=a"], at: 1d, member: true}
  - {events: ["0m product_viewed product_id=a", "1h product_viewed product_id=b"], at: 1d, member: false}
  - {events: ["0m product_viewed product_id=a", "1h product_viewed product_id=a", "2h order_completed product_id=a"], at: 1d, member: false}
  - {events: ["0m product_viewed product_id=a", "1h product_viewed product_id=a", "2h order_completed product_id=b"], at: 1d, member: true}
  - {events: ["0m product_viewed product_id=a", "1h product_viewed product_id=a"], at: 7d, member: false}
"""
FIXTURES = [(d, e) for d in documents(SPECIFIED) for e in d["expect"]]


@pytest.mark.parametrize(("document", "fixture"), FIXTURES, ids=[f"{d['segment']}-{i}" for i, (d, _) in enumerate(FIXTURES)])
def test_the_examples_of_the_specification(document, fixture):
    found = members([document], [{"person_id": 1}], stream(*fixture["events"]), [], START + duration(fixture["at"]))
    assert (1 in found[document["segment"]]) is fixture["member"]


MOBILE = """
segment: mobile_video_shoppers
calendar: Europe/Berlin
where:
  all:
    - age: 25..34
    - area: urban
    - device_share.mobile: ">=0.6"
    - {did: order_completed, times: ">2", in: last month}
    - {did: video_progressed, where: {percent: ">=50"}, in: 30d}
    - engagement: top 20%
  none: [{in_segment: suppressed}]
---
segment: suppressed
where: {did: unsubscribed}
"""


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({}, True),
        ({"age": 34}, True),
        ({"age": 35}, False),
        ({"age": None}, False),
        ({"mobile": 14}, False),
        ({"engagement": 1.0}, False),
        ({"orders": 2}, False),
        ({"percent": 49.9}, False),
        ({"unsubscribed": True}, False),
    ],
)
def test_the_long_example_of_the_specification(change, member):
    one = {"person_id": 1, "age": 25, "area": "urban", "engagement": 9.0} | change
    others = [{"person_id": n, "engagement": float(n)} for n in range(2, 6)]
    orders = [f"{n}d order_completed" for n in range(change.get("orders", 3))]
    events = stream(*orders, f"20d video_progressed percent={change.get('percent', 50)}", *(["21d unsubscribed"] if "unsubscribed" in change else []))
    events += stream(*(f"{n}h page_viewed device={'mobile' if n < change.get('mobile', 15) else 'desktop'}" for n in range(25)), person=1)
    assert (1 in members(documents(MOBILE), [one, *others], events, [], datetime(2026, 4, 1, tzinfo=UTC))["mobile_video_shoppers"]) is member


def test_rolling_windows_are_open_at_their_start_and_closed_at_as_of():
    assert not is_member("{did: page_viewed, in: 1h}", "0m page_viewed", at="1h")
    assert is_member("{did: page_viewed, in: 1h}", "1s page_viewed", at="1h")
    assert is_member("{did: page_viewed, in: 1h}", "1h page_viewed", at="1h")
    assert not is_member("{did: page_viewed}", "2h page_viewed", at="1h")


def test_people_without_events_count_in_never_and_in_less_than():
    assert is_member("{never: page_viewed, in: ever}")
    assert is_member("{did: page_viewed, times: '<3'}")
    assert is_member("{did: page_viewed, times: 0}")
    assert not is_member("{did: page_viewed, times: 1..3}")


@pytest.mark.parametrize(
    ("test", "value", "passes"),
    [
        ("urban", "urban", True),
        ("urban", None, False),
        ("{not: urban}", "rural", True),
        ("{not: urban}", None, False),
        ("{not: [urban, rural]}", "suburban", True),
        ("missing", None, True),
        ("missing", "urban", False),
        ("present", None, False),
        ("{not: missing}", "urban", True),
        ("{not: missing}", None, False),
        ("{not: {not: urban}}", "urban", True),
        ("{not: {not: urban}}", None, False),
    ],
)
def test_attribute_tests_are_total(test, value, passes):
    assert is_member(f"{{area: {test}}}", person={"area": value}) is passes


def test_none_is_the_exact_complement_also_of_missing_values():
    assert is_member("{none: [{area: urban}]}", person={"area": None})
    assert is_member("{none: [{area: {not: urban}}]}", person={"area": None})


def test_amounts_compare_exactly():
    assert is_member("{did: order_completed, where: {revenue: '>=19.99'}}", "0m order_completed revenue=19.99")
    assert not is_member("{did: order_completed, where: {revenue: '>19.99'}}", "0m order_completed revenue=19.99")


def test_where_and_count_apply_to_the_same_events():
    lines = ("0m product_viewed category=shoes", "1m product_viewed category=hats")
    assert not is_member("{did: product_viewed, times: 2, where: {category: shoes}}", *lines)


def test_custom_properties_are_read_from_json():
    events = stream("0m product_searched")
    events[0]["properties"] = '{"query": "red shoes"}'
    definition = documents("segment: s\nwhere: {did: product_searched, where: {query: red shoes}}")
    assert members(definition, [{"person_id": 1}], events, [], START) == {"s": {1}}


def test_ties_are_no_sequence_unless_allowed():
    lines = ("0m product_added", "0m checkout_started")
    assert not is_member("{then: [product_added, checkout_started]}", *lines)
    assert is_member("{then: [product_added, checkout_started], ties: allow}", *lines)
    assert not is_member("{then: [checkout_started, product_added], ties: allow}", *lines), "at the same instant the event id decides"


def test_one_event_is_never_two_steps():
    assert not is_member("{then: [page_viewed, page_viewed], ties: allow}", "0m page_viewed")
    assert is_member("{then: [page_viewed, page_viewed], ties: allow}", "0m page_viewed", "0m page_viewed")
    assert not is_member("{then: [page_viewed, cart_viewed, page_viewed], ties: allow}", "0m page_viewed", "0m cart_viewed")


def test_within_of_a_step_is_measured_from_the_step_before_it():
    where = "{then: [page_viewed, cart_viewed, {checkout_started: {within: 5m}}], within: 20m}"
    assert is_member(where, "0m page_viewed", "14m cart_viewed", "19m checkout_started")
    assert not is_member(where, "0m page_viewed", "5m cart_viewed", "10m1s checkout_started")
    assert not is_member(where, "0m page_viewed", "16m cart_viewed", "21m checkout_started")


def test_same_in_a_scope_of_its_own_is_bound_apart():
    lines = ("0m product_viewed product_id=a", "1h order_completed product_id=b")
    assert not is_member("{all: [{did: product_viewed, same: product_id}, {did: order_completed, same: product_id}]}", *lines)
    assert is_member("{all: [{did: product_viewed, same: product_id}, {all: [{did: order_completed, same: product_id}]}]}", *lines)


def test_same_is_bound_through_any_and_none():
    where = "{all: [{did: product_viewed, same: product_id}, {none: [{did: order_completed, same: product_id}]}]}"
    assert is_member(where, "0m product_viewed product_id=a", "1h order_completed product_id=b")
    assert not is_member(where, "0m product_viewed product_id=a", "1h order_completed product_id=a")
    assert is_member(where, "0m product_viewed product_id=a", "1h order_completed product_id=a", "2h product_viewed product_id=b")


@pytest.mark.parametrize(
    ("window", "zone", "as_of", "first", "end"),
    [
        ("last hour", "Asia/Kolkata", "2026-03-10T10:45:00", "2026-03-10T09:30:00", "2026-03-10T10:30:00"),
        ("last day", "UTC", "2024-03-01T00:00:00", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("last day", "Europe/Berlin", "2026-03-29T22:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
        ("last day", "Europe/Berlin", "2026-10-26T00:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("last day", "America/Havana", "2026-03-09T12:00:00", "2026-03-08T05:00:00", "2026-03-09T04:00:00"),
        ("last week", "America/New_York", "2026-03-10T00:00:00", "2026-03-02T05:00:00", "2026-03-09T04:00:00"),
        ("last month", "UTC", "2024-03-31T12:00:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
        ("last quarter", "Europe/Berlin", "2026-04-01T00:00:00", "2025-12-31T23:00:00", "2026-03-31T22:00:00"),
        ("2026-03-29..2026-03-29", "Europe/Berlin", "2026-04-01T00:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
    ],
)
def test_calendar_windows_follow_the_calendar(window, zone, as_of, first, end):
    definition = documents(f"segment: s\ncalendar: {zone}\nwhere: {{did: page_viewed, in: {window}}}")
    start, stop, now = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (first, end, as_of))
    tick = timedelta(microseconds=1)
    found = [
        bool(members(definition, [{"person_id": 1}], stream("0m page_viewed", start=t), [], now)["s"])
        for t in (start - tick, start, stop - tick, stop)
    ]
    assert found == [False, True, True, False]


def test_this_month_ends_at_as_of():
    assert is_member("{did: page_viewed, in: this month}", "0m page_viewed", head="calendar: UTC")
    assert not is_member("{did: page_viewed, in: this month}", "2d page_viewed", head="calendar: UTC")
    assert not is_member("{did: page_viewed, in: this month}", "0m page_viewed", at="30d", head="calendar: UTC")


def test_top_share_treats_equal_values_alike():
    people = [{"person_id": n, "engagement": value} for n, value in enumerate([5.0, 4.0, 4.0, 1.0, None])]
    top = [members(documents(f"segment: s\nwhere: {{engagement: top {n}%}}"), people, [], [], START)["s"] for n in (25, 26, 50, 75, 76)]
    assert top == [{0}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2, 3}]
    assert members(documents("segment: s\nwhere: {engagement: bottom 25%}"), people, [], [], START)["s"] == {3}
    assert members(documents("segment: s\nwhere: {engagement: {not: top 25%}}"), people, [], [], START)["s"] == {1, 2, 3}


def test_needs_hold_until_the_grant_expires():
    definition = documents("segment: s\nwhere: {none: [{age: present}]}\nneeds: [marketing_email]")
    grant = {"person_id": 1, "purpose": "marketing_email", "granted": True, "expires_at": START}
    people = [{"person_id": 1, "age": None}, {"person_id": 2, "age": None}]
    assert members(definition, people, [], [grant], START - timedelta(microseconds=1)) == {"s": {1}}
    assert members(definition, people, [], [grant], START) == {"s": set()}
    assert members(definition, people, [], [grant | {"granted": False}], START - timedelta(days=1)) == {"s": set()}


def test_a_verdict_changes_when_the_event_leaves_the_window_and_not_before():
    definition = documents(
        "segment: s\nwhere: {all: [{did: page_viewed, in: 1h}, {did: cart_viewed, in: 1d}]}\n---\nsegment: t\nwhere: {did: page_viewed}"
    )
    events = stream("0m page_viewed", "5m page_viewed", "2m cart_viewed")
    people, now = [{"person_id": 1}], START + timedelta(minutes=10)
    assert next_flip(definition, people, events, [], now) == {("s", 1): START + timedelta(minutes=65), ("t", 1): None}
    assert verdict_at(definition, people, events, [], now, later=START + timedelta(minutes=64)) == {"s": {1}, "t": {1}}


def test_a_verdict_without_a_new_event_ignores_what_happens_later():
    definition = documents("segment: s\nwhere: {did: page_viewed}")
    assert verdict_at(definition, [{"person_id": 1}], stream("1h page_viewed"), [], START, later=START + timedelta(days=1)) == {"s": set()}


def test_calendar_verdicts_change_where_the_unit_ends():
    definition = documents("segment: s\ncalendar: Europe/Berlin\nwhere: {did: page_viewed, in: last day}")
    assert next_flip(definition, [{"person_id": 1}], stream("0m page_viewed"), [], START) == {("s", 1): datetime(2026, 3, 2, 23, tzinfo=UTC)}


def test_durations_are_exact_seconds():
    assert [re.sub(r", ", " ", str(duration(d))) for d in ("10m", "48h", "7d", "9m59s")] == ["0:10:00", "2 days 0:00:00", "7 days 0:00:00", "0:09:59"]
