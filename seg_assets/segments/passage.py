"""What the mere passage of time can do to a segment: bring persons in, or put them out. Read off the definition; who and when is in `judge.py`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from seg_assets.segments.ast import Attribute, Calendar, Condition, Did, InSegment, NoneOf, Rolling, Then, Window
from seg_assets.segments.definitions import SegmentSet


class Passage(Enum):
    """Which way time alone can turn a verdict."""

    IN = "in"
    OUT = "out"


Ways = frozenset[Passage]
NEITHER: Ways = frozenset()
OPPOSITE = {Passage.IN: Passage.OUT, Passage.OUT: Passage.IN}


def passages(segments: SegmentSet) -> dict[str, Ways]:
    """Per segment, the ways time alone can turn its verdicts; never one too few."""
    found: dict[str, Ways] = {}
    for name, segment in segments.segments.items():  # what a segment reads stands before it
        found[name] = _of(segment.where, found) | _ways(comes_in=False, goes_out=bool(segment.needs))  # consents expire
    return found


def _of(condition: Condition, known: Mapping[str, Ways]) -> Ways:
    match condition:
        case Attribute():
            return NEITHER
        case InSegment(name):
            return known[name]
        case Did(count=count, window=window):
            fewer, more = _losing(window), _gaining(window)
            lower, upper = count.low > 0, count.high is not None
            return _ways(comes_in=(lower and more) or (upper and fewer), goes_out=(lower and fewer) or (upper and more))
        case Then(steps=steps, window=window):
            waits = any(step.absences for step in steps)
            return _ways(comes_in=_gaining(window) or waits, goes_out=_losing(window) or (waits and _gaining(window)))
        case NoneOf(parts):
            return frozenset(OPPOSITE[way] for part in parts for way in _of(part, known))
        case _:
            return frozenset(way for part in condition.parts for way in _of(part, known))


def _losing(window: Window) -> bool:
    """Whether events drop out of the window as time passes."""
    return isinstance(window, Rolling | Calendar)


def _gaining(window: Window) -> bool:
    """Whether events that have happened come into the window as time passes."""
    return (isinstance(window, Rolling) and window.newer > 0) or (isinstance(window, Calendar) and window.which == "last")


def _ways(*, comes_in: bool, goes_out: bool) -> Ways:
    return frozenset({Passage.IN} if comes_in else ()) | frozenset({Passage.OUT} if goes_out else ())
