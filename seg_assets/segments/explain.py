"""Why one person is in a segment or is not, and how near they are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir

from seg_assets.errors import SegmentError
from seg_assets.segments.ast import Then
from seg_assets.segments.compile import Facts, rules_of, scene_of
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.judge import judge
from seg_assets.segments.scene import Cuts
from seg_assets.segments.sequences import chain_events, chain_now, chain_starts
from seg_assets.segments.times import timestamp
from seg_assets.segments.words import leaf_text, sentence
from seg_assets.segments.workspace import Workspace


@dataclass(frozen=True)
class Explanation:
    """Why a verdict is as it is.

    Args:
        reasons: one object per clause, as in memberships; for a sequence that is not complete, `value` says how far it came.
        misses: the clauses that stand against membership, in words.
        valid_until: the next instant the verdict can flip without a new event, or None.
    """

    person_id: int
    segment: str
    sentence: str
    member: bool
    valid_until: dt.datetime | None
    reasons: tuple[Mapping[str, Any], ...]
    misses: tuple[str, ...]


def explain(
    segments: SegmentSet,
    person_id: int,
    segment: str,
    *,
    persons: ir.Table,
    events: ir.Table,
    consents: ir.Table | None,
    as_of: dt.datetime,
    cuts: Cuts | None = None,
) -> Explanation:
    """Explains the verdict on one person at `as_of`.

    Args:
        segments: the definitions.
        person_id, segment: who and what.
        persons, events, consents, as_of, cuts: as for `evaluate`; thresholds that are not given are resolved from all persons.

    Raises:
        SegmentError: there is no such segment or person.
    """
    part = segments.closure([segment])
    with Workspace() as work:
        scene = scene_of(part, persons, events, consents, as_of.astimezone(dt.UTC), given=cuts)
        only = work.keep(scene.people.filter(scene.people.person_id == person_id).select("person_id"))
        scene = scene.only(only)
        facts = Facts(rules_of(part), scene, work.keep)
        table = work.keep(facts.table())
        judged = judge(facts, table, {segment: work.keep(table.select("person_id", member=facts.verdict(table, segment)))}, work)[segment]
        found = judged.mutate(valid_until=timestamp(judged.valid_until)).to_pyarrow().to_pylist()
        if not found:
            raise SegmentError(f"there is no person {person_id}", hint="person ids are those of profiles/profiles")
        row = found[0]
        reached = {leaf_text(leaf): _progress(facts, atom.calendar, leaf) for atom in facts.names if isinstance(leaf := atom.leaf, Then)}
        reasons = tuple(
            clause | {"value": reached[clause["clause"]]} if clause["clause"] in reached and not clause["met"] else clause
            for clause in json.loads(row["reasons"])
        )
    missing = () if row["member"] else tuple(_miss(clause) for clause in reasons if clause["met"] != clause["wanted"])
    return Explanation(person_id, segment, sentence(segments[segment]), row["member"], row["valid_until"], reasons, missing)


def _progress(facts: Facts, calendar: str | None, then: Then) -> str:
    """How far a sequence came, in words."""
    number = len(then.steps)
    for k in range(number, 0, -1):
        prefix = replace(then, steps=(*then.steps[: k - 1], replace(then.steps[k - 1], absences=())))
        starts = chain_now(facts.scene, chain_starts(facts.scene, prefix, calendar, chain_events(facts.scene, prefix, calendar)))
        if starts.count().to_pyarrow().as_py():
            waiting = ", but not what must be absent after it" if then.steps[k - 1].absences else ""
            return f"{k} of {number} steps{waiting}"
    return f"0 of {number} steps"


def _miss(clause: Mapping[str, Any]) -> str:
    """A clause that stands against membership: `did product_viewed in 7d: 1, needs >=2`."""
    value = "unknown" if clause["value"] is None else clause["value"]
    return f"{clause['clause']}: {value}, {'needs' if clause['wanted'] else 'must not be'} {clause['threshold']}"
