"""Why: per person and atom the value, the threshold and the event ids that decided, and how long the atom stays as it is.

The cited events are enough: a person with these events only has the same verdict (docs/segments.md, Reasons).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as Anything

import ibis
import ibis.expr.types as ir

from seg_assets.segments.ast import Attribute, Compare, Cut, Did, NoneOf, Then
from seg_assets.segments.binding import Bound, Same
from seg_assets.segments.compile import Atom, Consent, Facts, Rule
from seg_assets.segments.keyed import clauses, in_count, key_counts, key_events
from seg_assets.segments.scene import Scene, disjunction, left_joined
from seg_assets.segments.sequences import cited_events
from seg_assets.segments.timeline import Fixed, Flips, Interval, Timeline, chain_end, flips, has_interval
from seg_assets.segments.times import FOREVER
from seg_assets.segments.words import count_text, leaf_text, test_text


@ibis.udf.scalar.builtin(name="to_json")
def _to_json(value) -> str:  # type: ignore[no-untyped-def]  # any nested type; the engine's own function of this name
    ...


def evidence(facts: Facts, atom: Atom, persons: ir.Table) -> ir.Table | None:
    """What is found out about an atom beyond the facts.

    Args:
        facts: whose atom it is.
        atom: the atom.
        persons: person_id of those it is wanted for.

    Returns:
        person_id and, by the atom's name `a`: a_n (of a count) and a_events (array of ids), a_lo and a_hi or a_flips (see `timeline`), for keyed groups a_key and the
        counts a_n0, ... of that key. Persons with nothing to say are absent. None for atoms that are on the person alone.
    """
    name, scene = facts.names[atom], facts.scene.only(persons)
    leaf, chain = atom.leaf, None
    if isinstance(leaf, Did):
        table = _count_evidence(scene, leaf, atom.calendar, name)
    elif isinstance(leaf, Then):
        chain = facts.chain(atom).semi_join(persons, "person_id")
        table = _chain_evidence(scene, leaf, atom.calendar, name, chain)
    elif isinstance(leaf, Same):
        table = _key_evidence(scene, leaf, atom.calendar, name)
    else:
        return None
    if has_interval(scene, atom):
        return table
    return _either(table, flips(scene, atom, chain).rename({f"{name}_flips": "flips"}))


def _either(left: ir.Table, right: ir.Table) -> ir.Table:
    """Rows of persons that are in either table."""
    joined = left.outer_join(right, "person_id")
    return joined.mutate(person_id=ibis.coalesce(joined.person_id, joined.person_id_right)).drop("person_id_right")


def _count_evidence(scene: Scene, did: Did, calendar: str | None, name: str) -> ir.Table:
    """The latest events, as many as decide: `low` of them, or where there is an upper bound one more than it.

    The interval ends when the low-th latest event leaves the window, and begins when the first beyond the upper bound does.
    """
    low, high = did.count.low, did.count.high
    decisive = low if high is None else high + 1
    rows = scene.events([did.event], [n for n, _ in did.where], {calendar})
    span = scene.span(did.window, calendar, rows)
    rows = rows.filter(scene.matches(rows, did.event, did.where, calendar), span.holds(rows.t))
    span = scene.span(did.window, calendar, rows)
    ranked = rows.select("person_id", "event_id", "t", leave=span.leave(rows.t) if span.only_loses else ibis.literal(0, "int64")).mutate(
        rank=ibis.row_number().over(group_by="person_id", order_by=[ibis.desc("t"), ibis.desc("event_id")])
    )

    def leave(rank: int) -> Anything:
        return ranked.leave.max(where=ranked["rank"] == rank)

    ends = {f"{name}_hi": leave(low - 1).fill_null(-FOREVER) if low else ibis.literal(FOREVER, "int64")}
    ends |= {f"{name}_lo": leave(high).fill_null(-FOREVER) if high is not None else ibis.literal(-FOREVER, "int64")}
    found = {f"{name}_n": ranked.count(), f"{name}_events": _ids(ranked, ranked["rank"] < decisive)}
    return ranked.group_by("person_id").agg(**found, **(ends if span.only_loses else {}))


def _ids(rows: ir.Table, where: ir.BooleanValue | None = None) -> Anything:
    """The rows' event ids, earliest first. Sorted as an array: an ordered aggregate takes four times as long."""
    pairs: Anything = ibis.struct({"t": rows.t, "event_id": rows.event_id}).collect(where=where)
    return pairs.sort().map(lambda pair: pair["event_id"])


