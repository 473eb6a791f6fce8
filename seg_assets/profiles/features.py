"""Features: one row per person from daily activity, plus the two that need single events (favourite category and channel)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from seg_assets.schema.tables import FEATURES

DAY_SECONDS = 86_400
LEADING_CATEGORIES = 3
"""How many categories of a person are named."""


def features(activity: ir.Table, favourites: ir.Table, as_of: datetime) -> ir.Table:
    """`profiles/features`.

    Args:
        activity: `profiles/activity_daily`.
        favourites: what `favourites` returned.
        as_of: instant the table is true for; windows are whole UTC days ending with its day.
    """
    age = ibis.literal(as_of.date()).delta(activity.day, unit="day")
    within = {days: (age >= 0) & (age < days) for days in (7, 30, 90, 365)}
    per_person = activity.group_by("person_id").aggregate(
        first_event_time=activity.first_event_time.min(),
        last_event_time=activity.last_event_time.max(),
        last_order_time=activity.last_order_time.max(),
        active_days_30d=activity.count(where=within[30]),
        active_days_90d=activity.count(where=within[90]),
        **{f"events_{d}d": activity.events.sum(where=within[d]) for d in (7, 30, 90)},
        events_total=activity.events.sum(),
        views_30d=activity.n_product_viewed.sum(where=within[30]),
        adds_30d=activity.n_product_added.sum(where=within[30]),
        **{f"orders_{d}d": activity.orders.sum(where=within[d]) for d in (30, 90, 365)},
        orders_total=activity.orders.sum(),
        **{f"revenue_{d}d": activity.revenue.sum(where=within[d]) for d in (30, 90, 365)},
        revenue_total=activity.revenue.sum(),
        refunds_total=activity.refunds.sum(),
        email_opens_90d=activity.n_email_opened.sum(where=within[90]),
        email_clicks_90d=activity.n_email_clicked.sum(where=within[90]),
    )
    sums = [n for n in per_person.columns if n.startswith(("events_", "views_", "adds_", "orders_", "revenue_", "email_", "refunds_"))]
    whole = per_person.mutate(**{n: per_person[n].fill_null(0) for n in sums})
    joined = whole.left_join(favourites, "person_id").drop("person_id_right")
    revenue = joined.revenue_total.cast("float64")
    return (
        joined.mutate(
            tenure_days=_days(joined.first_event_time, as_of),
            days_since_event=_days(joined.last_event_time, as_of),
            days_since_order=_days(joined.last_order_time, as_of),
            refund_share=(revenue > 0).ifelse(ibis.least(joined.refunds_total.cast("float64") / revenue.nullif(0), 1.0), 0.0),
            avg_order_value=(revenue / joined.orders_total.nullif(0)).round(2),
            categories=joined.categories.fill_null(0),
        )
        .select(*FEATURES.schema.names)
        .cast(dict(FEATURES.schema))
    )


def favourites(events: ir.Table, as_of: datetime) -> ir.Table:
    """Favourite category and channel of each person: most events, ties by name.

    Args:
        events: events with person_id; later than `as_of` are ignored.
        as_of: instant the table is true for.

    Returns:
        person_id, top_category, top_categories, categories (how many distinct ones), top_channel; persons with neither are missing.
    """
    past = events.filter(events.event_time <= as_of)
    # One pass over the events; both favourites come from the small table of combinations.
    counts = past.group_by("person_id", "category", "channel").aggregate(n=past.count())
    counts = counts.filter(counts.category.notnull() | counts.channel.notnull())
    category = _most_frequent(counts, "category").left_join(_leading_categories(counts), "person_id").drop("person_id_right")
    channel = _most_frequent(counts, "channel")
    both = category.outer_join(channel, "person_id")
    return both.select(
        person_id=ibis.coalesce(both.person_id, both.person_id_right),
        top_category=both.top_category,
        top_categories=both.top_categories,
        categories=both.n_category.cast("int64"),
        top_channel=both.top_channel,
    )


def _most_frequent(counts: ir.Table, column: str) -> ir.Table:
    each = counts.filter(counts[column].notnull()).group_by("person_id", column).aggregate(n=ibis._.n.sum())
    # The smallest text that encodes "largest count, then first name" is the favourite: no sort per person.
    rank = (ibis.literal(10**12) - each.n).cast("string") + each[column]
    return each.group_by("person_id").aggregate(**{f"top_{column}": each[column].argmin(rank), f"n_{column}": each.count()})


def _leading_categories(counts: ir.Table) -> ir.Table:
    each = counts.filter(counts.category.notnull()).group_by("person_id", "category").aggregate(n=ibis._.n.sum())
    # Sorted as an array: an ordered aggregate takes four times as long.
    ranked: Any = ibis.struct({"rank": -each.n, "category": each.category}).collect().sort()[:LEADING_CATEGORIES]
    return each.group_by("person_id").aggregate(top_categories=ranked.map(lambda one: one["category"]).join(", "))


def _days(instant: ir.TimestampValue, as_of: datetime) -> ir.FloatingValue:
    seconds = ibis.literal(as_of).epoch_seconds() - instant.epoch_seconds()
    return (seconds.cast("float64") / DAY_SECONDS).round(4)
