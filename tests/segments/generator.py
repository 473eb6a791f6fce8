"""Random cases for the segment language: definitions, persons, events, consents and an as_of from one seed. No judging, no shrinking.

Biased to what goes wrong: ties, instants exactly on a window's edge and one microsecond off, nulls, DST days, month ends, leap days, persons without events,
events after as_of, nested segments, negations, tiny windows, chains of several steps, keys shared across an `all`. Only definitions whose meaning the
specification fixes are made (`is_defined`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import yaml

from seg_assets.documents import parse_documents
from tests.segments.oracle import CALENDAR_UNITS, GROUPS, duration, is_duration, needs_event, step_of, unit_start, words, zone_of

TICK = timedelta(microseconds=1)
DURATIONS = ("1m", "10m", "1h", "24h", "48h", "1d", "7d", "30d")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Kolkata", "Pacific/Auckland", "Africa/Cairo")
AS_OF = (
    "2024-02-29T12:00:00",  # leap day
    "2024-03-01T00:00:00",
    "2025-01-01T00:00:00",
    "2025-12-31T23:59:59.999999",
    "2026-03-08T07:00:00",  # New York springs forward
    "2026-03-29T01:00:00",  # Berlin springs forward
    "2026-03-29T22:00:00",  # midnight in Berlin after a day of 23 hours
    "2026-03-31T22:00:00",  # a month begins in Berlin
    "2026-04-01T00:00:00",
    "2026-04-24T00:00:00",  # Cairo has no midnight
    "2026-10-25T00:30:00",  # the first 02:30 in Berlin
    "2026-10-25T01:30:00",  # the second one
    "2026-11-01T06:30:00",  # New York falls back
    "2026-11-02T05:00:00",
    "2026-07-15T10:20:30.000001",
)
PROPERTIES: dict[str, tuple[Any, ...]] = {
    "product_id": ("a", "b", "c"),
    "category": ("shoes", "hats"),
    "cart_id": ("1", "2"),
    "order_id": ("o1", "o2"),
    "campaign_id": ("spring", "sale"),
    "quantity": (1, 2, 3),
    "revenue": (Decimal("0.00"), Decimal("19.99"), Decimal("20.00"), Decimal("-5.10")),
    "currency": ("EUR", "USD"),
    "percent": (0.0, 0.1, 49.999, 50.0, 100.0),
    "query": ("red shoes", "o'hara", "50%"),
    "channel": ("web", "app"),
    "device": ("mobile", "desktop"),
    "session_id": ("v1", "v2"),
}
EVERYWHERE = ("channel", "device", "session_id")
EVENTS: dict[str, tuple[str, ...]] = {
    "page_viewed": (),
    "product_searched": ("query",),
    "product_viewed": ("product_id", "category"),
    "product_added": ("product_id", "category", "cart_id", "quantity", "revenue", "currency"),
    "cart_viewed": ("cart_id",),
    "checkout_started": ("cart_id", "revenue", "currency"),
    "order_completed": ("order_id", "cart_id", "product_id", "category", "quantity", "revenue", "currency"),
    "video_progressed": ("product_id", "percent"),
    "email_opened": ("campaign_id",),
}
ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "age": (17, 25, 30, 34, 35, 80),
    "gender": ("female", "male", "other"),
    "country": ("DE", "FR", "US"),
    "city": ("Köln", "O'Fallon", "missing"),
    "area": ("urban", "suburban", "rural"),
    "language": ("de", "en"),
    "has_email": (True, False),
    "orders_total": (0, 1, 2, 7),
    "revenue_total": (0.0, 0.1, 0.3, 19.99, 250.0),
    "engagement": tuple(n / 4 for n in range(40)),
}
SHARES: dict[str, tuple[Any, ...]] = {
    "device_share.mobile": (0.0, 0.2, 0.5, 0.6, 1.0),
    "channel_share.app": (0.0, 0.25, 0.5, 0.75, 1.0),
}
PURPOSES = ("marketing_email", "advertising", "profiling")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Case:
    """Everything an evaluation needs. `text` is the YAML of the definitions."""

    documents: list[dict[str, Any]]
    persons: list[dict[str, Any]]
    events: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    as_of: datetime

    @property
    def text(self) -> str:
        return yaml.dump_all(self.documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=150)

    def written(self) -> list[dict[str, Any]]:
        """The definitions as they read after a round through YAML."""
        return [d.data for d in parse_documents(self.text)]


def generate(seed: int, segments: int = 20, streams: int = 25) -> Case:
    """Many cases in one: `segments` definitions over `streams` streams of about 30 persons, at one as_of. The same seed gives the same case."""
    rng = Random(seed)
    as_of = datetime.fromisoformat(rng.choice(AS_OF)).replace(tzinfo=UTC) + rng.choice((timedelta(0), timedelta(0), TICK, -TICK))
    zones = rng.sample(ZONES, 2)
    documents = Definitions(rng, as_of, alphabet(rng), [*zones, "profile", "profile"]).make(segments)
    persons = [person(rng, number, zones) for number in range(1, streams * rng.choice((20, 30, 30, 50)) + 1)]
    events = [e for p in persons if rng.random() < 0.9 for e in Stream(rng, p, documents, as_of).events()]
    stranger = len(persons) + 1
    events += [{**e, "person_id": stranger, "event_id": f"stranger-{e['event_id']}"} for e in events[:2]]
    rng.shuffle(events)
    return Case(documents, persons, events, [c for p in persons for c in consents(rng, p["person_id"], as_of)], as_of)


def alphabet(rng: Random) -> list[str]:
    """The few event types of a case, so that definitions and streams meet."""
    return ["product_added", *rng.sample([e for e in EVENTS if e != "product_added"], 4)]


def person(rng: Random, number: int, zones: Sequence[str]) -> dict[str, Any]:
    values = {name: nullable(rng, values, 0 if name == "engagement" else 0.25) for name, values in ATTRIBUTES.items()}
    return {"person_id": number, "timezone": nullable(rng, zones, 0.25), **values}


def nullable(rng: Random, values: Sequence[Any], share: float) -> Any:
    return None if rng.random() < share else rng.choice(values)


def consents(rng: Random, person: int, as_of: datetime) -> list[dict[str, Any]]:
    expiries = (None, None, as_of, as_of + TICK, as_of - TICK, as_of + timedelta(days=3))
    return [
        {
            "person_id": person,
            "purpose": purpose,
            "granted": rng.random() < 0.7,
            "since": as_of - timedelta(days=400),
            "expires_at": rng.choice(expiries),
        }
        for purpose in PURPOSES
        if rng.random() < 0.8
    ]


class Stream:
    """Makes the events of one person: chains laid out along a definition, events on the edges of windows, and noise."""

    def __init__(self, rng: Random, person: dict[str, Any], documents: Sequence[dict[str, Any]], as_of: datetime) -> None:
        self.rng, self.person, self.as_of = rng, person, as_of
        self.conditions = [c for d in documents for c in conditions_of(d["where"])]
        units = ((unit, zone_of(d, person)) for d in documents for unit in CALENDAR_UNITS)
        starts = [unit_start(as_of, unit, offset, zone) for unit, zone in set(units) for offset in (-1, 0, 1)]
        self.edges = [as_of, *(as_of - duration(d) for d in DURATIONS), *sorted(starts)]
        self.times: list[datetime] = []

    def events(self) -> list[dict[str, Any]]:
        made = []
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            made += self.chain() if self.rng.random() < 0.6 else self.loose()
        ids = self.rng.sample(range(1000), len(made))
        return [{**e, "event_id": f"{self.person['person_id']}-{n:03}"} for n, e in zip(ids, made, strict=True)]

    def chain(self) -> list[dict[str, Any]]:
        """The steps of some `then`, at the limits it sets or close to them."""
        chains = [c for c in self.conditions if "then" in c]
        if not chains:
            return self.loose()
        condition = self.rng.choice(chains)
        time, shared, made = self.time(), event_values(self.rng, tuple(PROPERTIES)), []
        for step in map(step_of, condition["then"]):
            after = time + duration(self.rng.choice([*limits_of(step), *limits_of(condition), "0s", "1m", "1h"])) + self.jitter()
            given = shared if self.rng.random() < 0.8 else {}
            if "event" in step:
                time = after if made else time
                wanted = {p: v for p, t in step.get("where", {}).items() for v in PROPERTIES[p] if v == t}
                made.append(event(self.rng, self.person, step["event"], time, given | wanted))
            elif self.rng.random() < 0.4:
                made.append(event(self.rng, self.person, step["no"], after, given))
        return self.moved(made, condition) if self.rng.random() < 0.6 else made

    def moved(self, made: list[dict[str, Any]], condition: dict[str, Any]) -> list[dict[str, Any]]:
        """The same chain, moved so that one of its events is on an edge or as long ago as some limit of its definition."""
        limits = [self.as_of - duration(w) for w in words(condition) if is_duration(w)]
        shift = self.rng.choice(limits or self.edges) + self.jitter() - self.rng.choice(made)["event_time"]
        return [e | {"event_time": e["event_time"] + shift} for e in made]

    def loose(self) -> list[dict[str, Any]]:
        """Some events of one definition's types."""
        types = [w for w in words(self.rng.choice(self.conditions)) if w in EVENTS] or list(EVENTS)
        return [event(self.rng, self.person, self.rng.choice(types), self.time(), {}) for _ in range(self.rng.choice((1, 2, 4, 6)))]

    def time(self) -> datetime:
        kind = self.rng.random()
        if kind < 0.45:
            time = self.rng.choice(self.edges)
        elif kind < 0.7 and self.times:
            time = self.rng.choice(self.times) + self.rng.choice((0, 0, 1, 1, -1)) * duration(self.rng.choice(DURATIONS))
        else:
            time = self.as_of - timedelta(seconds=self.rng.randrange(self.rng.choice((600, 86_400, 40 * 86_400))))
        self.times.append(time + self.jitter())
        return self.times[-1]

    def jitter(self) -> timedelta:
        return self.rng.choice((0, 0, 0, 0, 1, -1)) * TICK


