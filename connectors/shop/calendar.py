"""Time in the shop: months (the slices), season, hours of the day, the campaign plan. Instants are int64 microseconds since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from connectors.shop.config import ShopConfig
from connectors.shop.personas import habit_hours, pick

Instants = NDArray[np.int64]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEVER = np.int64(2**62)
"""Later than everything."""

LONGEST_VISIT = 3 * HOUR
"""No visit starts this close to the end of a month, so that none crosses into the next slice."""

MONTH_INDEX = (0.80, 0.70, 0.88, 0.85, 0.95, 0.93, 0.90, 0.85, 1.10, 1.25, 1.80, 1.30)
"""Orders by month of the year, mean about 1; February .7 and November 1.8 as in UCI Online Retail."""
WEEKDAY_INDEX = (1.05, 1.00, 1.00, 1.12, 0.98, 0.82, 1.03)
"""Orders by weekday, Monday first; Thursday strongest as in UCI Online Retail, weekends open as in a consumer shop."""

EXPERIMENT = "spring-lookbook-test"
"""The randomised campaign."""
REGULAR_SENDS = (4, 9)
"""Days of the month of the regular campaigns: five days apart, so that fatigue shows."""
EXPERIMENT_SENDS = (14,)
"""Day of the experiment in its month, with no other campaign for two weeks on either side."""


@dataclass(frozen=True)
class Month:
    """A slice of the event streams: the part of a calendar month inside the period. `end` is exclusive."""

    index: int
    label: str
    start: int
    end: int


def instant(day: date) -> int:
    """Midnight UTC of a day."""
    return (day - date(1970, 1, 1)).days * DAY


@lru_cache(maxsize=8)
def months(config: ShopConfig) -> tuple[Month, ...]:
    first, beyond = instant(config.start), instant(config.end) + DAY
    found: list[Month] = []
    day = config.start.replace(day=1)
    while day <= config.end:
        after = (day + timedelta(days=32)).replace(day=1)
        found.append(Month(len(found), f"{day:%Y-%m}", max(instant(day), first), min(instant(after), beyond)))
        day = after
    return tuple(found)


def position(config: ShopConfig, as_of: datetime) -> int:
    """The first instant not delivered any more when the shop is read at `as_of`; within the period."""
    delta = as_of.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    moment = delta // timedelta(microseconds=1) + 1
    return min(max(moment, instant(config.start)), instant(config.end) + DAY)


class Clock:
    """Turns even time ("average days") into time with seasons, and back.

    Args:
        config: gives the period.
        power: how strongly the month index is felt; 1 for most people, more for those who shop for Christmas.
    """

    def __init__(self, config: ShopConfig, power: float) -> None:
        first, days = instant(config.start), (config.end - config.start).days + 1
        dates = [config.start + timedelta(days=i) for i in range(days)]
        weight = [MONTH_INDEX[d.month - 1] ** power * WEEKDAY_INDEX[d.weekday()] for d in dates]
        self._edges = first + DAY * np.arange(days + 1, dtype=np.float64)
        self._even = np.concatenate([[0.0], np.cumsum(weight)])

    def even(self, instants: Instants | int) -> NDArray[np.float64]:
        return np.asarray(np.interp(instants, self._edges, self._even))

    def instants(self, even: NDArray[np.float64]) -> Instants:
        return np.asarray(np.interp(even, self._even, self._edges)).astype(np.int64)


@lru_cache(maxsize=8)
def clocks(config: ShopConfig) -> tuple[Clock, Clock]:
    """The ordinary clock and the one of Christmas shoppers."""
    return Clock(config, 1.0), Clock(config, 3.0)


def at_typical_hours(rng: np.random.Generator, instants: Instants, persona: NDArray[np.uint8]) -> Instants:
    """The same days, at hours drawn as is usual for each row's persona, clear of the end of the month."""
    hour = pick(rng, habit_hours(), persona).astype(np.int64)
    moved = instants // DAY * DAY + hour * HOUR + rng.integers(0, HOUR, len(instants))
    return clear_of_month_end(moved)


def clear_of_month_end(instants: Instants) -> Instants:
    """Instants in the last hours of a calendar month moved back, so that a visit ends in the month it starts in."""
    tomorrow = (instants + LONGEST_VISIT).view("datetime64[us]").astype("datetime64[M]")
    today = instants.view("datetime64[us]").astype("datetime64[M]")
    return np.where(tomorrow != today, instants - LONGEST_VISIT, instants)


@dataclass(frozen=True)
class Campaign:
    """One e-mail campaign; `theme` is a category index, -1 for the experiment."""

    id: str
    at: int
    theme: int


@lru_cache(maxsize=8)
def campaigns(config: ShopConfig, themes: int) -> tuple[Campaign, ...]:
    """Every campaign of the period by time: two a month, and the experiment alone for two weeks on either side."""
    plan: list[Campaign] = []
    for month, days in _send_days(config).items():
        for nth, day in enumerate(days):
            at = _morning(month, day)
            if days is EXPERIMENT_SENDS:
                plan.append(Campaign(EXPERIMENT, at, -1))
            elif month.start <= at < month.end:
                plan.append(Campaign(f"news-{month.label}-{nth + 1}", at, (month.index * 2 + nth) % themes))
    return tuple(plan)


def _send_days(config: ShopConfig) -> dict[Month, tuple[int, ...]]:
    """Days with campaigns by month; the experiment has the month 70% into the period that holds its day, if one does."""
    spans = months(config)
    fitting = [m for m in spans if m.start <= _morning(m, EXPERIMENT_SENDS[0]) < m.end - 14 * DAY] or [None]
    chosen = fitting[min(round(0.7 * len(fitting)), len(fitting) - 1)]
    return {m: EXPERIMENT_SENDS if m is chosen else REGULAR_SENDS for m in spans}


def _morning(month: Month, day: int) -> int:
    """Nine o'clock on a day of the month."""
    year, number = (int(part) for part in month.label.split("-"))
    return instant(date(year, number, day)) + 9 * HOUR


def delays(rng: np.random.Generator, rows: int) -> Instants:
    """How late rows arrive: 90% within the hour (most within seconds), 9% within two days, 1% within fourteen."""
    u = rng.random(rows, dtype=np.float32)
    waits = rng.standard_exponential(rows, dtype=np.float32)
    delay = np.minimum(waits * waits * waits * np.float32(5 * SECOND), np.float32(HOUR - SECOND)).astype(np.int64)
    late = np.flatnonzero(u >= 0.90)
    share = u[late].astype(np.float64)
    delay[late] = np.where(share < 0.99, HOUR + (share - 0.90) / 0.09 * (2 * DAY - HOUR), 2 * DAY + (share - 0.99) / 0.01 * 12 * DAY).astype(np.int64)
    return delay
