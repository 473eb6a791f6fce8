"""The canonical tables. A project's taxonomy adds columns to some of them through `Graph.table`; nothing else defines a table.

Connection-specific tables (`raw/...`, `activation/...`) share one shape per kind and get their key when the graph is built.
"""

from __future__ import annotations

from seg_assets.schema.tables.activation import PERSONALISATION, PLAN, RECEIPTS
from seg_assets.schema.tables.identity import IDENTITY_CHANGES, LINKS, PERSONS, VAULT
from seg_assets.schema.tables.ops import AUDIENCE_HEALTH
from seg_assets.schema.tables.people import ACTIVITY_DAILY, ASSIGNMENTS, ENGAGEMENT, FEATURES, PERSON_CONSENTS, PERSONAS, PROFILES, RFM
from seg_assets.schema.tables.segments import MEMBERSHIPS, SEGMENT_CHANGES, SEGMENT_HEALTH
from seg_assets.schema.tables.unified import CONSENTS, CONTACTS, ENRICHMENTS, EVENTS, IDENTIFIERS, MENTIONS, PERSON, QUARANTINE, SOURCE, UNIFIED
from seg_assets.schema.types import Table

ALL: tuple[Table, ...] = (
    *UNIFIED.values(),
    QUARANTINE,
    LINKS,
    PERSONS,
    IDENTITY_CHANGES,
    VAULT,
    PERSON_CONSENTS,
    ACTIVITY_DAILY,
    FEATURES,
    PROFILES,
    ENGAGEMENT,
    RFM,
    ASSIGNMENTS,
    PERSONAS,
    MEMBERSHIPS,
    SEGMENT_CHANGES,
    SEGMENT_HEALTH,
    PLAN,
    RECEIPTS,
    AUDIENCE_HEALTH,
)
"""Every canonical table, in the order of the graph."""

__all__ = [
    "ACTIVITY_DAILY",
    "ALL",
    "ASSIGNMENTS",
    "AUDIENCE_HEALTH",
    "CONSENTS",
    "CONTACTS",
    "ENGAGEMENT",
    "ENRICHMENTS",
    "EVENTS",
    "FEATURES",
    "IDENTIFIERS",
    "IDENTITY_CHANGES",
    "LINKS",
    "MEMBERSHIPS",
    "MENTIONS",
    "PERSON",
    "PERSONALISATION",
    "PERSONAS",
    "PERSONS",
    "PERSON_CONSENTS",
    "PLAN",
    "PROFILES",
    "QUARANTINE",
    "RECEIPTS",
    "RFM",
    "SEGMENT_CHANGES",
    "SEGMENT_HEALTH",
    "SOURCE",
    "UNIFIED",
    "VAULT",
]
