"""YAML to AST, typed against a `Catalog`. Every mistake of a text or folder is reported, each with file, line, column and a suggestion."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from seg_assets.documents import Document, DocumentError, Steps, parse_documents, read_documents
from seg_assets.errors import SegmentError
from seg_assets.segments import literals
from seg_assets.segments.ast import (
    Absence,
    All,
    Attribute,
    Condition,
    Count,
    Did,
    Ever,
    Fixture,
    FixtureEvent,
    InSegment,
    MinSize,
    NoneOf,
    Scalar,
    Segment,
    Step,
    Test,
    Then,
    Where,
    Window,
    cuts,
    leaves,
    windows,
)
from seg_assets.segments.ast import Any as AnyOf
from seg_assets.segments.binding import BindingError, resolve
from seg_assets.segments.catalog import Catalog, Field, suggestion
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.literals import NotationError
from seg_assets.segments.times import dates_in, needs_zone

KEYS = ("segment", "title", "description", "where", "calendar", "needs", "min_size", "holdout", "expect")
GROUPS: Mapping[str, type[All | AnyOf | NoneOf]] = {"all": All, "any": AnyOf, "none": NoneOf}
OPTIONS = {
    "did": ("times", "where", "in", "same"),
    "never": ("where", "in", "same"),
    "then": ("within", "on", "in", "ties"),
}
MAX_LEAVES = 2_000

T = TypeVar("T")


def parse_segments(text: str, catalog: Catalog, file: Path | None = None) -> SegmentSet:
    """The segments of a YAML text.

    Args:
        text: one or more documents.
        catalog: what they may name.
        file: named in errors.

    Raises:
        SegmentsError: with every mistake found.
    """
    return segments_of(_documents(lambda: parse_documents(text, file)), catalog).checked()


def read_segments(folder: Path, catalog: Catalog) -> SegmentSet:
    """The segments of a folder's `*.yaml` files (and those of its sub-folders), in the order of the files.

    Mistakes do not raise: they are in the set's `errors`, and the definitions they are in are left out.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".yaml", ".yml"})
    return segments_of((item for file in files for item in _documents(lambda file=file: read_documents(file))), catalog)


def _documents(read: Callable[[], list[Document]]) -> list[Document | SegmentError]:
    try:
        return [*read()]
    except DocumentError as error:
        return [SegmentError(error.message, place=error.place, hint=error.hint)]


def segments_of(documents: Iterable[Document | SegmentError], catalog: Catalog) -> SegmentSet:
    """The set the documents define, with what is wrong in them."""
    segments: dict[str, Segment] = {}
    errors: list[SegmentError] = []
    broken: dict[str, SegmentError] = {}
    for document in documents:
        if isinstance(document, SegmentError):
            errors.append(document)
            continue
        parser = _Parser(document, catalog)
        segment = parser.segment()
        name = document.data.get("segment") if isinstance(document.data, dict) else None
        if segment and segment.id in segments:
            parser.errors.append(
                SegmentError(
                    f"the segment {segment.id!r} is defined twice", place=segment.place, hint=f"the other one is at {segments[segment.id].place}"
                )
            )
        elif segment and not parser.errors:
            segments[segment.id] = segment
        errors += parser.errors
        if parser.errors and isinstance(name, str) and name not in segments:
            broken[name] = parser.errors[0]
    return SegmentSet.of(segments, catalog, errors, broken)


