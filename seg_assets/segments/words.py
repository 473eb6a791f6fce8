"""A definition in other forms: canonical (for hashes and comparisons), in plain English, and the facts people ask of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any as Anything

from seg_assets.segments.ast import (
    Absence,
    All,
    Any,
    Attribute,
    Between,
    Calendar,
    Compare,
    Condition,
    Count,
    Cut,
    Did,
    Ever,
    Fixed,
    InSegment,
    Micros,
    Missing,
    NoneOf,
    Not,
    OneOf,
    Present,
    Rolling,
    Scalar,
    Segment,
    Step,
    Test,
    Then,
    Where,
    Window,
    leaves,
    windows,
)
from seg_assets.segments.literals import LENGTHS

GROUP_WORDS = {All: "all", Any: "any", NoneOf: "none"}


def duration_text(length: Micros) -> str:
    """`600_000_000` as `10m`."""
    parts = []
    for unit in ("d", "h", "m", "s"):
        number, length = divmod(length, LENGTHS[unit])
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"


def scalar_text(value: Scalar) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else f"{value:f}" if isinstance(value, Decimal) else str(value)


def bound_text(bound: Scalar | Cut) -> str:
    if isinstance(bound, Cut):
        return f"{'top ' if bound.top else 'p'}{bound.percent:f}{'%' if bound.top else ''}"
    return scalar_text(bound)


def test_text(test: Test) -> str:
    """A test as it is written in a definition."""
    match test:
        case Compare(">=", Cut(percent, True)):
            return f"top {percent:f}%"
        case Compare("<=", Cut(percent, False)):
            return f"bottom {percent:f}%"
        case Compare(op, bound):
            return bound_text(bound) if op == "=" else f"{op}{bound_text(bound)}"
        case Between(low, high):
            return f"{bound_text(low)}..{bound_text(high)}"
        case OneOf(values):
            return f"[{', '.join(map(scalar_text, values))}]"
        case Missing():
            return "missing"
        case Present():
            return "present"
        case Not(inner):
            return f"not {test_text(inner)}"


def count_text(count: Count) -> str:
    if count.high is None:
        return f">={count.low}"
    if count.low == count.high:
        return str(count.low)
    return f"<={count.high}" if not count.low else f"{count.low}..{count.high}"


def window_text(window: Window) -> str:
    match window:
        case Rolling(older, newer):
            return f"{duration_text(older)}..{duration_text(newer)}" if newer else duration_text(older)
        case Calendar(which, unit):
            return f"{which} {unit}"
        case Fixed(start, end):
            return f"{scalar_text_of(start)}..{scalar_text_of(end)}"
        case Ever():
            return "ever"


def scalar_text_of(moment: dt.date | dt.datetime) -> str:
    return scalar_text(moment) if isinstance(moment, dt.datetime) else moment.isoformat()


def leaf_text(leaf: Condition) -> str:
    """One clause in one line, as the `clause` of reasons."""
    match leaf:
        case Attribute(name, _):
            return name
        case InSegment(name):
            return f"in_segment {name}"
        case Did(event, count, where, window, same):
            head = f"never {event}" if count == Count(0, 0) else f"did {event}"
            return f"{head}{_where_text(where)}{'' if isinstance(window, Ever) else f' in {window_text(window)}'}{f' same {same}' if same else ''}"
        case Then(steps, within, on, window, ties):
            parts = [_step_text(e) for s in steps for e in (s, *s.absences)]
            options = [f"within {duration_text(within)}"] if within else []
            options += [f"on {on}"] if on else []
            options += [] if isinstance(window, Ever) else [f"in {window_text(window)}"]
            return " ".join([f"then {', '.join(parts)}", *options, *(["ties allow"] if ties else [])])
    return GROUP_WORDS[type(leaf)]


def _where_text(where: Where) -> str:
    return f" where {', '.join(f'{name} {test_text(test)}' for name, test in where)}" if where else ""


def _step_text(step: Step | Absence) -> str:
    if isinstance(step, Absence):
        return f"no {step.event}{_where_text(step.where)} {'for' if step.lasting else 'within'} {duration_text(step.span)}"
    return f"{step.event}{_where_text(step.where)}{f' within {duration_text(step.within)}' if step.within else ''}"


def canonical(segment: Segment) -> Anything:
    """What decides who is in the segment, as plain JSON data; equal for definitions that differ in order of clauses or spelling only."""

    def of(condition: Condition) -> Anything:
        if isinstance(condition, All | Any | NoneOf):
            return {GROUP_WORDS[type(condition)]: sorted((of(part) for part in condition.parts), key=repr)}
        if isinstance(condition, Attribute):
            return {condition.name: test_text(condition.test)}
        if isinstance(condition, Did):
            return {leaf_text(condition): count_text(condition.count)}
        return leaf_text(condition)

    return {"where": of(segment.where), "needs": list(segment.needs), "calendar": segment.calendar, "holdout": f"{segment.holdout.normalize():f}"}


def look_back(segment: Segment) -> Micros | None:
    """The longest time before as_of whose events decide, not counting nested segments; None where it has no bound."""
    longest = 0
    calendar = {"hour": LENGTHS["h"], "day": LENGTHS["d"], "week": LENGTHS["w"], "month": 31 * LENGTHS["d"], "quarter": 92 * LENGTHS["d"]}
    for window in windows(segment.where):
        if isinstance(window, Ever | Fixed):
            return None
        length = window.older if isinstance(window, Rolling) else calendar[window.unit] * (2 if window.which == "last" else 1) + LENGTHS["h"]
        longest = max(longest, length)
    return longest


def uses(segment: Segment) -> dict[str, set[str]]:
    """The events the condition names, each with the properties it reads."""
    found: dict[str, set[str]] = {}
    for leaf in leaves(segment.where):
        parts = [leaf] if isinstance(leaf, Did) else [e for s in leaf.steps for e in (s, *s.absences)] if isinstance(leaf, Then) else []
        key = leaf.same if isinstance(leaf, Did) else leaf.on if isinstance(leaf, Then) else None
        for part in parts:
            found.setdefault(part.event, set()).update([name for name, _ in part.where], [key] if key else [])
    return found


def sentence(segment: Segment) -> str:
    """The definition in plain English."""
    text = f"People {_join(segment.where, top=True)}"
    if segment.needs:
        text += f", and who allow {' and '.join(purpose.replace('_', ' ') for purpose in segment.needs)}"
    return f"{text}."


def _join(condition: Condition, top: bool = False) -> str:
    if isinstance(condition, All | Any | NoneOf):
        if len(condition.parts) == 1 and not isinstance(condition, NoneOf):
            return _join(condition.parts[0], top)
        joint = " and " if isinstance(condition, All) else " or "
        text = joint.join(_join(part) for part in condition.parts)
        if isinstance(condition, NoneOf):
            return f"to whom none of this applies: ({text})"
        return text if top else f"({text})"
    return _clause(condition)


def _clause(leaf: Condition) -> str:
    match leaf:
        case Attribute(name, test):
            return f"whose {_name(name)} {_test_words(test)}"
        case InSegment(name):
            return f"who are in the segment {name}"
        case Did(event, count, where, window, same):
            key = f" with one and the same {_name(same)}" if same else ""
            did = f"did not do {_name(event)}" if count == Count(0, 0) else f"did {_name(event)} {_times(count)}"
            return f"who {did}{_where_words(where)}{key} {_window_words(window)}"
        case Then(steps, within, on, window, ties):
            texts = [_step_words(step) for step in steps]
            whole = f", all within {_length(within)}" if within else ""
            key = f", with the same {_name(on)}" if on else ""
            return (
                f"who did {', then '.join(texts)}{whole}{key}, {_window_words(window)}{', events of one instant counting in order' if ties else ''}"
            )
    return ""


def _name(name: str | None) -> str:
    return (name or "").replace("_", " ").replace(".", " ")


def _length(length: Micros) -> str:
    units = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
    parts = []
    for unit, word in units.items():
        number, length = divmod(length, LENGTHS[unit])
        parts += [f"{number} {word}{'s' if number > 1 else ''}"] if number else []
    return " ".join(parts)


def _times(count: Count) -> str:
    plural: Callable[[int], str] = lambda n: "once" if n == 1 else "twice" if n == 2 else f"{n} times"  # noqa: E731
    if count.high is None:
        return "any number of times" if not count.low else f"at least {plural(count.low)}"
    if count.low == count.high:
        return f"exactly {plural(count.low)}"
    return f"at most {plural(count.high)}" if not count.low else f"{count.low} to {count.high} times"


def _test_words(test: Test) -> str:
    match test:
        case Compare(_, Cut()):
            return f"is in the {test_text(test)}" if " " in test_text(test) else f"is {test_text(test)}"
        case Compare(op, bound):
            words = {"=": "is", ">=": "is at least", "<=": "is at most", ">": "is more than", "<": "is less than"}
            return f"{words[op]} {bound_text(bound)}"
        case Between(low, high):
            return f"is from {bound_text(low)} to {bound_text(high)}"
        case OneOf(values):
            return f"is {' or '.join(map(scalar_text, values))}"
        case Missing():
            return "is unknown"
        case Present():
            return "is known"
        case Not(inner):
            return f"is known, but not so that it {_test_words(inner)}"


def _where_words(where: Where) -> str:
    return f" ({' and '.join(f'{_name(name)} {_test_words(test)}' for name, test in where)})" if where else ""


def _step_words(step: Step) -> str:
    text = f"{_name(step.event)}{_where_words(step.where)}{f' within {_length(step.within)}' if step.within else ''}"
    for absence in step.absences:
        until = "since, and that for" if absence.lasting else "in the following"
        text += f" with no {_name(absence.event)}{_where_words(absence.where)} {until} {_length(absence.span)}"
    return text


def _window_words(window: Window) -> str:
    match window:
        case Rolling(older, newer):
            return f"between {_length(older)} and {_length(newer)} ago" if newer else f"in the last {_length(older)}"
        case Calendar(which, unit):
            return f"{'in the' if which == 'last' else 'in'} {which} {unit}"
        case Fixed(start, end):
            return f"from {scalar_text_of(start)} to {scalar_text_of(end)}"
        case Ever():
            return "at any time"
