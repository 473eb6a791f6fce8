"""Clauses bound to one key (`same:`): counts per person and key, and the keys for which a group of clauses holds."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir

from seg_assets.segments.ast import All, Any, Condition, Did, NoneOf, leaves
from seg_assets.segments.binding import Same
from seg_assets.segments.scene import Scene, conjunction, disjunction


def clauses(group: Same) -> dict[Did, str]:
    """The group's clauses, each with the name of its count column."""
    found: dict[Did, str] = {}
    for leaf in leaves(group.condition):
        if isinstance(leaf, Did):
            found.setdefault(leaf, f"n{len(found)}")
    return found


def key_events(scene: Scene, group: Same, calendar: str | None) -> ir.Table:
    """Events of the group with a key that some clause can count, now or later: what `Scene.events` gives, and `key` as text."""
    named = list(clauses(group))
    properties = {name for leaf in named for name, _ in leaf.where} | {group.key}
    rows = scene.events({leaf.event for leaf in named}, properties, {calendar})
    counted = disjunction((rows.event_type == leaf.event) & scene.since(rows, leaf.window, calendar) for leaf in named)
    return rows.filter(counted, rows[f"p_{group.key}"].notnull()).mutate(key=rows[f"p_{group.key}"].cast("string"))


def in_count(leaf: Did, number: ir.IntegerValue) -> ir.BooleanValue:
    """Whether a number of events is what the clause asks for."""
    low, high = leaf.count.low, leaf.count.high
    if high is None:
        return number >= low
    return number == low if low == high else (number >= low) & (number <= high)


def holds(condition: Condition, truths: Mapping[Did, ir.BooleanValue]) -> ir.BooleanValue:
    """A group's condition from the truth of its clauses."""
    if isinstance(condition, Did):
        return truths[condition]
    if isinstance(condition, All | Any | NoneOf):
        parts = [holds(part, truths) for part in condition.parts]
        return conjunction(parts) if isinstance(condition, All) else disjunction(parts) if isinstance(condition, Any) else ~disjunction(parts)
    raise AssertionError(condition)


def key_counts(scene: Scene, group: Same, calendar: str | None) -> ir.Table:
    """Per person and key with an event of the group at as_of: the count of each clause, and `met`, whether the group holds.

    Returns:
        person_id, key, n0, n1, ..., met.
    """
    rows = key_events(scene, group, calendar)
    named = clauses(group)
    counts = {
        name: rows.count(where=scene.matches(rows, leaf.event, leaf.where, calendar) & scene.span(leaf.window, calendar, rows).holds(rows.t))
        for leaf, name in named.items()
    }
    table = rows.group_by("person_id", "key").agg(**counts)
    return table.mutate(met=holds(group.condition, {leaf: in_count(leaf, table[name]) for leaf, name in named.items()}))
