"""A project's segments as one set: references between them, the order to read them in, and the hash each definition has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from seg_assets.errors import SegmentError
from seg_assets.segments.ast import Segment, nested
from seg_assets.segments.catalog import Catalog, default_catalog, suggestion
from seg_assets.segments.words import canonical


class SegmentsError(SegmentError):
    """Every mistake of a text or folder. `errors` has them one by one."""

    def __init__(self, errors: Iterable[SegmentError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


@dataclass(frozen=True)
class SegmentSet:
    """Segments that can be evaluated, and what is wrong with the others.

    Args:
        segments: by id; every segment stands after those it reads.
        catalog: what they were typed against.
        errors: every mistake, in the order of the files.
        broken: the ids that could not be read, or read one that could not, with the reason.
    """

    segments: Mapping[str, Segment]
    catalog: Catalog = field(repr=False, default_factory=default_catalog)
    errors: tuple[SegmentError, ...] = ()
    broken: Mapping[str, SegmentError] = field(default_factory=dict)

    @classmethod
    def of(
        cls, segments: Mapping[str, Segment], catalog: Catalog, errors: Iterable[SegmentError] = (), broken: Mapping[str, SegmentError] | None = None
    ) -> SegmentSet:
        """A set whose references are checked: unknown segments and cycles are errors, and whoever reads a broken segment is broken."""
        wrong, messages = dict(broken or {}), list(errors)
        messages += _unknown(segments, wrong)
        messages += _cycles({k: v for k, v in segments.items() if k not in wrong}, wrong)
        order: dict[str, Segment] = {}

        def place(name: str) -> None:
            for inner in nested(segments[name]):
                if inner not in order and inner in segments and inner not in wrong:
                    place(inner)
                if inner in wrong:
                    wrong.setdefault(name, SegmentError(f"it reads {inner!r}, which can't be evaluated", place=segments[name].place))
            if name not in wrong:
                order[name] = segments[name]

        for name in segments:
            if name not in order and name not in wrong:
                place(name)
        return cls(order, catalog, tuple(messages), wrong)

    def checked(self) -> SegmentSet:
        """This set, if it has no errors.

        Raises:
            SegmentsError: with all of them.
        """
        if self.errors:
            raise SegmentsError(self.errors)
        return self

    def __getitem__(self, name: str) -> Segment:
        if name not in self.segments:
            hint = suggestion(name, self.segments) or "`seg segments list` shows them"
            raise self.broken.get(name) or SegmentError(f"there is no segment {name!r}", hint=hint)
        return self.segments[name]

    def closure(self, names: Iterable[str]) -> SegmentSet:
        """The named segments and all they read, in order."""
        wanted: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name not in wanted:
                wanted.add(name)
                stack += nested(self[name])
        return replace(self, segments={k: v for k, v in self.segments.items() if k in wanted}, errors=(), broken={})

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """Per segment, 16 hex digits of what decides who is in it: its condition, consents, calendar, holdout, and the segments it reads.

        The title, fixtures and the order in which clauses are written do not count.
        """
        found: dict[str, str] = {}
        for name, segment in self.segments.items():
            text = json.dumps([canonical(segment), [found[inner] for inner in nested(segment)]], sort_keys=True)
            found[name] = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return found


def _unknown(segments: Mapping[str, Segment], wrong: dict[str, SegmentError]) -> list[SegmentError]:
    errors = []
    for name, segment in segments.items():
        for inner in nested(segment):
            if inner not in segments and inner not in wrong:
                error = SegmentError(f"{name} reads the unknown segment {inner!r}", place=segment.place, hint=suggestion(inner, segments))
                errors.append(error)
                wrong.setdefault(name, error)
    return errors


def _cycles(segments: Mapping[str, Segment], wrong: dict[str, SegmentError]) -> list[SegmentError]:
    """One error per cycle, naming it; depth first without recursion, so that long chains are no trouble."""
    errors, done = [], set()
    for root in segments:
        path: list[str] = []
        stack = [(root, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                path.pop()
                done.add(name)
            elif name in path:
                cycle = path[path.index(name) :]
                error = SegmentError(
                    f"segments read each other in a cycle: {' -> '.join([*cycle, name])}", place=segments[name].place, hint="break it"
                )
                errors.append(error)
                wrong.update(dict.fromkeys(cycle, error))
            elif name not in done and name in segments:
                path.append(name)
                stack.append((name, True))
                stack += [(inner, False) for inner in nested(segments[name])]
    return errors