def limits_of(step: dict[str, Any]) -> list[str]:
    return [step[name] for name in ("within", "for") if name in step]


def conditions_of(condition: dict[str, Any]) -> list[dict[str, Any]]:
    """A condition and all inside it."""
    return [condition, *(inner for name in GROUPS for c in condition.get(name, []) for inner in conditions_of(c))]


def event_values(rng: Random, props: Sequence[str]) -> dict[str, Any]:
    return {p: nullable(rng, PROPERTIES[p], 0.15) for p in props}


def event(rng: Random, person: dict[str, Any], event_type: str, time: datetime, values: dict[str, Any]) -> dict[str, Any]:
    """An event with the properties its type carries; `values` of them are given, the others random."""
    carried = event_values(rng, properties_of(event_type))
    carried |= {p: v for p, v in values.items() if p in carried}
    query = carried.pop("query", None)
    columns = {p: carried.get(p) for p in PROPERTIES if p != "query"}
    text = None if query is None else json.dumps({"query": query})
    return {"person_id": person["person_id"], "event_type": event_type, "event_time": time, **columns, "properties": text}


class Definitions:
    """Makes definitions. Segments refer only to those made before them, so there are no cycles; the order in the text is shuffled."""

    def __init__(self, rng: Random, as_of: datetime, alphabet: Sequence[str], calendars: Sequence[str]) -> None:
        self.rng, self.as_of, self.alphabet, self.calendars = rng, as_of, alphabet, calendars
        self.made: list[str] = []

    def make(self, count: int) -> list[dict[str, Any]]:
        documents = []
        for number in range(count):
            document: dict[str, Any] = {
                "segment": f"s{number}",
                "title": f"Segment {number}",
                "calendar": self.rng.choice(self.calendars),
                "where": self.defined(),
            }
            if self.rng.random() < 0.15:
                document["needs"] = self.rng.sample(PURPOSES, self.rng.randint(1, 2))
            if self.rng.random() < 0.1:
                document |= {"min_size": self.rng.choice((5, "50%")), "holdout": "10%"}
            documents.append(document)
            self.made.append(document["segment"])
        self.rng.shuffle(documents)
        return documents

    def defined(self) -> dict[str, Any]:
        while not is_defined(condition := self.condition(3)):
            pass
        return condition

    def condition(self, depth: int) -> dict[str, Any]:
        kinds = [(self.did, 5), (self.never, 3), (self.then, 6), (self.attribute, 3)]
        if self.made:
            kinds.append((self.in_segment, 2))
        if depth:
            kinds += [(lambda: self.group(depth), 6), (self.bound, 3), (lambda: self.groups(depth), 1)]
        makers, weights = zip(*kinds, strict=True)
        return self.rng.choices(makers, weights)[0]()

    def group(self, depth: int) -> dict[str, Any]:
        return {self.rng.choice(GROUPS): [self.condition(depth - 1) for _ in range(self.rng.randint(1, 3))]}

    def groups(self, depth: int) -> dict[str, Any]:
        names = [n for n in GROUPS if self.rng.random() < 0.6] or ["none"]
        return {n: [self.condition(depth - 1) for _ in range(self.rng.randint(1, 2))] for n in names}

    def bound(self) -> dict[str, Any]:
        """An `all` whose clauses share a key; the first one needs an event."""
        prop = self.rng.choice(("product_id", "cart_id", "category", "session_id"))
        clauses = [{**self.did(prop), "same": prop, "times": self.rng.choice((">=1", ">=2", 1, "1..2"))}]
        for _ in range(self.rng.randint(1, 2)):
            clause = self.rng.choice((self.did, self.never))(prop)
            clauses.append({**clause, "same": prop})
        if self.rng.random() < 0.2:
            clauses.append(self.condition(0))
        if self.rng.random() < 0.3:
            clauses.append({self.rng.choice(("any", "none")): [{**self.did(prop), "same": prop} for _ in range(self.rng.randint(1, 2))]})
        self.rng.shuffle(clauses)
        return {"all": clauses}

    def did(self, prop: str | None = None) -> dict[str, Any]:
        event_type = self.event_type(prop)
        condition: dict[str, Any] = {"did": event_type}
        if self.rng.random() < 0.5:
            condition["times"] = self.rng.choice((0, 1, 2, ">=1", ">=2", ">1", "<1", "<3", "<=2", "0..1", "2..3"))
        if prop is None and "times" not in condition and self.rng.random() < 0.15:
            condition["same"] = self.rng.choice([p for p in properties_of(event_type) if isinstance(PROPERTIES[p][0], str | int)])
            condition["times"] = self.rng.choice((">=1", ">=2", 2))
        return self.narrowed(condition, event_type, window=0.75)

    def never(self, prop: str | None = None) -> dict[str, Any]:
        event_type = self.event_type(prop)
        return self.narrowed({"never": event_type}, event_type, window=1)

    def narrowed(self, condition: dict[str, Any], event_type: str, window: float) -> dict[str, Any]:
        if where := self.where(event_type):
            condition["where"] = where
        if self.rng.random() < window:
            condition["in"] = self.window()
        return condition

    def then(self) -> dict[str, Any]:
        on = self.rng.choice(("product_id", "cart_id", "session_id")) if self.rng.random() < 0.4 else None
        steps: list[Any] = []
        for number in range(self.rng.choice((1, 2, 2, 2, 3, 3, 4))):
            steps.append(self.step(number, on))
            if self.rng.random() < 0.2:
                steps.append(self.no_step(on))
        if self.rng.random() < 0.2:
            steps.append(steps[0])
        if len(steps) == 1:
            steps.append(self.no_step(on))
        condition: dict[str, Any] = {"then": steps}
        if on:
            condition["on"] = on
        if self.rng.random() < 0.4:
            condition["within"] = self.rng.choice(DURATIONS)
        if self.rng.random() < 0.3:
            condition["ties"] = self.rng.choice(("allow", "allow", "strict"))
        if self.rng.random() < 0.6:
            condition["in"] = self.rng.choice((self.window(), "7d", "30d", "last month", "this month"))
        return condition

    def step(self, number: int, on: str | None) -> Any:
        event_type = self.event_type(on)
        options: dict[str, Any] = {}
        if self.rng.random() < 0.5 and (where := self.where(event_type)):
            options["where"] = where
        if number and self.rng.random() < 0.3:
            options["within"] = self.rng.choice(DURATIONS)
        return {event_type: options} if options else event_type

    def no_step(self, on: str | None) -> dict[str, Any]:
        return {"no": self.event_type(on), self.rng.choice(("for", "within")): self.rng.choice(DURATIONS)}

    def event_type(self, prop: str | None = None) -> str:
        return self.rng.choice([e for e in self.alphabet if prop is None or prop in properties_of(e)])

    def where(self, event_type: str) -> dict[str, Any]:
        if self.rng.random() < 0.7:
            return {}
        props = self.rng.sample(properties_of(event_type), self.rng.randint(1, 2))
        return {p: self.test(PROPERTIES[p]) for p in props}

    def in_segment(self) -> dict[str, Any]:
        return {"in_segment": self.rng.choice(self.made)}

    def attribute(self) -> dict[str, Any]:
        name, values = self.rng.choice(list((ATTRIBUTES | SHARES).items()))
        if not isinstance(values[0], str | bool) and self.rng.random() < 0.25:
            share = f"{self.rng.choice(('top', 'bottom'))} {self.rng.choice((1, 2.5, 10, 14, 20, 28, 33.3, 50, 55, 100))}%"
            return {name: self.rng.choice((share, share, {"not": share}))}
        return {name: self.test(values)}

    def test(self, values: Sequence[Any]) -> Any:
        """A test on a property or attribute that takes these values."""
        kind = self.rng.choice(("scalar", "scalar", "compare", "compare", "range", "list", "missing", "present", "not"))
        plain = sorted(float(v) if isinstance(v, Decimal) else v for v in values if v != "missing")
        if kind == "not":
            inner = self.test(values)
            return {"not": inner if inner not in ("missing", "present") else self.rng.choice(plain)}
        if kind in ("missing", "present"):
            return kind
        if kind == "list":
            return self.rng.sample(plain, self.rng.randint(1, len(plain)))
        if kind == "compare" and not isinstance(plain[0], str | bool):
            return f"{self.rng.choice(('>=', '>', '<=', '<'))}{self.rng.choice(plain)}"
        if kind == "range" and not isinstance(plain[0], str | bool):
            return "..".join(str(v) for v in sorted(self.rng.choices(plain, k=2)))
        return self.rng.choice(plain)

    def window(self) -> str:
        kind = self.rng.random()
        if kind < 0.45:
            return self.rng.choice(DURATIONS)
        if kind < 0.85:
            return f"{self.rng.choice(('last', 'this'))} {self.rng.choice(CALENDAR_UNITS)}"
        if kind < 0.9:
            return "ever"
        day = self.as_of.date()
        start = day - timedelta(days=self.rng.choice((0, 1, 7, 31)))
        return f"{start}..{start + timedelta(days=self.rng.choice((0, 1, 7, 400)))}"


def is_defined(condition: dict[str, Any], bound: Collection[str] = ()) -> bool:
    """Whether the specification fixes what every `same` means. `bound` are the properties the enclosing `all` binds."""
    if not set(GROUPS) & set(condition):
        return condition.get("same") in {None, *bound} or needs_event(condition)
    children = condition.get("all", [])
    binds = {c["same"] for c in children if "same" in c and needs_event(c)}
    loose = [c for name in ("any", "none") for c in condition.get(name, [])]
    joined = {c.get("same") for c in loose if not set(GROUPS) & set(c)}
    mixed = set(bound) & joined and (len(joined) > 1 or any(set(GROUPS) & set(c) for c in loose))
    return not mixed and all(is_defined(c, binds) for c in children) and all(is_defined(c, bound) for c in loose)


def properties_of(event_type: str) -> list[str]:
    return [*EVENTS[event_type], *EVERYWHERE]