def _chain_evidence(scene: Scene, then: Then, calendar: str | None, name: str, chain: ir.Table) -> ir.Table:
    """A chain's events; for those without a chain, the events that can stand in the way of one."""
    found = cited_events(scene, then, calendar, chain).rename({f"{name}_events": "events"})
    if not any(step.absences for step in then.steps):
        return left_joined(found, chain_end(scene, then, calendar, chain).rename({f"{name}_hi": "hi"})).mutate(
            **{f"{name}_lo": ibis.literal(-FOREVER, "int64")}
        )
    absences = [a for step in then.steps for a in step.absences]
    rows = scene.events({a.event for a in absences}, {n for a in absences for n, _ in a.where} | ({then.on} if then.on else set()), {calendar})
    blocks = disjunction(scene.matches(rows, a.event, a.where, calendar) for a in absences)
    blocking = rows.filter(scene.since(rows, then.window, calendar), blocks).anti_join(found, "person_id")
    return found.union(blocking.group_by("person_id").agg(**{f"{name}_events": _ids(blocking)}))


def _key_evidence(scene: Scene, group: Same, calendar: str | None, name: str) -> ir.Table:
    """The key for which most clauses hold (the group itself first; ties by key), its counts, and the latest events that decide them.

    Where the group does not hold, every event that an upper bound counts is cited, of whatever key.
    """
    named = clauses(group)
    counts = key_counts(scene, group, calendar)
    held = sum((in_count(leaf, counts[n]).cast("int64") for leaf, n in named.items()), ibis.literal(0, "int64"))
    order = [ibis.desc(counts.met), ibis.desc(held), counts.key]
    best = counts.mutate(rank=ibis.row_number().over(group_by="person_id", order_by=order))
    best = best.filter(best["rank"] == 0)
    chosen = best.select("person_id", "met", **{f"{name}_key": "key"}, **{f"{name}_{n}": n for n in named.values()})
    rows = key_events(scene, group, calendar)
    rows = rows.inner_join(best.select("person_id", "met", chosen_key="key"), "person_id")
    parts = []
    for leaf in named:
        mine = scene.matches(rows, leaf.event, leaf.where, calendar) & scene.span(leaf.window, calendar, rows).holds(rows.t)
        hits = rows.filter(mine & ((rows.key == rows.chosen_key) | (~rows.met & ibis.literal(leaf.count.high is not None))))
        ranked = hits.mutate(rank=ibis.row_number().over(group_by=["person_id", "key"], order_by=[ibis.desc("t"), ibis.desc("event_id")]))
        decisive = leaf.count.low if leaf.count.high is None else leaf.count.high + 1
        parts.append(ranked.filter(ranked["rank"] < decisive).select("person_id", "event_id", "t"))
    cited = parts[0]
    for more in parts[1:]:
        cited = cited.union(more)
    cited = cited.distinct()
    return left_joined(chosen.drop("met"), cited.group_by("person_id").agg(**{f"{name}_events": _ids(cited)}))


