"""Daily activity and features agree with a recomputation in plain Python, whatever the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_assets.lake import Engine
from seg_assets.profiles.activity import activity_daily, activity_table
from seg_assets.profiles.features import favourites, features
from seg_assets.schema.tables import EVENTS, FEATURES, IDENTIFIERS
from seg_assets.schema.taxonomy import default_taxonomy

ENGINE = Engine()
TYPES = list(default_taxonomy().events)
AS_OF = datetime(2026, 7, 1, 13, 30, tzinfo=UTC)
DROPPED = {c.name for c in IDENTIFIERS}
SHAPE = pa.schema([("person_id", pa.int64()), *(f for f in EVENTS.schema.to_pyarrow() if f.name not in DROPPED)])

Event = dict[str, Any]


def arrow(events: Iterable[Event]) -> pa.Table:
    full = [{"event_id": f"e{i}", "source": "s/e", "day": e["event_time"].date()} | e for i, e in enumerate(events)]
    return pa.Table.from_pylist(full, SHAPE)


def computed(events: pa.Table, as_of: datetime = AS_OF, engine: Engine = ENGINE) -> tuple[pa.Table, pa.Table]:
    """Daily activity and features."""
    table = engine.from_arrow(events)
    daily = activity_daily(table, TYPES, as_of)
    wide = features(daily, favourites(table, as_of), as_of)
    order = [("person_id", "ascending")]
    return (
        engine.connection.to_pyarrow(daily.cast(dict(activity_table(default_taxonomy()).schema))).sort_by([*order, ("day", "ascending")]),
        engine.connection.to_pyarrow(wide).sort_by(order),
    )


def feature(name: str, *events: Event, as_of: datetime = AS_OF) -> Any:
    (row,) = computed(arrow({"person_id": 1, **e} for e in events), as_of)[1].to_pylist()
    return row[name]


def event(kind: str = "page_viewed", at: datetime = AS_OF, **columns: Any) -> Event:
    return {"event_type": kind, "event_time": at, **columns}


def order(at: datetime, amount: str | None, order_id: str | None = None) -> Event:
    return event("order_completed", at, revenue=None if amount is None else Decimal(amount), order_id=order_id)


def ago(**distance: float) -> datetime:
    return AS_OF - timedelta(**distance)


def expected_daily(events: list[Event], as_of: datetime) -> dict[tuple[int, date], dict[str, Any]]:
    groups: dict[tuple[int, date], list[Event]] = {}
    for e in events:
        if e["event_time"] <= as_of:
            groups.setdefault((e["person_id"], e["event_time"].date()), []).append(e)
    first_lines: dict[tuple[int, str], date] = {}
    for e in sorted((e for some in groups.values() for e in some if e["event_type"] == "order_completed"), key=lambda e: e["event_time"]):
        first_lines.setdefault((e["person_id"], e["order_id"] or e["event_id"]), e["event_time"].date())
    placed = Counter((person, day) for (person, _), day in first_lines.items())
    return {key: _day(some) | {"orders": placed[key]} for key, some in groups.items()}


def _day(events: list[Event]) -> dict[str, Any]:
    orders = [e for e in events if e["event_type"] == "order_completed"]
    times = [e["event_time"] for e in events]
    return {
        "events": len(events),
        "revenue": sum((e["revenue"] or Decimal(0) for e in orders), Decimal(0)),
        "refunds": sum((e["revenue"] or Decimal(0) for e in events if e["event_type"] == "order_refunded"), Decimal(0)),
        "first_event_time": min(times),
        "last_event_time": max(times),
        "last_order_time": max((e["event_time"] for e in orders), default=None),
        **{f"n_{name}": sum(e["event_type"] == name for e in events) for name in TYPES},
    }


def expected_features(events: list[Event], as_of: datetime) -> dict[int, dict[str, Any]]:
    past = [e for e in events if e["event_time"] <= as_of]
    return {person: _features([e for e in past if e["person_id"] == person], as_of) for person in {e["person_id"] for e in past}}


def _features(events: list[Event], as_of: datetime) -> dict[str, Any]:
    def within(days: int, some: list[Event]) -> list[Event]:
        return [e for e in some if (as_of.date() - e["event_time"].date()).days < days]

    def of(*kinds: str) -> list[Event]:
        return [e for e in events if e["event_type"] in kinds]

    def placed(days: int) -> int:
        """Orders whose first line lies in the window."""
        first_lines: dict[str, int] = {}
        for e in orders:
            age = (as_of.date() - e["event_time"].date()).days
            first_lines[e["order_id"] or e["event_id"]] = max(age, first_lines.get(e["order_id"] or e["event_id"], 0))
        return sum(age < days for age in first_lines.values())

    def amount(some: list[Event]) -> Decimal:
        return sum((e["revenue"] or Decimal(0) for e in some), Decimal(0))

    def days_since(instants: list[datetime]) -> float | None:
        return round(int(as_of.timestamp() - max(instants).timestamp()) / 86_400, 4) if instants else None

    orders = of("order_completed")
    times = [e["event_time"] for e in events]
    categories, channels = (Counter(e[c] for e in events if e[c]) for c in ("category", "channel"))
    return {
        "first_event_time": min(times),
        "last_event_time": max(times),
        "tenure_days": round(int(as_of.timestamp() - min(times).timestamp()) / 86_400, 4),
        "days_since_event": days_since(times),
        "days_since_order": days_since([e["event_time"] for e in orders]),
        **{f"active_days_{d}d": len({e["event_time"].date() for e in within(d, events)}) for d in (30, 90)},
        **{f"events_{d}d": len(within(d, events)) for d in (7, 30, 90)},
        "events_total": len(events),
        "views_30d": len(within(30, of("product_viewed"))),
        "adds_30d": len(within(30, of("product_added"))),
        **{f"orders_{d}d": placed(d) for d in (30, 90, 365)},
        "orders_total": placed(10**6),
        **{f"revenue_{d}d": float(amount(within(d, orders))) for d in (30, 90, 365)},
        "revenue_total": float(amount(orders)),
        "refund_share": float(min(amount(of("order_refunded")) / amount(orders), Decimal(1))) if amount(orders) else 0.0,
        "avg_order_value": float(amount(orders)) / placed(10**6) if orders else None,
        "email_opens_90d": len(within(90, of("email_opened"))),
        "email_clicks_90d": len(within(90, of("email_clicked"))),
        "top_category": min(categories, key=lambda c: (-categories[c], c), default=None),
        "top_categories": ", ".join(sorted(categories, key=lambda c: (-categories[c], c))[:3]) or None,
        "categories": len(categories),
        "top_channel": min(channels, key=lambda c: (-channels[c], c), default=None),
    }


def exact(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not isinstance(value, float)}


def measured(row: dict[str, Any]) -> dict[str, float]:
    """Values that are rounded: halves to even in Python, away from zero in the engine."""
    return {name: value for name, value in row.items() if isinstance(value, float)}


some_event = st.fixed_dictionaries(
    {
        "person_id": st.integers(1, 4),
        "event_type": st.sampled_from(
            ["order_completed", "order_refunded", "product_viewed", "product_added", "email_opened", "email_clicked", "page_viewed"]
        ),
        # Around every edge of a window, and a little after as_of.
        "event_time": st.builds(
            lambda days, seconds: AS_OF - timedelta(days=days, seconds=seconds),
            st.sampled_from([0, 1, 6, 7, 29, 30, 89, 90, 364, 365, 366, 800]),
            st.integers(-86_400, 86_400),
        ),
        "revenue": st.none() | st.decimals("0", "500", places=2),
        "order_id": st.sampled_from([None, "o1", "o2"]),
        "category": st.sampled_from([None, "shoes", "hats", "Bags"]),
        "channel": st.sampled_from([None, "web", "app", "store"]),
    }
)


@settings(max_examples=12, deadline=None)
@given(events=st.lists(some_event, max_size=60))
def test_activity_and_features_are_what_plain_python_computes(events: list[Event]) -> None:
    events = [{**e, "event_id": f"e{i}"} for i, e in enumerate(events)]
    daily, wide = computed(arrow(events))
    assert {(r.pop("person_id"), r.pop("day")): r for r in daily.to_pylist()} == expected_daily(events, AS_OF)
    found = {r.pop("person_id"): r for r in wide.to_pylist()}
    expected = expected_features(events, AS_OF)
    assert {person: exact(row) for person, row in found.items()} == {person: exact(row) for person, row in expected.items()}
    for person, row in expected.items():
        assert measured(found[person]) == pytest.approx(measured(row), abs=0.0051)


def test_nobody_with_events_gives_empty_tables_of_the_right_shape() -> None:
    daily, wide = computed(arrow([]))
    assert daily.num_rows == wide.num_rows == 0
    assert wide.schema.names == list(FEATURES.schema.names)


def test_an_event_at_as_of_counts_and_one_a_microsecond_later_does_not() -> None:
    assert feature("events_total", event(at=AS_OF), event(at=AS_OF + timedelta(microseconds=1))) == 1


def test_a_person_with_later_events_only_has_no_features() -> None:
    assert computed(arrow([{"person_id": 1, **event(at=AS_OF + timedelta(hours=1))}]))[1].num_rows == 0


def test_windows_are_whole_utc_days_ending_with_the_day_of_as_of() -> None:
    midnight = AS_OF.replace(hour=0, minute=0)
    first_moment = midnight - timedelta(days=6)
    assert feature("events_7d", event(at=first_moment), event(at=first_moment - timedelta(seconds=1))) == 1


def test_lines_of_one_order_are_one_order_and_their_amounts_add_up() -> None:
    lines = [order(ago(hours=1), "10.10", "o1"), order(ago(hours=1), "5.05", "o1"), order(ago(days=3), "4.85", "o2")]
    assert feature("orders_total", *lines) == 2
    assert feature("revenue_30d", *lines) == 20.0
    assert feature("avg_order_value", *lines) == 10.0


def test_an_order_whose_lines_fall_on_two_days_counts_once_on_the_first() -> None:
    lines = [order(ago(days=30), "10", "o1"), order(ago(days=29), "5", "o1")]
    assert feature("orders_total", *lines) == 1
    assert feature("orders_30d", *lines) == 0
    assert feature("revenue_30d", *lines) == 5.0


def test_orders_without_an_id_count_one_by_one() -> None:
    assert feature("orders_total", order(ago(hours=1), "1"), order(ago(hours=1), "1")) == 2


def test_an_order_without_an_amount_is_an_order_of_nothing() -> None:
    assert feature("orders_total", order(ago(hours=1), None)) == 1
    assert feature("revenue_total", order(ago(hours=1), None)) == 0.0


def test_refunds_are_a_share_of_what_was_ordered_and_never_more_than_all() -> None:
    refund = event("order_refunded", ago(days=1), revenue=Decimal("5"))
    assert feature("refund_share", order(ago(days=2), "20"), refund) == 0.25
    assert feature("refund_share", order(ago(days=2), "2"), refund) == 1.0
    assert feature("refund_share", refund) == 0.0


def test_a_person_without_orders_has_no_order_age_and_no_order_value() -> None:
    assert feature("days_since_order", event()) is None
    assert feature("avg_order_value", event()) is None
    assert feature("orders_365d", event()) == 0


def test_favourites_with_equal_counts_are_decided_by_name() -> None:
    clicks = [event(category=c, channel=h) for c, h in [("shoes", "web"), ("hats", "app"), ("shoes", "app"), ("hats", "web")]]
    assert feature("top_category", *clicks) == "hats"
    assert feature("top_channel", *clicks) == "app"
    assert feature("categories", *clicks) == 2


def test_more_than_nine_events_beat_nine() -> None:
    assert feature("top_category", *[event(category="a")] * 9, *[event(category="b")] * 10) == "b"


def many(seed: int = 0, n: int = 300_000) -> pa.Table:
    """Random events, enough that DuckDB splits them over its threads."""
    draw = np.random.default_rng(seed)
    start = np.datetime64("2025-07-01", "us")
    times = start + draw.integers(0, 365 * 86_400 * 10**6, n).astype("timedelta64[us]")
    words = {"event_type": TYPES, "category": ["a", "b", "c", None], "channel": ["web", "app", None], "order_id": [f"o{i}" for i in range(500)]}
    columns = {name: pa.array(values).take(pa.array(draw.integers(0, len(values), n))) for name, values in words.items()}
    return pa.table(
        {
            "person_id": draw.integers(1, 5_000, n),
            "event_id": pa.array(np.arange(n)).cast(pa.string()),
            "event_time": pa.array(times).cast(pa.timestamp("us", "UTC")),
            "day": pa.array(times.astype("datetime64[D]")),
            "revenue": pa.array(draw.integers(0, 10**5, n)).cast(pa.decimal128(21, 2)).cast(pa.decimal128(18, 2)),
            **columns,
        }
    )


def test_tables_depend_neither_on_row_order_nor_on_threads() -> None:
    events = many()
    shuffled = events.take(pa.array(np.random.default_rng(1).permutation(len(events))))
    one, two = Engine(threads=1), Engine(threads=2)
    assert computed(events, engine=one) == computed(shuffled, engine=two)


def test_expressions_are_of_the_engine_that_holds_the_events() -> None:
    assert isinstance(activity_daily(ENGINE.from_arrow(arrow([])), TYPES, AS_OF), ibis.Table)
