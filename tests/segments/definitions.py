"""Random segment definitions, and the events, properties and attributes they speak of. Only those whose meaning the specification fixes (`is_defined`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.segments.oracle import CALENDAR_UNITS, GROUPS, needs_event

DURATIONS = ("1m", "10m", "1h", "24h", "48h", "1d", "7d", "30d")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Kolkata", "Pacific/Auckland", "Africa/Cairo")
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


def conditions_of(condition: dict[str, Any]) -> list[dict[str, Any]]:
    """A condition and all inside it."""
    return [condition, *(inner for name in GROUPS for c in condition.get(name, []) for inner in conditions_of(c))]


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
