"""Who is in which segment at one instant, and what changed since the evaluation before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from seg_assets.segments.compile import Facts, rules_of, scene_of
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.scene import Cuts, union


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    memberships: ir.Table


def evaluate(
    segments: SegmentSet,
    *,
    persons: ir.Table,
    events: ir.Table,
    consents: ir.Table | None,
    as_of: dt.datetime,
    previous: ir.Table | None = None,
    cuts: Cuts | None = None,
) -> Evaluation:
    scene = scene_of(segments, persons, events, consents, as_of, cuts)
    facts = Facts(rules_of(segments), scene)
    table = facts.table().cache()
    found = union(table.filter(facts.verdict(table, name)).select("person_id", segment=ibis.literal(name)) for name in segments.segments)
    return Evaluation(found.order_by("segment", "person_id").cache())
