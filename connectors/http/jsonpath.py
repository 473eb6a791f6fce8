"""JSONPath for rules and rows: the part of RFC 9535 that vendors' answers need, fast enough to run for every row.

`$` or `@`, then any of `.name`, `['name']`, `[3]`, `[-1]`, `[*]`, `.*`, `[?@.path]`, `[?!@.path]`, `[?@.path == literal]`, `[?@.path != literal]`.
Anything else is refused when the path is parsed. Libraries for all of RFC 9535 build a node per step, which costs more than sending the row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

Place = int | str | None
"""Index or name of what a `[*]`, `.*` or filter chose; None where nothing was to choose."""
Step = Callable[[Any], Iterator[tuple[Place, Any]]]
"""One selector: what it finds in a value, each with its place."""

_NEXT = re.compile(
    r"""\.(?P<name>[A-Za-z_][\w-]*) | \.(?P<every>\*) | \[(?P<index>-?\d+)\] | \[(?P<all>\*)\] | \[(?P<quoted>'[^']*'|"[^"]*")\]
      | \[\?\s*(?P<no>!?)\s*@(?P<sub>(?:\.[\w-]+|\[-?\d+\])*)\s*(?:(?P<op>==|!=)\s*(?P<literal>'[^']*'|[^\]'\s]+)\s*)?\]""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class JsonPath:
    """A parsed path. Compare and print it by its text."""

    text: str
    steps: tuple[Step, ...] = field(repr=False, compare=False)
    names: tuple[str, ...] | None = field(default=None, repr=False, compare=False)
    """Where every step is a name: these, as most paths are walked for every row."""

    def find(self, value: Any) -> list[Any]:
        """Everything the path leads to, in the answer's order."""
        if self.names is None:
            return [found for _, found in self.located(value)]
        for name in self.names:
            if not isinstance(value, dict) or name not in value:
                return []
            value = value[name]
        return [value]

    def first(self, value: Any) -> Any:
        """The first thing the path leads to, or None."""
        found = self.find(value)
        return found[0] if found else None

    def located(self, value: Any) -> Iterator[tuple[Place, Any]]:
        """As `find`, each with its place in the array or object that a `[*]`, `.*` or filter chose it from."""
        found: Iterator[tuple[Place, Any]] = iter(((None, value),))
        for step in self.steps:
            found = _taken(found, step)
        return found


def parse(text: str | JsonPath) -> JsonPath:
    """The path a text stands for.

    Raises:
        ValueError: it is not JSONPath, or uses a part of it that is not supported.
    """
    if isinstance(text, JsonPath):
        return text
    if not isinstance(text, str) or text[:1] not in {"$", "@"}:
        raise ValueError("a JSONPath starts with $ (or @)")
    matches: list[re.Match[str]] = []
    at = 1
    while at < len(text):
        match = _NEXT.match(text, at)
        if not match:
            raise ValueError(f"not a supported JSONPath from {text[at:]!r} on")
        matches.append(match)
        at = match.end()
    names = tuple(name for match in matches if (name := _name(match)) is not None)
    return JsonPath(text, tuple(map(_step, matches)), names if len(names) == len(matches) else None)


Path = Annotated[
    JsonPath, BeforeValidator(parse), PlainSerializer(lambda path: path.text), WithJsonSchema({"type": "string", "description": "JSONPath"})
]
"""`JsonPath` as a field of a pydantic model."""


def _taken(found: Iterator[tuple[Place, Any]], step: Step) -> Iterator[tuple[Place, Any]]:
    for place, value in found:
        for nearer, child in step(value):
            yield place if nearer is None else nearer, child


def _step(match: re.Match[str]) -> Step:
    if (name := _name(match)) is not None:
        return _member(name)
    if match["index"] is not None:
        return _element(int(match["index"]))
    if match["sub"] is not None:
        return _filter(match)
    return _children


def _name(match: re.Match[str]) -> str | None:
    return match["name"] if match["quoted"] is None else match["quoted"][1:-1]


def _member(name: str) -> Step:
    def step(value: Any) -> Iterator[tuple[Place, Any]]:
        if isinstance(value, dict) and name in value:
            yield None, value[name]

    return step


def _element(index: int) -> Step:
    def step(value: Any) -> Iterator[tuple[Place, Any]]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield None, value[index]

    return step


def _children(value: Any) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, list):
        yield from enumerate(value)
    elif isinstance(value, dict):
        yield from value.items()


def _filter(match: re.Match[str]) -> Step:
    sub = parse(f"@{match['sub']}")
    if match["op"] and match["no"]:
        raise ValueError("a filter is either negated or a comparison")
    if match["op"] is None:
        wanted = not match["no"]
        return lambda value: (found for found in _children(value) if bool(sub.find(found[1])) is wanted)
    holds, equal = _equals(sub, _literal(match["literal"])), match["op"] == "=="
    return lambda value: (found for found in _children(value) if holds(found[1]) is equal)


def _equals(sub: JsonPath, literal: Any) -> Callable[[Any], bool]:
    """Whether a path leads to one thing, which is the literal."""
    if sub.names is not None and len(sub.names) == 1:
        (name,) = sub.names
        return lambda value: isinstance(value, dict) and name in value and value[name] == literal
    return lambda value: sub.find(value) == [literal]


def _literal(text: str) -> Any:
    try:
        return text[1:-1] if text.startswith("'") else json.loads(text)
    except ValueError:
        raise ValueError(f"{text} is no literal: write 'text', a number, true, false or null") from None
