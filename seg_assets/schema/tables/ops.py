"""How the graph itself stands."""

from __future__ import annotations

from seg_assets.schema.types import UTC, Column, Table

AUDIENCE_HEALTH = Table(
    ("ops", "audience_health"),
    "One row per table of the lake: how many rows it has, and for which instant they are true.",
    (
        Column("table", "string", "Table.", required=True),
        Column("rows", "int64", "Rows.", required=True, minimum=0),
        Column("version", "int64", "Delta version.", required=True, minimum=0),
        Column("as_of", UTC, "Instant it is true for.", required=True),
    ),
    primary_key=("table",),
)
