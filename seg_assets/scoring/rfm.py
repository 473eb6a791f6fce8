"""RFM: recency, frequency and monetary value of buyers, and the names of the cells they form. Engagement is in `engagement.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import ibis
import ibis.expr.types as ir

from seg_assets.scoring.ranks import part

Window = Literal["30d", "90d", "365d", "total"]
Span = tuple[int, int]
"""Lowest and highest score, both included."""


@dataclass(frozen=True)
class Box:
    """The cells whose three scores lie in these spans."""

    recency: Span
    frequency: Span
    monetary: Span = (1, 5)


@dataclass(frozen=True)
class RfmSegment:
    """A named part of the 5 x 5 x 5 cells.

    Args:
        name: the name the field uses.
        meaning: who is in it, in one sentence.
        boxes: its cells.
    """

    name: str
    meaning: str
    boxes: tuple[Box, ...]


RFM_SEGMENTS: tuple[RfmSegment, ...] = (
    RfmSegment("Champions", "Bought lately, buy often and spend the most.", (Box((4, 5), (4, 5), (4, 5)),)),
    RfmSegment("Loyal", "Buy often and not long ago.", (Box((4, 5), (4, 5), (1, 3)), Box((3, 3), (4, 5)))),
    RfmSegment("Potential Loyalists", "Bought lately, and more than once.", (Box((4, 5), (2, 3)),)),
    RfmSegment("New Customers", "Bought very lately, for the first time or seldom before.", (Box((5, 5), (1, 1)),)),
    RfmSegment("Promising", "Bought lately, but seldom.", (Box((4, 4), (1, 1)),)),
    RfmSegment("Need Attention", "Middling in recency and frequency: may drift away.", (Box((3, 3), (3, 3)),)),
    RfmSegment("About To Sleep", "Below average frequency, and a while ago.", (Box((3, 3), (1, 2)),)),
    RfmSegment("Can't Lose Them", "Bought often and spent the most, but not for a long time.", (Box((1, 2), (4, 5), (5, 5)),)),
    RfmSegment("At Risk", "Bought repeatedly, but long ago.", (Box((1, 2), (4, 5), (1, 4)), Box((1, 2), (3, 3)))),
    RfmSegment("Hibernating", "Bought seldom and long ago.", (Box((2, 2), (1, 2)), Box((1, 1), (1, 2), (3, 5)))),
    RfmSegment("Lost", "Lowest in recency, frequency and spending.", (Box((1, 1), (1, 2), (1, 2)),)),
)
"""Every cell belongs to exactly one of them. Names and meanings after Putler's RFM guide (https://www.putler.com/rfm-analysis/)."""


def rfm(features: ir.Table, window: Window = "365d") -> ir.Table:
    """Scores of everyone with an order in the window: quintiles by midrank, so that equal values get equal scores.

    Frequency is the lower of two: the quintile among all buyers, and one more than the quarter among those who bought more than once (none for one
    order). Where most buyers bought once, the quintile alone would give a single order 2 or 3 and a second one 4, and call them half loyal.

    Args:
        features: profiles/features.
        window: orders and revenue counted: the last 30, 90 or 365 days, or all there is.

    Returns:
        scores/rfm: person_id, recency, frequency, monetary (1 worst to 5 best), rfm_segment. Persons without an order have no row.
    """
    people: Any = features
    orders, revenue = people[f"orders_{window}"], people[f"revenue_{window}"]
    buyers = people.filter(orders > 0, people.days_since_order.notnull()).select("person_id", days="days_since_order", orders=orders, revenue=revenue)
    once = (buyers.orders == 1).sum().over(ibis.window())
    scored = buyers.select(
        "person_id",
        recency=part(-buyers.days, 5),
        frequency=ibis.ifelse(buyers.orders == 1, 1, ibis.least(part(buyers.orders, 5), 1 + part(buyers.orders, 4, skipped=once))),
        monetary=part(buyers.revenue, 5),
    ).cast({"recency": "int64", "frequency": "int64", "monetary": "int64"})
    return scored.mutate(rfm_segment=_segment(scored))


def _segment(scored: Any) -> Any:
    cells = [
        (
            scored.recency.between(*box.recency) & scored.frequency.between(*box.frequency) & scored.monetary.between(*box.monetary),
            segment.name,
        )
        for segment in RFM_SEGMENTS
        for box in segment.boxes
    ]
    return ibis.cases(*cells)