def with_evidence(facts: Facts, rule: Rule, rows: ir.Table, found: Mapping[Atom, ir.Table]) -> tuple[ir.Table, dict[Atom, Timeline]]:
    """The facts of some persons with the evidence of a rule's atoms.

    Args:
        facts: of all.
        rule: the rule.
        rows: rows of the facts.
        found: what `evidence` gave per atom.

    Returns:
        `rows` with `a_met` per atom and the evidence's columns, defaults filled in; and the timeline of every atom.
    """
    table = left_joined(rows, *(found[atom] for atom in rule.atoms if atom in found))
    columns: dict[str, Anything] = {}
    timelines: dict[Atom, Timeline] = {}
    for atom in rule.atoms:
        name = facts.names[atom]
        columns[f"{name}_met"] = facts.truth(table, atom)
        if isinstance(atom.leaf, Attribute):
            timelines[atom] = Fixed(f"{name}_met")
        elif has_interval(facts.scene, atom):
            always = isinstance(atom.leaf, Did) and not atom.leaf.count.low
            consent = isinstance(atom.leaf, Consent)
            columns[f"{name}_lo"] = ibis.literal(-FOREVER, "int64") if consent else table[f"{name}_lo"].fill_null(-FOREVER)
            columns[f"{name}_hi"] = table[name if consent else f"{name}_hi"].fill_null(FOREVER if always else -FOREVER)
            timelines[atom] = Interval(f"{name}_lo", f"{name}_hi")
        else:
            timelines[atom] = Flips(f"{name}_met", f"{name}_flips")
    return table.mutate(**columns), timelines


def reasons(facts: Facts, rule: Rule, table: ir.Table) -> ir.StringValue:
    """The reasons of each row as JSON text: a list with one object per clause.

    `clause` is the definition's text; `met` whether it holds and `wanted` whether membership asks for it (false below `none`); `value` and
    `threshold` what was compared, as text; `events` the ids of the events that decided.
    """
    wanted = _polarity(rule.condition)
    return _to_json(ibis.array([entry for atom in rule.atoms for entry in _entries(facts, atom, table, wanted[atom])])).cast("string")


def _polarity(condition: Anything, wanted: bool = True) -> dict[Atom, bool]:
    if isinstance(condition, Bound):
        inner = wanted != (condition.kind is NoneOf)
        merged: dict[Atom, bool] = {}
        for part in condition.parts:
            merged = _polarity(part, inner) | merged
        return merged
    return {condition: wanted}


def _entries(facts: Facts, atom: Atom, table: ir.Table, wanted: bool) -> list[ir.StructScalar]:
    name, leaf = facts.names[atom], atom.leaf
    met: Anything = table[f"{name}_met"]
    none = ibis.literal([], "array<string>")

    def entry(clause: str, met: Anything, value: Anything, threshold: str, events: Anything = none) -> Anything:
        return ibis.struct({"clause": clause, "met": met, "wanted": wanted, "value": value.cast("string"), "threshold": threshold, "events": events})

    if isinstance(leaf, Attribute):
        return [entry(leaf.name, met, facts.scene.attribute(table, leaf.name), _threshold(facts.scene, leaf))]
    if isinstance(leaf, Consent):
        return [entry(f"allows {leaf.purpose}", met, met.ifelse("granted", "not granted"), "granted")]
    events = ibis.coalesce(table[f"{name}_events"], none)
    if isinstance(leaf, Did):
        return [entry(leaf_text(leaf), met, table[f"{name}_n"].fill_null(0), count_text(leaf.count), events)]
    if isinstance(leaf, Then):
        return [entry(leaf_text(leaf), met, met.ifelse("complete", "not complete"), "complete", events)]
    below = []
    for did, column in clauses(leaf).items():
        number = table[f"{name}_{column}"].fill_null(0)
        below.append(entry(leaf_text(did), in_count(did, number), number, count_text(did.count)))
    return [entry(f"one {leaf.key} for which", met, table[f"{name}_key"], "the clauses that follow", events), *below]


def _threshold(scene: Scene, leaf: Attribute) -> str:
    """The test; a data-driven bound with the value it stood for."""
    test = leaf.test
    if isinstance(test, Compare) and isinstance(test.bound, Cut):
        value = scene.cuts[leaf.name, test.bound]
        return f"{test_text(test)}: {test.op}{value if value is not None else 'no value'}"
    return test_text(test)
