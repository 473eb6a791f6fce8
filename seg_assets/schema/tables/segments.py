"""What an evaluation of segments gives: memberships, changes, health."""

from __future__ import annotations

from seg_assets.schema.tables.unified import PERSON
from seg_assets.schema.types import UTC, Column, Table

SEGMENT = Column("segment", "string", "Segment id.", required=True)
HASH = Column("definition_hash", "string", "Hash of the definition that decided.", required=True)

MEMBERSHIPS = Table(
    ("segments", "memberships"),
    "Who is in which segment, why, and until when without a new event.",
    (
        PERSON,
        SEGMENT,
        HASH,
        Column("since", UTC, "As_of of the evaluation in which the person entered.", required=True),
        Column("valid_until", UTC, "When the person leaves if nothing happens; null for never."),
        Column("holdout", "boolean", "Kept back from activation, by a hash of segment id and person.", required=True),
        Column("reasons", "string", "JSON list, one object per clause: clause, met, wanted, value, threshold, events.", required=True),
    ),
    primary_key=("segment", "person_id"),
)

SEGMENT_CHANGES = Table(
    ("segments", "changes"),
    "Who entered and left a segment, when and why. One evaluation adds its rows to the log.",
    (
        PERSON,
        SEGMENT,
        Column("change", "string", "entered or left.", required=True),
        Column("as_of", UTC, "Instant of the evaluation that saw it.", required=True),
        HASH,
        Column("cause", "string", "data, definition (it was edited), person_removed or segment_removed.", required=True),
        Column("reason", "string", "Reasons as in memberships, as of the change; null where person or segment is gone."),
        Column("evaluation", "int64", "Version of segments/memberships that the evaluation made.", required=True, minimum=0),
    ),
    primary_key=("segment", "person_id", "evaluation"),
)

SEGMENT_HEALTH = Table(
    ("segments", "health"),
    "One row per segment and evaluation: size, movement, overlap, cost, and whether it may be activated.",
    (
        SEGMENT,
        Column("title", "string", "Title for people.", required=True),
        Column("sentence", "string", "The definition in plain English.", required=True),
        HASH,
        Column("as_of", UTC, "Instant it is true for.", required=True),
        Column("size", "int64", "Members.", unit="persons", required=True, minimum=0),
        Column("share", "float64", "Share of all persons.", unit="share 0..1", required=True, minimum=0, maximum=1),
        Column("adds", "int64", "Entered since the last evaluation.", unit="persons", required=True, minimum=0),
        Column("drops", "int64", "Left since the last evaluation.", unit="persons", required=True, minimum=0),
        Column("volatility", "float64", "Adds and drops by members before or after.", unit="share 0..1", required=True, minimum=0, maximum=1),
        Column("redundant_with", "string", "Segment with the highest Jaccard index; null when none overlaps."),
        Column(
            "redundancy",
            "float64",
            "That Jaccard index: common members by members of either.",
            unit="share 0..1",
            required=True,
            minimum=0,
            maximum=1,
        ),
        Column("contained_in", "string", "Segment that holds most of the members; null when none overlaps."),
        Column("containment", "float64", "Share of members in it.", unit="share 0..1", required=True, minimum=0, maximum=1),
        Column("below_minimum", "boolean", "Smaller than its min_size: not activated.", required=True),
        Column("stale", "boolean", "Could not be evaluated; the last good members stay.", required=True),
        Column("error", "string", "Why it is stale."),
        Column("cost_seconds", "float64", "Its share of the evaluation's time.", unit="seconds", required=True, minimum=0),
        Column("thresholds", "string", "Data-driven bounds and the value each stood for, as a JSON object.", required=True),
        Column("next_flip", UTC, "The earliest valid_until among members; null for none."),
        Column("entered_by_time", "boolean", "Persons can enter without an event, because time passes.", required=True),
    ),
    primary_key=("segment",),
)
