"""Verdicts with their reasons and the instant until which they hold, for chosen persons: what evaluation, timer and explanation share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from seg_assets.segments.compile import Atom, Facts, rules_of, scene_of
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.evidence import evidence, reasons, with_evidence
from seg_assets.segments.scene import Cuts, union
from seg_assets.segments.timeline import with_valid_until
from seg_assets.segments.times import timestamp
from seg_assets.segments.workspace import Workspace


def judge(facts: Facts, table: ir.Table, concerned: Mapping[str, ir.Table], work: Workspace) -> dict[str, ir.Table]:
    """Judges persons segment by segment; an atom that several segments share is looked into once.

    Args:
        facts, table: what is known of everybody; `table` is `facts.table()`, kept.
        concerned: per segment the persons to judge: person_id and whatever columns are to be carried along. Kept tables.
        work: where intermediate results go.

    Returns:
        Per segment, the columns of `concerned`, valid_until (microseconds, `FOREVER` for never) and reasons (JSON text).
    """
    users: dict[Atom, list[str]] = {}
    for name in concerned:
        for atom in facts.rules[name].atoms:
            users.setdefault(atom, []).append(name)
    found = {}
    for atom, names in users.items():
        known = evidence(facts, atom, union(concerned[name].select("person_id") for name in names).distinct())
        if known is not None:
            found[atom] = work.keep(known)
    judged = {}
    for name, persons in concerned.items():
        rule = facts.rules[name]
        known = table.select("person_id", *facts.columns(rule)).inner_join(persons, "person_id")
        rows, timelines = with_evidence(facts, rule, known, found)
        rows = with_valid_until(rows, rule, timelines, facts.scene.now)
        judged[name] = work.keep(rows.select(*persons.columns, "valid_until", reasons=reasons(facts, rule, rows)))
    return judged


def next_flips(
    segments: SegmentSet, *, persons: ir.Table, events: ir.Table, consents: ir.Table | None, as_of: dt.datetime, cuts: Cuts | None = None
) -> tuple[ir.Table, Workspace]:
    """For every person and segment, members or not, the next instant at which the verdict flips without a new event: the timer's index.

    Args:
        segments, persons, events, consents, as_of, cuts: as for `evaluate`.

    Returns:
        person_id, segment, member, valid_until (timestamp, null for never); and the workspace that holds it.
    """
    kept = Workspace()
    with Workspace() as work:
        scene = scene_of(segments, persons, events, consents, as_of.astimezone(dt.UTC), given=cuts, keep=work.keep)
        facts = Facts(rules_of(segments), scene, work.keep)
        table = work.keep(facts.table())
        everybody = {name: work.keep(table.select("person_id", member=facts.verdict(table, name))) for name in facts.rules}
        judged = judge(facts, table, everybody, work)
        parts = [
            rows.select("person_id", "member", segment=ibis.literal(name), valid_until=timestamp(rows.valid_until)) for name, rows in judged.items()
        ]
        return kept.keep(union(parts)).order_by("segment", "person_id"), kept
