"""Random cases for the segment language: definitions, persons, events, consents and an as_of from one seed. No judging, no shrinking.

Biased to what goes wrong: ties, instants exactly on a window's edge and one microsecond off, nulls, DST days, month ends, leap days, persons without events,
events after as_of, nested segments, negations, tiny windows, chains of several steps, keys shared across an `all`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import yaml

from seg_assets.documents import parse_documents
from tests.segments.definitions import ATTRIBUTES, DURATIONS, EVENTS, PROPERTIES, PURPOSES, ZONES, Definitions, conditions_of, properties_of
from tests.segments.oracle import CALENDAR_UNITS, duration, is_duration, step_of, unit_start, words, zone_of

TICK = timedelta(microseconds=1)
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


def generate(seed: int, segments: int = 20, streams: int = 50) -> Case:
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
