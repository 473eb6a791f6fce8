"""What each person did on each day. Features, scores and windows are computed from this, not from events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir

from seg_assets.schema.tables import ACTIVITY_DAILY
from seg_assets.schema.taxonomy import Taxonomy
from seg_assets.schema.types import Column, Table


def activity_table(taxonomy: Taxonomy) -> Table:
    """`profiles/activity_daily` with one count column per event type of the project."""
    counts = (Column(f"n_{name}", "int64", f"Events {name}.", required=True, minimum=0) for name in taxonomy.events)
    return ACTIVITY_DAILY.extended(*counts)


def activity_daily(events: ir.Table, event_types: Sequence[str], as_of: datetime) -> ir.Table:
    """Person by day.

    Args:
        events: events with person_id; later than `as_of` are ignored.
        event_types: the taxonomy's event types.
        as_of: instant the table is true for.

    Returns:
        Columns of `activity_table`, one row per person and UTC day with an event.
    """
    past = events.filter(events.event_time <= as_of)
    ordered = past.event_type == "order_completed"
    zero = ibis.literal(0, "decimal(18, 2)")
    daily = past.group_by("person_id", "day").aggregate(
        events=past.count(),
        revenue=past.revenue.sum(where=ordered).fill_null(zero),
        refunds=past.revenue.sum(where=past.event_type == "order_refunded").fill_null(zero),
        first_event_time=past.event_time.min(),
        last_event_time=past.event_time.max(),
        last_order_time=past.event_time.max(where=ordered),
        **{f"n_{name}": past.count(where=past.event_type == name) for name in event_types},
    )
    joined = daily.left_join(_orders(past.filter(ordered)), ["person_id", "day"]).drop("person_id_right", "day_right")
    columns = [*daily.columns]
    columns.insert(columns.index("events") + 1, "orders")
    return joined.mutate(orders=joined.orders.fill_null(0)).select(columns)


def _orders(lines: ir.Table) -> ir.Table:
    """Orders per person and day. Lines of one order share its id, and it counts on the day of the first; a line without an id is an order."""
    order = ibis.coalesce(lines.order_id, lines.event_id)
    placed = lines.group_by("person_id", order=order).aggregate(day=lines.day.min())
    return placed.group_by("person_id", "day").aggregate(orders=placed.count())
