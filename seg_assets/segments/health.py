"""How segments fare: size, movement, overlap with each other, cost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any as Anything

import ibis.expr.types as ir

from seg_assets.schema.tables import SEGMENT_HEALTH
from seg_assets.segments.ast import Segment, cuts
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.passage import Passage, passages
from seg_assets.segments.scene import Cuts
from seg_assets.segments.words import bound_text, sentence
from seg_assets.segments.workspace import rows_table

PAIRS_LIMIT = 20_000_000
"""Overlap reads every pair of memberships of a person; beyond so many, a fixed sample of persons stands for all."""


def health_table(
    segments: SegmentSet,
    memberships: ir.Table,
    changes: ir.Table,
    persons: ir.IntegerScalar,
    *,
    errors: Mapping[str, str],
    costs: Mapping[str, float],
    cuts: Cuts,
    as_of: dt.datetime,
) -> ir.Table:
    """One row per segment; see `SEGMENT_HEALTH`."""
    population = persons.to_pyarrow().as_py()
    sizes = _by_segment(memberships.group_by("segment").agg(size=memberships.count(), next_flip=memberships.valid_until.min()))
    moves = _by_segment(changes.group_by("segment").agg(adds=(changes.change == "entered").sum(), drops=(changes.change == "left").sum()))
    overlaps = overlap(memberships)
    ways = passages(segments)
    rows = []
    for name in sorted({*segments.segments, *errors}):
        size, move = sizes.get(name, {}), moves.get(name, {})
        segment, members, drops = segments.segments.get(name), size.get("size", 0), move.get("drops", 0)
        rows.append(
            {
                "segment": name,
                "title": segment.title if segment else name,
                "sentence": sentence(segment) if segment else "",
                "definition_hash": segments.hashes.get(name, ""),
                "as_of": as_of,
                "size": members,
                "share": members / population if population else 0.0,
                "adds": move.get("adds", 0),
                "drops": drops,
                "volatility": (move.get("adds", 0) + drops) / (members + drops) if members + drops else 0.0,
                **_closest(name, overlaps, sizes),
                "below_minimum": bool(segment) and below_minimum(segment, members, population),
                "stale": name in errors,
                "error": errors.get(name),
                "cost_seconds": costs.get(name, 0.0),
                "thresholds": json.dumps(_thresholds(segment, cuts) if segment else {}, sort_keys=True, default=float),
                "next_flip": size.get("next_flip"),
                "entered_by_time": Passage.IN in ways.get(name, ()),
            }
        )
    return rows_table(rows, SEGMENT_HEALTH.schema)


def below_minimum(segment: Segment, size: int, population: int) -> bool:
    """Whether a segment is smaller than its `min_size`."""
    minimum = segment.min_size
    return size < (minimum.count or 0) or (minimum.share is not None and size < minimum.share * population)


def overlap(memberships: ir.Table) -> dict[tuple[str, str], float]:
    """Persons two segments have in common, per pair of segments that have some; estimated from a sample of persons where there are very many."""
    per_person = memberships.group_by("person_id").agg(n=memberships.count())
    pairs = per_person.agg(pairs=(per_person.n * per_person.n).sum()).to_pyarrow()["pairs"][0].as_py() or 0
    share = min(1.0, PAIRS_LIMIT / pairs) if pairs else 1.0
    rows = memberships.select("person_id", "segment")
    if share < 1:
        rows = rows.filter(rows.person_id.cast("string").hexdigest("md5").substr(0, 8) < f"{int(share * 16**8):08x}")
    other = rows.view()
    joined = rows.inner_join(other, [rows.person_id == other.person_id, rows.segment < other.segment], rname="{name}_other")
    counted = joined.group_by("segment", "segment_other").agg(common=joined.count())
    return {(r["segment"], r["segment_other"]): r["common"] / share for r in counted.to_pyarrow().to_pylist()}


def _by_segment(table: ir.Table) -> dict[str, dict[str, Anything]]:
    return {row["segment"]: row for row in table.to_pyarrow().to_pylist()}


def _closest(name: str, overlaps: Mapping[tuple[str, str], float], sizes: Mapping[str, Mapping[str, Anything]]) -> dict[str, Anything]:
    """The segment most alike, and the one that holds most of the members; ties by name."""
    own = sizes.get(name, {}).get("size", 0)
    common = {other: n for pair, n in overlaps.items() if name in pair for other in pair if other != name}
    jaccard = {other: min(1.0, n / max(own + sizes[other]["size"] - n, n)) for other, n in common.items()}
    within = {other: min(1.0, n / own) for other, n in common.items()}
    alike = min(jaccard, key=lambda other: (-jaccard[other], other), default=None)
    holder = min(within, key=lambda other: (-within[other], other), default=None)
    return {
        "redundant_with": alike,
        "redundancy": jaccard.get(alike or "", 0.0),
        "contained_in": holder,
        "containment": within.get(holder or "", 0.0),
    }


def _thresholds(segment: Segment, resolved: Cuts) -> dict[str, Anything]:
    return {f"{name} {bound_text(cut)}": resolved.get((name, cut)) for name, cut in cuts(segment.where)}
