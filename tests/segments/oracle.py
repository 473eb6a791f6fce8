"""The independent judge of the segment language: a brute-force evaluator in plain Python, for tests only.

Written from the specification alone; it shares no code with `seg_assets.segments`. It loops over persons, over events, over keys and over every chain:
obviously correct rather than fast. It judges valid definitions only; what is an error is the parser's business.

Readings, where the specification leaves a choice:

 1. Population: the rows of `persons`. Events of anybody else count for nobody.
 2. No window, not even `ever` or `A..B`, holds an event later than `as_of`. `in` is optional for `did` and `then` and then means `ever`.
 3. Calendar windows are instants from a unit's first to, exclusively, the next unit's first, in the calendar's zone: `last u` is the unit before the one
    `as_of` is in, `this u` the one it is in. Weeks start on Monday. `A..B` are local days, both included. A midnight that the clock skips is the first
    instant after it; one that happens twice is the first. An hour starts where the local clock shows :00.
 4. `calendar: profile` is the person's `timezone` (IANA name); UTC where it is missing.
 5. Ranges `a..b` include both ends. A scalar is equality, also for `times: 2`. Lists hold scalars.
 6. `{not: x}` on an attribute or property is present and not x, whatever x is; so `{not: missing}` is `present` and `{not: present}` is never true.
 7. `top n%`: of the N persons with a value, those with fewer than n% of N persons strictly above them. Equal values are treated alike; n% of N is exact.
    `bottom n%` is the same with strictly below. `{not: top n%}` is present and not in it.
 8. `same: p` binds p in the nearest enclosing `all` that has, as a direct child, a did with `same: p` that needs an event: there is a non-null value of p
    among the person's events for which all of the `all` holds. Clauses below `any` and `none` of that `all` join, those below a further `all` do not.
    Different properties are bound apart. A clause bound nowhere stands alone: there is a value for which it holds. Clauses that need no event and are bound
    nowhere, and groups that mix bound clauses with others, are not generated.
 9. `on: p` binds p in its own `then` only, in every step, also the `no` steps: events without p take no part.
10. All events of a chain lie in the `then`'s window; what a `no` step looks for need not.
11. `within` on the `then`: from the first to the last event, inclusive. `within` on a step: since the event before it, inclusive; `no` steps between do not
    matter.
12. Ties: `strict` wants a later instant. `allow` also takes the same instant, if the event id is greater: events are sorted by time, then by id.
13. `{no: X, for: d}`: after the previous event at t no X in (t, as_of], and t + d <= as_of. `{no: X, within: d}`: no X in (t, t + d], and t + d <= as_of
    (an interval that is still open may yet see an X). X at the very instant t is never "since". Anywhere in a chain, a `no` step
    says something of the event before it and nothing of the steps after it.
14. `in_segment` is membership in full, `needs` included. `min_size` and `holdout` change what is activated, not who is a member.
15. A need is met by a row with granted true and as_of < expires_at, or no expiry.
16. `device_share.v` is the share of v among the person's events by `as_of` that have a device, as a double; missing where there are none. `channel_share.v`
    likewise. No window.
17. Several keys in one condition are a conjunction.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Rows = Sequence[Row]
GROUPS = ("all", "any", "none")
CALENDAR_UNITS = ("hour", "day", "week", "month", "quarter")


def members(documents: Sequence[Row], persons: Rows, events: Rows, consents: Rows, as_of: datetime) -> dict[str, set[int]]:
    """Who is in which segment.

    Args:
        documents: one mapping per segment, as the YAML says.
        persons: person_id and attributes.
        events: person_id and the columns of unified/events; aware times.
        consents: person_id, purpose, granted, expires_at.
        as_of: aware instant.

    Returns:
        Person ids by segment id.
    """
    return verdict_at(documents, persons, events, consents, as_of, later=as_of)


def verdict_at(documents: Sequence[Row], persons: Rows, events: Rows, consents: Rows, as_of: datetime, *, later: datetime) -> dict[str, set[int]]:
    """Who would be in which segment at `later`, had nothing happened after `as_of`."""
    world = World(documents, persons, events, consents, as_of)
    return {s: {p["person_id"] for p in persons if world.is_member(s, p, later)} for s in world.documents}


def next_flip(documents: Sequence[Row], persons: Rows, events: Rows, consents: Rows, as_of: datetime) -> dict[tuple[str, int], datetime | None]:
    """When each verdict changes first with no new event, by (segment, person_id); None where it never does.

    Every instant at which some atom could change is tried: an event leaving a window or an interval since it ending, a unit of the calendar ending, a
    consent expiring.
    """
    world = World(documents, persons, events, consents, as_of)
    return {(s, p["person_id"]): world.next_flip(s, p) for s in world.documents for p in persons}


class World:
    """What is known at `known`: nothing that happens later exists."""

    def __init__(self, documents: Sequence[Row], persons: Rows, events: Rows, consents: Rows, known: datetime) -> None:
        self.documents = {d["segment"]: d for d in documents}
        self.persons, self.consents, self.known = persons, consents, known
        self.events: dict[int, list[Row]] = {p["person_id"]: [] for p in persons}
        for event in events:
            if event["event_time"] <= known and event["person_id"] in self.events:
                self.events[event["person_id"]].append(event)

    def is_member(self, segment: str, person: Row, as_of: datetime) -> bool:
        document = self.documents[segment]
        verdict = Verdict(self, person, as_of, zone_of(document, person))
        return verdict.holds(document["where"]) and all(self.allows(person, purpose, as_of) for purpose in document.get("needs", []))

    def allows(self, person: Row, purpose: str, as_of: datetime) -> bool:
        return any(
            c["granted"] and (c["expires_at"] is None or as_of < c["expires_at"])
            for c in self.consents
            if c["person_id"] == person["person_id"] and c["purpose"] == purpose
        )

    def attribute(self, person: Row, name: str) -> Any:
        if "_share." not in name:
            return person.get(name)
        column, value = name.split("_share.")
        named = [e[column] for e in self.events[person["person_id"]] if e.get(column) is not None]
        return named.count(value) / len(named) if named else None

    def values(self, attribute: str) -> list[Any]:
        return [v for p in self.persons if (v := self.attribute(p, attribute)) is not None]

    def next_flip(self, segment: str, person: Row) -> datetime | None:
        now = self.is_member(segment, person, self.known)
        later = (t for t in sorted(set(self.turning_points(segment, person))) if t > self.known)
        return next((t for t in later if self.is_member(segment, person, t) != now), None)

    def turning_points(self, segment: str, person: Row) -> Iterator[datetime]:
        for part in self.closure(segment):
            document = self.documents[part]
            zone = zone_of(document, person)
            for word in words(document["where"]):
                if is_duration(word):
                    yield from (e["event_time"] + duration(word) for e in self.events[person["person_id"]])
                if unit := calendar_unit(word):
                    boundary = self.known
                    for _ in range(3):
                        boundary = unit_start(boundary, unit, 1, zone)
                        yield boundary
        yield from (c["expires_at"] for c in self.consents if c["person_id"] == person["person_id"] and c["expires_at"] is not None)

    def closure(self, segment: str) -> set[str]:
        inner = {w for w in words(self.documents[segment]["where"]) if w in self.documents}
        return {segment}.union(*(self.closure(s) for s in inner))


class Verdict:
    """The conditions of one segment for one person at one instant."""

    def __init__(self, world: World, person: Row, as_of: datetime, zone: ZoneInfo) -> None:
        self.world, self.person, self.as_of, self.zone = world, person, as_of, zone
        self.events = world.events[person["person_id"]]

    def holds(self, condition: Row, keys: Mapping[str, Any] = {}) -> bool:
        """Whether a condition holds. `keys` are the values bound by the enclosing `all`; a `same` that is not bound stands alone."""
        prop = condition.get("same")
        if prop and prop not in keys:
            return any(self.holds(condition, {prop: key}) for key in self.key_values(prop))
        if "did" in condition:
            return compare(condition.get("times", ">=1"), self.count(condition["did"], condition, keys))
        if "never" in condition:
            return self.count(condition["never"], condition, keys) == 0
        if "then" in condition:
            return self.chain_exists(condition)
        if "in_segment" in condition:
            return self.world.is_member(condition["in_segment"], self.person, self.as_of)
        return all(self.part_holds(name, part, keys) for name, part in condition.items())

    def part_holds(self, name: str, part: Any, keys: Mapping[str, Any]) -> bool:
        if name == "all":
            return self.all_hold(part)
        if name == "any":
            return any(self.holds(c, keys) for c in part)
        if name == "none":
            return not any(self.holds(c, keys) for c in part)
        return compare(part, self.world.attribute(self.person, name), lambda: self.world.values(name))

    def all_hold(self, conditions: Sequence[Row]) -> bool:
        props = sorted({c["same"] for c in conditions if "same" in c and needs_event(c)})
        bindings = itertools.product(*(self.key_values(p) for p in props))
        return any(all(self.holds(c, dict(zip(props, keys, strict=True))) for c in conditions) for keys in bindings)

    def key_values(self, prop: str) -> set[Any]:
        return {v for e in self.events if (v := property_of(e, prop)) is not None}

    def count(self, event_type: str, condition: Row, keys: Mapping[str, Any]) -> int:
        prop = condition.get("same")
        matching = [e for e in self.events if matches(e, event_type, condition.get("where")) and self.in_window(e, condition.get("in", "ever"))]
        return len([e for e in matching if prop is None or property_of(e, prop) == keys[prop]])

    def in_window(self, event: Row, window: str) -> bool:
        if event["event_time"] > self.as_of:
            return False
        if window == "ever":
            return True
        if is_duration(window):
            return event["event_time"] > self.as_of - duration(window)
        if unit := calendar_unit(window):
            first = -1 if window.startswith("last") else 0
            return unit_start(self.as_of, unit, first, self.zone) <= event["event_time"] < unit_start(self.as_of, unit, first + 1, self.zone)
        start, end = (date.fromisoformat(part) for part in window.split(".."))
        return start <= event["event_time"].astimezone(self.zone).date() <= end

    def chain_exists(self, condition: Row) -> bool:
        prop = condition.get("on")
        steps = [step_of(s) for s in condition["then"]]
        if prop is None:
            return self.continues(condition, steps, [], self.events)
        return any(self.continues(condition, steps, [], [e for e in self.events if property_of(e, prop) == key]) for key in self.key_values(prop))

    def continues(self, condition: Row, steps: Sequence[Row], taken: Sequence[Row], candidates: Rows) -> bool:
        """Whether the events taken so far can be continued through the remaining steps."""
        if not steps:
            return True
        step, rest = steps[0], steps[1:]
        if "no" in step:
            return self.none_since(taken[-1], step, candidates) and self.continues(condition, rest, taken, candidates)
        return any(
            self.continues(condition, rest, [*taken, event], candidates)
            for event in candidates
            if matches(event, step["event"], step.get("where"))
            and self.in_window(event, condition.get("in", "ever"))
            and (not taken or follows(event, taken, step, condition))
        )

    def none_since(self, previous: Row, step: Row, candidates: Rows) -> bool:
        start = previous["event_time"]
        passed = start + duration(step.get("for") or step["within"])
        end = self.as_of if "for" in step else passed
        return passed <= self.as_of and not any(e["event_type"] == step["no"] and start < e["event_time"] <= end for e in candidates)


def needs_event(condition: Row) -> bool:
    return "did" in condition and not compare(condition.get("times", ">=1"), 0)


def follows(event: Row, taken: Sequence[Row], step: Row, condition: Row) -> bool:
    """Whether `event` may be the next one of a chain: in order, and within the step's and the chain's limits."""
    since_first, since_last = (event["event_time"] - e["event_time"] for e in (taken[0], taken[-1]))
    tied_in_order = condition.get("ties") == "allow" and since_last == timedelta(0) and event["event_id"] > taken[-1]["event_id"]
    return (
        (since_last > timedelta(0) or tied_in_order)
        and ("within" not in step or since_last <= duration(step["within"]))
        and ("within" not in condition or since_first <= duration(condition["within"]))
    )


def matches(event: Row, event_type: str, where: Row | None) -> bool:
    return event["event_type"] == event_type and all(compare(test, property_of(event, prop)) for prop, test in (where or {}).items())


def property_of(event: Row, prop: str) -> Any:
    """A property, from its column or from the `properties` JSON."""
    return event[prop] if prop in event else json.loads(event.get("properties") or "{}").get(prop)


def step_of(step: str | Row) -> Row:
    """A step as a mapping: {event, where?, within?} or {no, for | within}."""
    if isinstance(step, str):
        return {"event": step}
    if "no" in step:
        return step
    ((event, options),) = step.items()
    return {"event": event, **(options or {})}


def compare(test: Any, value: Any, population: Callable[[], list[Any]] = list) -> bool:
    """Whether `value` passes `test`. `population` gives the values of all persons, for `top n%`."""
    if test == "missing" or value is None:
        return test == "missing" and value is None
    if isinstance(test, Mapping):
        return not compare(test["not"], value, population)
    if isinstance(test, list):
        return any(equals(t, value) for t in test)
    return compare_text(test, value, population) if isinstance(test, str) else equals(test, value)


def compare_text(test: str, value: Any, population: Callable[[], list[Any]]) -> bool:
    if test == "present":
        return True
    if share := re.fullmatch(r"(top|bottom) ([0-9.]+)%", test):
        everybody = population()
        beyond = [v for v in everybody if (v > value if share[1] == "top" else v < value)]
        return len(beyond) < Fraction(share[2]) / 100 * len(everybody)
    if comparison := re.fullmatch(r"(>=|<=|>|<)\s*(\S+)", test):
        limit = like(value, comparison[2])
        return {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}[comparison[1]]
    if ".." in test and not isinstance(value, str):
        low, high = (like(value, part) for part in test.split(".."))
        return low <= value <= high
    return equals(test, value)


def equals(scalar: Any, value: Any) -> bool:
    if isinstance(value, bool | str) or isinstance(scalar, bool):
        return type(value) is type(scalar) and value == scalar
    return value == like(value, str(scalar))


def like(value: Any, text: str) -> Any:
    """The number `text` says, as something that compares exactly with `value`: doubles are compared as doubles, all else as decimals."""
    return float(text) if isinstance(value, float) else Decimal(text)


def is_duration(word: Any) -> bool:
    return isinstance(word, str) and re.fullmatch(r"(\d+[smhd])+", word) is not None


def duration(text: str) -> timedelta:
    """Exact seconds: a day is 24 hours."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum((timedelta(seconds=int(n) * seconds[unit]) for n, unit in re.findall(r"(\d+)([smhd])", text)), timedelta(0))


