"""Pictures of what becomes of things: shoppers on their way to an order, operations on their way to a destination, records on their way to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.report.canvas import BLUE, GREEN, GREY, ORANGE, RED, blank, canvas, counts_on, percent, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGES = {"viewed": "product_viewed", "added": "product_added", "checkout": "checkout_started", "ordered": "order_completed"}
MOST_RECORDS = 8
"""From here on persons are counted together."""


def shopping_stages(activity: ir.Table) -> ir.Table:
    """Persons who got at least that far, for `shopping_funnel`.

    Args:
        activity: profiles/activity_daily.

    Returns:
        One row: viewed, added, checkout, ordered (persons who did this or a later step).
    """
    days: Any = activity
    done = days.group_by("person_id").aggregate(**{stage: days[f"n_{event}"].sum() > 0 for stage, event in STAGES.items()})
    steps = list(STAGES)
    reached = {stage: ibis.or_(*(done[later] for later in steps[i:])) for i, stage in enumerate(steps)}
    return done.aggregate(**{stage: done.count(where=got) for stage, got in reached.items()})


@picture
def shopping_funnel(stages: Mapping[str, int]) -> Figure:
    """How many persons get how far on the way to an order.

    Args:
        stages: persons who viewed, added, checkout, ordered.
    """
    names = {"viewed": "Viewed a product", "added": "Filled a cart", "checkout": "Started checkout", "ordered": "Ordered"}
    counts = [stages[stage] for stage in names]
    if not counts[0]:
        return blank("Way to an order", "Nobody has viewed a product or come further.")
    figure, axes = canvas(2.6, f"{percent(counts[-1] / counts[0])} of those who view a product order")
    axes.barh(range(4), counts, 0.68, color=[GREY, GREY, GREY, GREEN])
    for i, count in enumerate(counts):
        before = f"   {count / counts[i - 1]:.0%} of the step before" if i and counts[i - 1] else ""
        axes.annotate(f"{count:,}{before}", (count, i), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(4), list(names.values()))
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.2)
    axes.set_xlabel("Persons who came at least this far")
    counts_on(axes.xaxis)
    axes.xaxis.grid(visible=True)
    return figure


@picture
def delivery_funnel(counts: Mapping[str, int]) -> Figure:
    """What became of the operations of a delivery.

    Args:
        counts: operations planned, and of them blocked (not to be sent), acked, rejected, pending.
    """
    shades = {"planned": GREY, "blocked": ORANGE, "acked": GREEN, "rejected": RED, "pending": BLUE}
    names = {"planned": "Planned", "blocked": "Blocked before sending", "acked": "Accepted", "rejected": "Rejected", "pending": "Pending"}
    planned = counts["planned"]
    if not planned:
        return blank("Delivery", "Nothing to deliver: the destination holds what it should.")
    sent = planned - counts["blocked"]
    figure, axes = canvas(
        2.9, f"{percent(counts['acked'] / sent)} of {sent:,} operations to send are accepted" if sent else "Everything was blocked before sending"
    )
    start = {
        "planned": 0,
        "blocked": planned - counts["blocked"],
        "acked": 0,
        "rejected": counts["acked"],
        "pending": counts["acked"] + counts["rejected"],
    }
    for i, stage in enumerate(names):
        axes.barh(i, counts[stage], 0.68, left=start[stage], color=shades[stage])
        left = start[stage] + counts[stage] > 0.8 * planned and counts[stage] > 0 and start[stage] > 0.2 * planned
        at = (start[stage], i) if left else (start[stage] + counts[stage] if counts[stage] else 0, i)
        text = f"{counts[stage]:,}" if stage == "planned" else f"{counts[stage]:,}  {percent(counts[stage] / planned)}"
        axes.annotate(text, at, xytext=(-5 if left else 5, 0), textcoords="offset points", va="center", ha="right" if left else "left", fontsize=9)
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    axes.set_xlim(0)
    axes.set_xlabel("Operations (and share of those planned)")
    counts_on(axes.xaxis)
    axes.xaxis.grid(visible=True)
    return figure


def record_counts(persons: ir.Table) -> ir.Table:
    """Persons per number of source records, for `records_per_person`.

    Args:
        persons: identity/persons.

    Returns:
        records (`MOST_RECORDS` stands for that many and more), persons, linked (records of those persons together).
    """
    records: Any = persons.contacts
    return persons.group_by(records=ibis.least(records, MOST_RECORDS)).aggregate(persons=persons.count(), linked=records.sum())


@picture
def records_per_person(counts: pa.Table) -> Figure:
    """How many source records make up one person.

    Args:
        counts: result of `record_counts`.
    """
    rows = sorted(counts.to_pylist(), key=lambda row: row["records"])
    records, persons = sum(row["linked"] for row in rows), sum(row["persons"] for row in rows if row["records"])
    if not records:
        return blank("Records per person", "No source has person records yet.")
    figure, axes = canvas(3.0, f"{records:,} records belong to {persons:,} persons: {records / persons:.2f} each")
    bars = axes.bar(
        [row["records"] for row in rows], [row["persons"] for row in rows], 0.75, color=[BLUE if row["records"] else GREY for row in rows]
    )
    axes.margins(y=0.12)
    axes.bar_label(bars, [f"{row['persons']:,}" for row in rows], padding=2, fontsize=9)
    names = {0: "none\n(events only)", MOST_RECORDS: f"{MOST_RECORDS}\nor more"}
    axes.set_xticks([row["records"] for row in rows], [names.get(row["records"], str(row["records"])) for row in rows])
    axes.set_xlabel("Source records of one person")
    axes.set_ylabel("Persons")
    counts_on(axes.yaxis)
    axes.yaxis.grid(visible=True)
    return figure
