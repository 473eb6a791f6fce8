"""What destinations are told, and what became of it."""

from __future__ import annotations

from seg_assets.schema.tables.unified import PERSON
from seg_assets.schema.types import UTC, Column, Table

PERSONALISATION = (Column("next_best_channel", "string", "Channel to reach the person by that they allow and answer to.", enum="channel"),)
"""What destinations can be told about a person beside the columns of the tables above; worked out while planning."""

PLAN = Table(
    ("activation", "plan"),
    "What a delivery will do: one row per person and audience. No network, no personal data.",
    (
        Column("op_id", "string", "Deterministic id of the operation.", required=True),
        Column("op", "string", "add, update or remove.", required=True),
        Column("audience", "string", "Segment id.", required=True),
        PERSON,
        Column("payload_hash", "string", "Hash of what the destination shall hold.", required=True),
        Column("generation", "int64", "Operations on this person and audience acknowledged before, plus one.", required=True, minimum=1),
        Column("blocked", "string", "Why it is not sent; null when it is."),
        Column("cause", "string", "Why a member is removed; null for other operations."),
        Column("urgent", "boolean", "A removal for consent or suppression: sent first, and stopped by no guard.", required=True),
        Column("leave", "string", "How a member leaves who is not merely taken out of the audience: clear, archive or erase; null for all others."),
    ),
    primary_key=("audience", "person_id"),
)

RECEIPTS = Table(
    ("activation", "receipts"),
    "What became of every operation ever sent.",
    (
        Column("op_id", "string", "Operation.", required=True),
        Column("op", "string", "add, update or remove.", required=True),
        Column("audience", "string", "Segment id.", required=True),
        PERSON,
        Column("state", "string", "planned, gated, sending, acked, rejected, retry_wait, in_doubt, superseded or expired.", required=True),
        Column("reason", "string", "The destination's reason, without personal data."),
        Column("at", UTC, "As-of instant of the delivery.", required=True),
    ),
    primary_key=("op_id",),
)