def calendar_unit(word: Any) -> str | None:
    found = re.fullmatch(rf"(?:last|this) ({'|'.join(CALENDAR_UNITS)})", word) if isinstance(word, str) else None
    return found[1] if found else None


def zone_of(document: Row, person: Row) -> ZoneInfo:
    calendar = document.get("calendar", "UTC")
    return ZoneInfo((person.get("timezone") or "UTC") if calendar == "profile" else calendar)


def unit_start(instant: datetime, unit: str, offset: int, zone: ZoneInfo) -> datetime:
    """First instant of the unit `offset` units after the one `instant` is in."""
    local = instant.astimezone(zone)
    if unit == "hour":
        return instant - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond) + timedelta(hours=offset)
    if unit in ("day", "week"):
        first = local.date() - timedelta(days=local.weekday() if unit == "week" else 0) + timedelta(days=offset * (7 if unit == "week" else 1))
    else:
        size = 3 if unit == "quarter" else 1
        months = local.year * 12 + (local.month - 1) // size * size + offset * size
        first = date(months // 12, months % 12 + 1, 1)
    return datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC)


def words(value: Any) -> Iterator[Any]:
    """Every scalar in a piece of YAML."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from words(part)
    elif isinstance(value, list):
        for part in value:
            yield from words(part)
    else:
        yield value
