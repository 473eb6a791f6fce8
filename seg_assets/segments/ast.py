"""What a segment definition says, as frozen dataclasses. No YAML here (`parse.py`), no SQL (`compile.py`), no English (`words.py`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from seg_assets.errors import Place

Micros = int
"""A length of time, or an instant since 1970-01-01T00:00Z, in microseconds."""

Scalar = str | int | Decimal | bool | dt.datetime | dt.date
"""A literal in a test. Numbers are exact; timestamps are aware."""

Unit = Literal["hour", "day", "week", "month", "quarter"]
Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Cut:
    """A bound resolved from the population at each refresh: the value at a rank of `percent` % of the persons who have one.

    Args:
        percent: 0 < percent <= 100.
        top: count ranks from the highest value, else from the lowest.
    """

    percent: Decimal
    top: bool


@dataclass(frozen=True)
class Compare:
    op: Operator
    bound: Scalar | Cut


@dataclass(frozen=True)
class Between:
    """Both ends included."""

    low: Scalar | Cut
    high: Scalar | Cut


@dataclass(frozen=True)
class OneOf:
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Missing:
    pass


@dataclass(frozen=True)
class Present:
    pass


@dataclass(frozen=True)
class Not:
    """Present, and not `test`."""

    test: Test


Test = Compare | Between | OneOf | Missing | Present | Not


@dataclass(frozen=True)
class Count:
    """How many events: `low` to `high`, both included; `high` None is unbounded."""

    low: int
    high: int | None


@dataclass(frozen=True)
class Rolling:
    """`(as_of - older, as_of - newer]`."""

    older: Micros
    newer: Micros = 0


@dataclass(frozen=True)
class Calendar:
    """`last`: the whole unit before the one as_of is in. `this`: from the start of the unit up to as_of. Weeks start on Monday."""

    which: Literal["last", "this"]
    unit: Unit


@dataclass(frozen=True)
class Fixed:
    """`[start, end)`. Dates are whole days of the segment's calendar, the last one included."""

    start: dt.date | dt.datetime
    end: dt.date | dt.datetime


@dataclass(frozen=True)
class Ever:
    pass


Window = Rolling | Calendar | Fixed | Ever

Where = tuple[tuple[str, Test], ...]
"""Tests on properties of an event, all of which must hold; sorted by property."""


@dataclass(frozen=True)
class Attribute:
    """A test on a person's attribute, feature or score."""

    name: str
    test: Test


@dataclass(frozen=True)
class Did:
    """A count of events. `never` is a count of zero."""

    event: str
    count: Count
    where: Where
    window: Window
    same: str | None


@dataclass(frozen=True)
class Absence:
    """No such event after the step before it. `lasting`: none up to as_of, and `span` has passed; else: none within `span`, and `span` has passed."""

    event: str
    where: Where
    span: Micros
    lasting: bool


@dataclass(frozen=True)
class Step:
    """One event of a chain, at most `within` after the step before it, followed by none of `absences`."""

    event: str
    where: Where
    within: Micros | None
    absences: tuple[Absence, ...]


@dataclass(frozen=True)
class Then:
    """A chain of events in order: strictly later each time, or (`ties`) later in the order (event_time, event_id)."""

    steps: tuple[Step, ...]
    within: Micros | None
    on: str | None
    window: Window
    ties: bool


@dataclass(frozen=True)
class InSegment:
    segment: str


@dataclass(frozen=True)
class All:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Any:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class NoneOf:
    parts: tuple[Condition, ...]


Group = All | Any | NoneOf
Condition = All | Any | NoneOf | Attribute | Did | Then | InSegment


@dataclass(frozen=True)
class MinSize:
    """Below it a segment is flagged: a number of persons, or a share of all persons."""

    count: int | None = None
    share: Decimal | None = None


@dataclass(frozen=True)
class FixtureEvent:
    """`at` counts from the fixture's start, or is an instant."""

    at: Micros | dt.datetime
    event: str
    properties: tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Fixture:
    """One line of `expect:`: a person, what they did, and whether they must be a member at `at`."""

    events: tuple[FixtureEvent, ...]
    at: Micros | dt.datetime
    member: bool
    person: tuple[tuple[str, Scalar], ...] = ()
    denied: tuple[str, ...] = ()
    cuts: tuple[tuple[str, Scalar], ...] = ()
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True)
class Segment:
    """One definition.

    Args:
        calendar: `profile`, an IANA zone, or None where no calendar window is used.
        needs: consent purposes every member must have granted.
        holdout: share of members kept back from activation, 0..1.
    """

    id: str
    title: str
    where: Condition
    description: str = ""
    calendar: str | None = None
    needs: tuple[str, ...] = ()
    min_size: MinSize = MinSize()
    holdout: Decimal = Decimal(0)
    expect: tuple[Fixture, ...] = field(default=(), compare=False)
    place: Place = field(default=Place(), compare=False)


def leaves(condition: Condition) -> Iterator[Attribute | Did | Then | InSegment]:
    """The atoms of a condition, as written."""
    if isinstance(condition, All | Any | NoneOf):
        for part in condition.parts:
            yield from leaves(part)
    else:
        yield condition


def looked_at(leaf: Did | Then) -> dict[str, set[str]]:
    """The types of events a clause looks at, each with the properties it reads of them."""
    if isinstance(leaf, Did):
        return {leaf.event: {name for name, _ in leaf.where} | ({leaf.same} if leaf.same else set())}
    found: dict[str, set[str]] = {}
    for part in (part for step in leaf.steps for part in (step, *step.absences)):
        found.setdefault(part.event, {leaf.on} if leaf.on else set()).update(name for name, _ in part.where)
    return found


def windows(condition: Condition) -> Iterator[Window]:
    """The windows of a condition's atoms, as written."""
    return (leaf.window for leaf in leaves(condition) if isinstance(leaf, Did | Then))


def nested(segment: Segment) -> tuple[str, ...]:
    """Ids of the segments this one reads, sorted."""
    return tuple(sorted({leaf.segment for leaf in leaves(segment.where) if isinstance(leaf, InSegment)}))


def cuts(condition: Condition) -> Iterator[tuple[str, Cut]]:
    """Every data-driven bound with its attribute."""

    def of(test: Test) -> Iterator[Cut]:
        bounds = {Compare: lambda t: (t.bound,), Between: lambda t: (t.low, t.high)}.get(type(test), lambda _: ())(test)
        yield from (b for b in bounds if isinstance(b, Cut))
        if isinstance(test, Not):
            yield from of(test.test)

    for leaf in leaves(condition):
        if isinstance(leaf, Attribute):
            yield from ((leaf.name, cut) for cut in of(leaf.test))
