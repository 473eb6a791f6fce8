"""Engagement: the time-decayed sum of weighted events, its percentile and its label. RFM is in `rfm.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add
from typing import Any

import ibis
import ibis.expr.types as ir

from seg_assets.errors import ProjectError
from seg_assets.scoring.ranks import midrank_share

HIGHLY, MODERATELY, LURKER = "Highly Engaged", "Moderately Engaged", "Lurker"
ENGAGEMENT_LABELS = (HIGHLY, MODERATELY, LURKER)

MICRO = 1_000_000
"""Points are summed as whole millionths: integer sums do not depend on row order."""


@dataclass(frozen=True)
class ShareLabels:
    """Labels by position among all scored persons, ties at their middle rank. Persons with 0 points are lurkers wherever they stand.

    Args:
        highly: the top share, 0..1: Highly Engaged.
        moderately: the share below it, 0..1: Moderately Engaged.
    """

    highly: float = 0.2
    moderately: float = 0.4

    def __post_init__(self) -> None:
        if not (0 <= self.highly <= 1 and 0 <= self.moderately <= 1 and self.highly + self.moderately <= 1):
            raise ProjectError("the shares of the engagement labels must lie between 0 and 1 and not exceed 1 together")


@dataclass(frozen=True)
class PointLabels:
    """Labels by fixed numbers of points. Persons with 0 points are lurkers.

    Args:
        highly: points from which on a person is Highly Engaged.
        moderately: points from which on a person is Moderately Engaged.
    """

    highly: float
    moderately: float

    def __post_init__(self) -> None:
        if not 0 <= self.moderately <= self.highly:
            raise ProjectError("the points for Moderately Engaged must not be negative, nor above those for Highly Engaged")


Labels = ShareLabels | PointLabels


def engagement(
    activity: ir.Table,
    persons: ir.Table,
    *,
    weights: Mapping[str, float],
    half_life_days: float,
    labels: Labels,
    as_of: datetime,
) -> ir.Table:
    """Time-decayed sum of weighted events per person: sum over days of sum(n * weight) * 0.5 ** (age / half_life_days).

    A day's events share one age: the time from the day's last event to `as_of`, in days of 86,400 s. Each day's points are rounded to
    millionths before they are summed. Where negative weights bring a sum below 0, the score is 0.

    Args:
        activity: profiles/activity_daily, rolled up as of `as_of`; counts in the columns `n_<event type>`. Days that begin after `as_of` are left out.
        persons: column person_id; each person gets a row, those without events with 0 points.
        weights: points per event type; types not named give no points.
        half_life_days: age at which points are worth half, in days.
        labels: who gets which label.
        as_of: instant the score is true for (aware).

    Returns:
        scores/engagement: person_id, engagement (points), engagement_percentile (share of persons with less, ties counting half), engagement_label.

    Raises:
        ProjectError: a weight names an unknown event type, or the half-life is not positive.
    """
    points = _points(activity, weights, half_life_days, as_of)
    everyone = persons.select("person_id").distinct().left_join(points, "person_id")
    micro: Any = ibis.greatest(ibis.coalesce(points.micro, 0), 0)
    scores = everyone.select("person_id", engagement=micro / MICRO)
    ranked: Any = scores.mutate(engagement_percentile=midrank_share(scores.engagement))
    highly, moderately = _reaches(ranked, labels)
    active = ranked.engagement > 0
    return ranked.mutate(engagement_label=ibis.cases((active & highly, HIGHLY), (active & moderately, MODERATELY), else_=LURKER))


def thresholds(scores: ir.Table) -> ir.Table:
    """The points from which each label holds, read off scored persons; for metadata and pictures.

    Args:
        scores: scores/engagement.

    Returns:
        One row: highly, moderately (points, inclusive). Null where nobody has the label.
    """
    points: Any = scores.engagement
    label: Any = scores.engagement_label
    return scores.aggregate(highly=points.min(where=label == HIGHLY), moderately=points.min(where=label == MODERATELY))


def _reaches(ranked: Any, labels: Labels) -> tuple[Any, Any]:
    if isinstance(labels, PointLabels):
        return ranked.engagement >= labels.highly, ranked.engagement >= labels.moderately
    below_highly = 1 - labels.highly
    return ranked.engagement_percentile >= below_highly, ranked.engagement_percentile >= below_highly - labels.moderately


def _points(activity: Any, weights: Mapping[str, float], half_life_days: float, as_of: datetime) -> ir.Table:
    """person_id, micro: decayed points in whole millionths, of persons with activity."""
    if as_of.tzinfo is None:
        raise ValueError("as_of must be an aware datetime")
    if not half_life_days > 0:
        raise ProjectError(f"the half-life of engagement must be above 0 days, not {half_life_days:g}")
    if unknown := sorted(e for e in weights if f"n_{e}" not in activity.columns):
        raise ProjectError(f"engagement gives points for unknown events: {', '.join(unknown)}", hint="`seg schema` lists the events there are")
    days = activity.filter(activity.first_event_time <= as_of)
    seconds: Any = ibis.greatest(int(as_of.timestamp()) - days.last_event_time.epoch_seconds(), 0)
    age = seconds / 86_400
    gained = reduce(add, (days[f"n_{e}"].fill_null(0) * float(weights[e]) for e in sorted(weights)), ibis.literal(0.0))
    micro = (gained * (ibis.literal(0.5) ** (age / float(half_life_days))) * MICRO).round().cast("int64")
    return days.group_by("person_id").aggregate(micro=micro.sum().cast("int64"))
