"""Makes a failing case small: drops and simplifies what the failure does not need, greedily, until nothing more can go."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.segments.definitions import is_defined
from tests.segments.generator import Case
from tests.segments.oracle import GROUPS

OPTIONAL = ("times", "where", "in", "same", "on", "within", "ties")


def reduce(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest case found that still fails.

    Args:
        case: a failing case.
        fails: whether a case fails; False too for a case that can't be judged.
    """
    while smaller := next((c for c in smaller_cases(case) if fails(c)), None):
        case = smaller
    return case


def smaller_cases(case: Case) -> Iterator[Case]:
    for field in ("documents", "persons", "events", "consents"):
        yield from (dataclasses.replace(case, **{field: fewer}) for fewer in shorter(getattr(case, field)))
    for number, document in enumerate(case.documents):
        for simpler in simpler_documents(document):
            if is_defined(simpler["where"]):
                yield dataclasses.replace(case, documents=[*case.documents[:number], simpler, *case.documents[number + 1 :]])
    for field in ("persons", "events"):
        rows = getattr(case, field)
        for column in {c for row in rows for c, value in row.items() if value is not None} - {"person_id", "event_id", "event_type", "event_time"}:
            yield dataclasses.replace(case, **{field: [row | {column: None} for row in rows]})


def shorter(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """The rows without all of them, without a half, a quarter, ..., and without one."""
    size = len(rows)
    while size:
        yield from ([*rows[:start], *rows[start + size :]] for start in range(0, len(rows), size))
        size //= 2


def simpler_documents(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("needs", "title", "calendar", "min_size", "holdout"):
        if key in document:
            yield {k: v for k, v in document.items() if k != key}
    for where in simpler_conditions(document["where"]):
        yield document | {"where": where}


def simpler_conditions(condition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in GROUPS:
        yield from condition.get(name, [])
    if len(condition) > 1:
        yield from ({k: v for k, v in condition.items() if k != key} for key in (*GROUPS, *OPTIONAL) if key in condition)
    for name in (*GROUPS, "then"):
        items = condition.get(name, [])
        yield from (condition | {name: [*items[:n], *items[n + 1 :]]} for n in range(len(items)) if len(items) > 1)
        simplify = simpler_steps if name == "then" else simpler_conditions
        yield from (condition | {name: [*items[:n], simpler, *items[n + 1 :]]} for n, item in enumerate(items) for simpler in simplify(item))


def simpler_steps(step: Any) -> Iterator[Any]:
    if isinstance(step, dict) and "no" not in step:
        ((event_type, options),) = step.items()
        yield event_type
        yield from ({event_type: {k: v}} for k, v in options.items() if len(options) > 1)
