"""Instants as int64 microseconds, calendars, and windows as intervals of validity.

A window is a function of an event's time: the event counts at every instant of `[enter, leave)`, and at no other. `(as_of - 7d, as_of]` holds the
event of instant t while t <= as_of < t + 7d. Both verdicts and the instants at which they flip come from this one rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from seg_assets.lake.functions import microseconds
from seg_assets.schema.types import UTC
from seg_assets.segments.ast import (
    Attribute,
    Between,
    Calendar,
    Compare,
    Condition,
    Did,
    Ever,
    Fixed,
    Micros,
    Not,
    OneOf,
    Rolling,
    Test,
    Then,
    Window,
    leaves,
)
from seg_assets.segments.catalog import Catalog

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FOREVER: Micros = 2**62
"""Later than every instant; its negative is earlier than every instant."""

Instant = ir.IntegerValue | int
Frame = tuple[Instant, ...]
"""Boundaries of a calendar window around as_of: start of the last unit, of this one, of the next, and of the one after it. Of dates: start, end."""


def to_micros(instant: dt.datetime) -> Micros:
    return (instant - EPOCH) // dt.timedelta(microseconds=1)


def micros(value: ir.TimestampValue) -> ir.IntegerValue:
    """A timestamp column as microseconds since the epoch, exactly."""
    return microseconds(value.cast(UTC))


def timestamp(value: ir.IntegerValue) -> ir.TimestampValue:
    """Microseconds as a timestamp; `FOREVER` as null."""
    finite = (value < FOREVER).ifelse(value, ibis.null("int64"))
    return (ibis.literal(EPOCH, type=UTC) + finite.as_interval("us")).cast(UTC)


def start_of(day: dt.date, zone: ZoneInfo) -> Micros:
    """The first instant of a local day."""
    return to_micros(dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC))


def frame_of(window: Calendar | Fixed, as_of: dt.datetime, zone: ZoneInfo) -> tuple[Micros, ...]:
    """The window's boundaries in one time zone; see `Frame`. Days, weeks, months and quarters follow daylight saving; an hour has 3,600 s."""
    if isinstance(window, Fixed):
        if isinstance(window.start, dt.datetime) and isinstance(window.end, dt.datetime):
            return to_micros(window.start), to_micros(window.end)
        return start_of(window.start, zone), start_of(window.end + dt.timedelta(days=1), zone)
    local = as_of.astimezone(zone)
    if window.unit == "hour":
        this = to_micros(local.replace(minute=0, second=0, microsecond=0).astimezone(dt.UTC))
        return tuple(this + n * 3_600_000_000 for n in (-1, 0, 1, 2))
    today = local.date()
    if window.unit in {"day", "week"}:
        length = 1 if window.unit == "day" else 7
        first = today - dt.timedelta(days=today.weekday() if length == 7 else 0)
        days = [first + dt.timedelta(days=n * length) for n in (-1, 0, 1, 2)]
    else:
        length = 1 if window.unit == "month" else 3
        first_month = today.year * 12 + (today.month - 1) // length * length
        days = [dt.date((m := first_month + n * length) // 12, m % 12 + 1, 1) for n in (-1, 0, 1, 2)]
    return tuple(start_of(day, zone) for day in days)


def needs_zone(window: Window) -> bool:
    """Whether the window means days of some calendar."""
    return isinstance(window, Calendar) or (isinstance(window, Fixed) and not isinstance(window.start, dt.datetime))


def dates_in(condition: Condition, catalog: Catalog) -> set[dt.date]:
    """Plain dates that timestamps are compared with: each means a whole day of the segment's calendar."""

    def of(test: Test) -> Iterable[object]:
        if isinstance(test, Compare):
            return (test.bound,)
        if isinstance(test, Between):
            return test.low, test.high
        if isinstance(test, OneOf):
            return test.values
        return of(test.test) if isinstance(test, Not) else ()

    tests: list[Test] = []
    for leaf in leaves(condition):
        if isinstance(leaf, Attribute) and catalog.attributes[leaf.name].type == "timestamp":
            tests.append(leaf.test)
        parts = (leaf,) if isinstance(leaf, Did) else (e for s in leaf.steps for e in (s, *s.absences)) if isinstance(leaf, Then) else ()
        tests += [test for part in parts for name, test in part.where if catalog.events[part.event][name].type == "timestamp"]
    return {b for test in tests for b in of(test) if isinstance(b, dt.date) and not isinstance(b, dt.datetime)}


@dataclass(frozen=True)
class Span:
    """A window at work: the validity of an event of time `t` (microseconds), for an evaluation at `as_of`.

    Args:
        window: what the definition says.
        as_of: microseconds; events are never later.
        frame: the window's boundaries where it has some: numbers, or columns of the table `t` is from.
    """

    window: Window
    as_of: Micros
    frame: Frame = ()

    @property
    def only_loses(self) -> bool:
        """Whether every event is in the window from its own time on, so that without new events a count can only fall."""
        later = isinstance(self.window, Rolling) and self.window.newer
        return not later and self.window not in {Calendar("last", u) for u in ("hour", "day", "week", "month", "quarter")}

    @property
    def first(self) -> Instant | None:
        """The earliest time an event can have that counts at as_of or at any later instant. None: any."""
        match self.window:
            case Rolling(older, _):
                return self.as_of - older + 1
            case Calendar(which, _):
                return self.frame[which == "this"]
            case Fixed():
                return self.frame[0]
            case Ever():
                return None

    def enter(self, t: ir.IntegerValue) -> ir.IntegerValue:
        """The first instant the event counts at; meaningless where `leave` is not later."""
        if isinstance(self.window, Rolling) and self.window.newer:
            return t + self.window.newer
        if isinstance(self.window, Calendar) and self.window.which == "last":
            _, this, following, _ = self.frame
            return ibis.ifelse(t < this, this, following)
        return t

    def leave(self, t: ir.IntegerValue) -> ir.IntegerValue:
        """The first instant after `enter` the event does not count at; `-FOREVER` where it never counts."""
        never, for_good = ibis.literal(-FOREVER, "int64"), ibis.literal(FOREVER, "int64")
        match self.window:
            case Rolling(older, _):
                return t + older
            case Calendar("this", _):
                _, this, following, _ = self.frame
                return ibis.ifelse(t >= this, following, never)
            case Calendar(_, _):
                last, this, following, after = self.frame
                return ibis.cases((t >= this, after), (t >= last, following), else_=never)
            case Fixed():
                start, end = self.frame
                return ibis.ifelse((t >= start) & (t < end), for_good, never)
            case Ever():
                return for_good

    def holds(self, t: ir.IntegerValue) -> ir.BooleanValue:
        """Whether the event counts at as_of."""
        match self.window:
            case Ever():
                return ibis.literal(True)
            case Rolling(older, newer):
                inside = t > self.as_of - older
                return inside & (t <= self.as_of - newer) if newer else inside
            case Calendar("this", _):
                return t >= self.frame[1]
            case Calendar(_, _):
                return (t >= self.frame[0]) & (t < self.frame[1])
            case Fixed():
                return (t >= self.frame[0]) & (t < self.frame[1])

    def matters(self, t: ir.IntegerValue) -> ir.BooleanValue:
        """Whether the event counts at as_of or at any later instant."""
        return self.leave(t) > self.as_of


def zones(names: Iterable[str | None]) -> Mapping[str, ZoneInfo]:
    """The known time zones among `names`."""
    found = {}
    for name in sorted({n for n in names if n}):
        try:
            found[name] = ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            continue
    return found