class _Parser:
    """Reads one document. `errors` holds what is wrong; a part that can't be read is skipped, so that its neighbours are checked too."""

    def __init__(self, document: Document, catalog: Catalog) -> None:
        self.document, self.catalog, self.errors = document, catalog, []
        self._steps: dict[int, Steps] = {}

    def segment(self) -> Segment | None:
        data = self.document.data
        with self.gather():
            self.mapping(data, (), KEYS)
            identifier = data.get("segment")
            if not isinstance(identifier, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", identifier):
                raise self.error(f"{identifier!r} is not a segment id", ("segment",), "small letters, digits and underscores, starting with a letter")
            if "where" not in data:
                raise self.error("`where` is missing", ("segment",))
            title = self.read(self.text, "title") or identifier.replace("_", " ").capitalize()
            where = self.read(self.condition, "where")
            segment = Segment(
                identifier,
                title,
                where or All(()),
                description=self.read(self.text, "description") or "",
                calendar=self.read(self.calendar, "calendar"),
                needs=self.read(self.needs, "needs") or (),
                min_size=self.read(self.noted(literals.min_size), "min_size") or MinSize(),
                holdout=self.read(self.noted(literals.percent), "holdout") or Segment.holdout,
                place=self.document.place(("segment",)),
            )
            if where:
                self.check(segment)
                fixtures = self.read(lambda value, steps: self.each(value, steps, lambda v, s: self.fixture(v, s, segment)), "expect")
                return Segment(**{**vars(segment), "expect": fixtures or ()})
        return None

    def error(self, message: str, steps: Steps, hint: str | None = None) -> SegmentError:
        return SegmentError(message, place=self.document.place(steps), hint=hint)

    @contextmanager
    def gather(self) -> Iterator[None]:
        try:
            yield
        except SegmentError as error:
            self.errors.append(error)

    def read(self, parse: Callable[[Any, Steps], T], key: str) -> T | None:
        """The parsed value of a top-level key; None when it is absent or wrong."""
        if key in self.document.data:
            with self.gather():
                return parse(self.document.data[key], (key,))
        return None

    def noted(self, parse: Callable[[Any], T]) -> Callable[[Any, Steps], T]:
        """A notation of `literals` with the place of its mistakes."""

        def parse_here(value: Any, steps: Steps) -> T:
            try:
                return parse(value)
            except NotationError as error:
                raise self.error(str(error), steps, error.hint) from None

        return parse_here

    def mapping(self, value: Any, steps: Steps, allowed: Iterable[str]) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            raise self.error(f"a mapping with {', '.join(allowed)} belongs here", steps)
        for key in value:
            if key not in allowed:
                self.errors.append(self.error(f"unknown key {key!r}", (*steps, key), suggestion(key, allowed) or f"known: {', '.join(allowed)}"))
        return value

    def each(self, value: Any, steps: Steps, parse: Callable[[Any, Steps], T]) -> tuple[T, ...]:
        if not isinstance(value, list) or not value:
            raise self.error("a list with at least one entry belongs here", steps)
        found = []
        for i, item in enumerate(value):
            with self.gather():
                found.append(parse(item, (*steps, i)))
        return tuple(found)

    def text(self, value: Any, steps: Steps) -> str:
        if not isinstance(value, str):
            raise self.error(f"text belongs here, not {value!r}", steps, "put it in quotes")
        return value

    def calendar(self, value: Any, steps: Steps) -> str:
        if value != "profile":
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError, TypeError):
                raise self.error(f"{value!r} is not a calendar", steps, "profile, UTC, or a zone such as Europe/Berlin") from None
        return value

    def needs(self, value: Any, steps: Steps) -> tuple[str, ...]:
        known = self.catalog.purposes

        def purpose(item: Any, at: Steps) -> str:
            if not isinstance(item, str) or item not in known:
                raise self.error(f"unknown consent purpose {item!r}", at, suggestion(str(item), known) or f"known: {', '.join(known)}")
            return item

        return tuple(sorted(set(self.each(value, steps, purpose))))

    def condition(self, value: Any, steps: Steps) -> Condition:
        """A mapping is the conjunction of its entries; `did`, `never` and `then` take the entries that are their options."""
        if not isinstance(value, dict) or not value:
            raise self.error("a condition belongs here", steps, "all, any, none, did, never, then, in_segment, or an attribute with a test")
        head = next((key for key in OPTIONS if key in value), None)
        parts: list[Condition] = []
        for key, content in value.items():
            if head and key in OPTIONS[head]:
                continue
            with self.gather():
                parts.append(self.entry(key, content, value, steps))
        if not parts:
            raise self.error("nothing of this condition can be read", steps) if not self.errors else self.errors.pop()
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def entry(self, key: str, content: Any, value: dict[str, Any], steps: Steps) -> Condition:
        at = (*steps, key)
        if key in GROUPS:
            return GROUPS[key](self.each(content, at, self.condition))
        if key in {"did", "never"}:
            return self.remember(self.did(key, value, steps), at)
        if key == "then":
            return self.then(value, steps)
        if key == "in_segment":
            return self.remember(InSegment(self.text(content, at)), at)
        field = self.catalog.attributes.get(key)
        if not field:
            options = [word for head in OPTIONS if head in value for word in OPTIONS[head]]
            words = [*self.catalog.attributes, *GROUPS, *OPTIONS, "in_segment", *options]
            event = "; that is an event: write {did: ...}" if key in self.catalog.events else ""
            raise self.error(f"unknown attribute or condition {key!r}{event}", at, suggestion(key, words))
        return self.remember(Attribute(key, self.test(content, at, field)), at)

    def remember(self, leaf: Any, steps: Steps) -> Any:
        self._steps[id(leaf)] = steps
        return leaf

    def test(self, value: Any, steps: Steps, field: Field) -> Test:
        return self.noted(lambda v: literals.test(v, field))(value, steps)

    def did(self, head: str, value: dict[str, Any], steps: Steps) -> Did:
        event = self.event(value[head], (*steps, head))
        if head == "never" and "in" not in value:
            raise self.error("`never` needs a window", (*steps, head), "add e.g. in: 7d, or in: ever")
        times = Count(0, 0) if head == "never" else Count(1, None)
        if "times" in value and head == "did":
            times = self.noted(literals.count)(value["times"], (*steps, "times"))
        same = self.key(value["same"], (*steps, "same"), [event]) if "same" in value else None
        return Did(event, times, self.where(value, steps, event), self.window(value, steps), same)

    def event(self, name: Any, steps: Steps) -> str:
        if not isinstance(name, str) or name not in self.catalog.events:
            raise self.error(f"unknown event {name!r}", steps, self.catalog.event_hint(str(name)))
        return name

    def key(self, name: Any, steps: Steps, events: Iterable[str]) -> str:
        """A property that can tie events together: text or a whole number, and carried by every one of `events`."""
        for event in events:
            field = self.field(event, name, steps)
            if field.type not in {"string", "int64"}:
                raise self.error(f"{name} is {field.type}: events are tied by text or whole numbers only", steps)
        return name

    def field(self, event: str, name: Any, steps: Steps) -> Field:
        fields = self.catalog.events[event]
        if name not in fields:
            raise self.error(f"{event} has no property {name!r}", steps, suggestion(str(name), fields) or f"it has {', '.join(fields)}")
        return fields[name]

    def where(self, value: Mapping[str, Any], steps: Steps, event: str) -> Where:
        if "where" not in value:
            return ()
        content, at = value["where"], (*steps, "where")
        if not isinstance(content, dict) or not content:
            raise self.error("a mapping of properties to tests belongs here", at, "e.g. {category: Shoes}")
        tests = []
        for name, test in content.items():
            with self.gather():
                tests.append((name, self.test(test, (*at, name), self.field(event, name, (*at, name)))))
        for name, test in tests:
            if next(cuts(Attribute(name, test)), None):
                self.errors.append(self.error(f"{name} is a property: only attributes have percentiles", (*at, name)))
        return tuple(sorted(tests, key=lambda pair: pair[0]))

    def window(self, value: Mapping[str, Any], steps: Steps) -> Window:
        return self.noted(literals.window)(value["in"], (*steps, "in")) if "in" in value else Ever()

    def then(self, value: dict[str, Any], steps: Steps) -> Then:
        at = (*steps, "then")
        found = self.each(value["then"], at, self.step)
        if len(found) < len(value["then"]):
            raise self.errors.pop()
        if len(found) < 2:
            raise self.error("a sequence has at least two steps", at, "for one event write {did: ...}")
        chain: list[Step] = []
        for i, step in enumerate(found):
            if isinstance(step, Step):
                if step.within is not None and not chain:
                    raise self.error("the first step has no step before it to be `within`", (*at, i))
                chain.append(step)
            elif not chain:
                raise self.error("`no` needs a step before it to count from", (*at, i))
            else:
                last = chain.pop()
                chain.append(Step(last.event, last.where, last.within, (*last.absences, step)))
        within = self.noted(literals.span)(value["within"], (*steps, "within")) if "within" in value else None
        ties = value.get("ties", "strict")
        if ties not in {"strict", "allow"}:
            raise self.error(f"{ties!r} is not a rule for ties", (*steps, "ties"), "strict or allow")
        events = [e.event for step in chain for e in (step, *step.absences)]
        on = self.key(value["on"], (*steps, "on"), events) if "on" in value else None
        return self.remember(Then(tuple(chain), within, on, self.window(value, steps), ties == "allow"), at)

    def step(self, value: Any, steps: Steps) -> Step | Absence:
        if isinstance(value, str):
            return Step(self.event(value, steps), (), None, ())
        if isinstance(value, dict) and "no" in value:
            self.mapping(value, steps, ("no", "for", "within", "where"))
            if ("for" in value) == ("within" in value):
                raise self.error(
                    "`no` takes either `for` or `within`", (*steps, "no"), "for: none up to now; within: none in that time, later allowed"
                )
            event, word = self.event(value["no"], (*steps, "no")), "for" if "for" in value else "within"
            return Absence(event, self.where(value, steps, event), self.noted(literals.span)(value[word], (*steps, word)), word == "for")
        if isinstance(value, dict) and len(value) == 1:
            [(name, options)] = value.items()
            event, at = self.event(name, (*steps, name)), (*steps, name)
            self.mapping(options, at, ("where", "within"))
            within = self.noted(literals.span)(options["within"], (*at, "within")) if "within" in options else None
            return Step(event, self.where(options, at, event), within, ())
        raise self.error("a step is an event, {event: {where, within}} or {no: event, for: 48h}", steps)

    def check(self, segment: Segment) -> None:
        """What can only be seen once the whole condition is read."""
        found = list(leaves(segment.where))
        if len(found) > MAX_LEAVES:
            raise self.error(f"{len(found):,} clauses in one segment", ("where",), f"at most {MAX_LEAVES:,}; use lists or nested segments")
        try:
            resolve(segment.where)
        except BindingError as error:
            self.errors.append(self.error(str(error), self._steps.get(id(error.leaf), ("where",)), error.hint))
        days = any(map(needs_zone, windows(segment.where)))
        if segment.calendar is None and "calendar" not in self.document.data and (days or dates_in(segment.where, self.catalog)):
            self.errors.append(
                self.error("a calendar window or date needs `calendar:`", ("segment",), "profile, UTC, or a zone such as Europe/Berlin")
            )

    def fixture(self, value: Any, steps: Steps, segment: Segment) -> Fixture:
        self.mapping(value, steps, ("events", "at", "member", "person", "denied", "cuts"))
        if "at" not in value or not isinstance(value.get("member"), bool):
            raise self.error("a fixture needs `at` and `member: true` or `member: false`", steps)
        events = value.get("events", [])
        attributes = self.catalog.attributes

        def attribute(name: str, content: Any, part: str) -> tuple[str, Scalar]:
            if name not in attributes:
                raise self.error(f"unknown attribute {name!r}", (*steps, part, name), suggestion(name, attributes))
            return name, self.noted(lambda v: literals.scalar(v, attributes[name]))(content, (*steps, part, name))

        named = {name for name, _ in cuts(segment.where)}
        given = value.get("cuts", {})
        if named - set(given):
            names = ", ".join(sorted(named - set(given)))
            raise self.error(f"one person has no percentiles: give the threshold of {names}", steps, "cuts: {attribute: value}")
        return Fixture(
            self.each(events, (*steps, "events"), self.fixture_event) if events else (),
            self.moment(value["at"], (*steps, "at")),
            value["member"],
            person=tuple(attribute(n, v, "person") for n, v in value.get("person", {}).items()),
            denied=self.needs(value["denied"], (*steps, "denied")) if "denied" in value else (),
            cuts=tuple(attribute(n, v, "cuts") for n, v in given.items()),
            place=self.document.place(steps),
        )

    def moment(self, value: Any, steps: Steps) -> Any:
        if isinstance(value, str) and re.match(r"\d{4}-", value):
            found = self.noted(literals.moment)(value, steps)
            return self.noted(literals.moment)(f"{found}T00:00:00Z", steps) if len(value) == 10 else found
        return self.noted(literals.duration)(value, steps)

    def fixture_event(self, value: Any, steps: Steps) -> FixtureEvent:
        try:
            time, name, *pairs = shlex.split(self.text(value, steps))
        except ValueError:
            raise self.error(f"{value!r} is not an event", steps, "write e.g. `10m product_added cart_id=1`") from None
        event, properties = self.event(name, steps), []
        for pair in pairs:
            prop, equals, content = pair.partition("=")
            if not equals:
                raise self.error(f"{pair!r} is not a property", steps, "write name=value")
            field = self.field(event, prop, steps)
            literal = {"true": True, "false": False}.get(content, content) if field.type == "boolean" else content
            properties.append((prop, self.noted(lambda v, f=field: literals.scalar(v, f))(literal, steps)))
        return FixtureEvent(self.moment(time, steps), event, tuple(properties))
