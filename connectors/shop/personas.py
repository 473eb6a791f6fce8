"""The planted personas: what kinds of people shop here, as parameters. Nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

CATEGORIES = ("fashion", "beauty", "home", "electronics", "sports", "toys", "books", "garden", "food")
TASTES = ("email", "app", "web", "store", "sms", "social")
"""Channels a person may prefer."""
AREAS = ("urban", "suburban", "rural")
NOISE_SHARE = 0.05
"""Persons without a persona: each of their habits is borrowed from a persona drawn by itself."""


@dataclass(frozen=True)
class Persona:
    """Parameters of one kind of person. Rates are per year while active.

    Args:
        share: share of all persons.
        buyers: share that ever buys.
        orders: mean order rate; shape of its gamma spread.
        basket: median order value in EUR.
        visits: mean visits besides those that end in an order.
        views: median product views of such a visit.
        carts: share of such visits that fill a cart.
        mobile: share of visits on a phone.
        opens: share of marketing e-mails opened, when fresh.
        hour: peak hour (UTC) and spread in hours.
        searches, videos: mean number per visit.
        age: mean and standard deviation.
        likes: weights of `CATEGORIES`.
        tastes: weights of `TASTES`.
        areas: weights of `AREAS`.
        christmas: whether orders pile up before Christmas.
    """

    name: str
    share: float
    buyers: float
    orders: float
    shape: float
    basket: float
    visits: float
    views: float
    carts: float
    mobile: float
    opens: float
    hour: tuple[float, float]
    searches: float
    videos: float
    age: tuple[float, float]
    likes: tuple[float, ...]
    tastes: tuple[float, ...]
    areas: tuple[float, ...]
    christmas: bool = False


PERSONAS = (
    Persona("bargain_hunter", 0.20, 0.23, 3.9, 0.44, 38, 3.3, 4.0, 0.22, 0.75, 0.42, (20, 2.5), 0.8, 0.05, (38, 10),
            (6, 3, 2, 1, 1, 1, 1, 0, 1), (5, 2, 2, 0, 1, 1), (4, 4, 2)),
    Persona("family_planner", 0.16, 0.37, 7.2, 0.55, 78, 2.2, 2.5, 0.12, 0.45, 0.34, (20.5, 1.5), 0.3, 0.05, (41, 6),
            (1, 1, 4, 1, 1, 6, 1, 1, 2), (4, 1, 4, 1, 0, 0), (2, 6, 2)),
    Persona("premium_minimalist", 0.11, 0.28, 2.9, 0.44, 190, 1.3, 1.5, 0.06, 0.25, 0.22, (12.5, 1.5), 0.2, 0.05, (49, 9),
            (3, 1, 7, 2, 0, 0, 1, 1, 0), (2, 0, 6, 1, 0, 0), (6, 3, 1)),
    Persona("mobile_trendsetter", 0.15, 0.27, 4.4, 0.5, 46, 3.7, 3.0, 0.16, 0.93, 0.12, (21.5, 2.0), 0.3, 0.90, (27, 5),
            (6, 5, 0, 1, 1, 0, 0, 0, 0), (0, 5, 1, 0, 1, 4), (8, 2, 1)),
    Persona("researcher", 0.12, 0.17, 2.3, 0.44, 150, 4.1, 6.5, 0.08, 0.20, 0.20, (15, 3.0), 1.8, 0.25, (36, 9),
            (0, 0, 1, 8, 2, 0, 1, 0, 0), (1, 0, 8, 0, 0, 1), (5, 4, 2)),
    Persona("store_regular", 0.09, 0.47, 5.2, 0.55, 55, 0.7, 1.5, 0.05, 0.30, 0.36, (10, 1.5), 0.1, 0.02, (61, 9),
            (1, 1, 2, 0, 0, 0, 2, 4, 5), (2, 0, 0, 7, 0, 0), (1, 3, 6)),
    Persona("gift_giver", 0.08, 0.41, 1.8, 0.66, 64, 1.2, 2.5, 0.14, 0.50, 0.15, (18, 2.5), 0.5, 0.05, (45, 12),
            (1, 2, 1, 1, 1, 4, 5, 0, 1), (1, 1, 6, 1, 1, 1), (4, 4, 3), True),
    Persona("outdoor_athlete", 0.04, 0.31, 4.7, 0.5, 96, 2.5, 3.0, 0.12, 0.60, 0.24, (6.5, 1.5), 0.6, 0.45, (33, 8),
            (1, 0, 0, 1, 8, 0, 0, 2, 1), (1, 4, 3, 0, 1, 1), (3, 3, 4)),
)  # fmt: skip
"""Shares add up to 1 - `NOISE_SHARE`."""

NAMES = (*(p.name for p in PERSONAS), "noise")


@cache
def column(name: str) -> np.ndarray:
    """One parameter of all personas, as an array in the order of `PERSONAS`."""
    return np.array([getattr(p, name) for p in PERSONAS])


@cache
def steps(name: str) -> np.ndarray:
    """Cumulative shares of a weight parameter (likes, tastes, areas), one row per persona."""
    weights = column(name).astype(np.float64)
    return np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)


@cache
def habit_hours() -> np.ndarray:
    """Cumulative share of activity by hour of the day, one row of 24 per persona."""
    hours = np.arange(24)
    peak, spread = column("hour").T[:, :, None]
    distance = np.abs((hours + 0.5 - peak + 12) % 24 - 12)
    weight = np.exp(-((distance / spread) ** 2) / 2) + 0.03 * (hours >= 6)
    return np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)


def pick(rng: np.random.Generator, cumulative: np.ndarray, row: np.ndarray) -> np.ndarray:
    """One draw per row index from that row of cumulative shares; uint8."""
    width = cumulative.shape[1]
    flat = (cumulative + np.arange(len(cumulative))[:, None]).ravel()
    drawn = np.searchsorted(flat, row + rng.random(len(row)), side="right") - width * row.astype(np.int64)
    return np.clip(drawn, 0, width - 1).astype(np.uint8)
