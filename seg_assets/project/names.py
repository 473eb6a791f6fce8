"""Which names a project may use for columns: canonical columns in mappings, person columns in payloads, numeric columns in clustering."""

from __future__ import annotations

from seg_assets.schema.tables import ENGAGEMENT, FEATURES, IDENTIFIERS, PERSONALISATION, PERSONAS, PROFILES, RFM, UNIFIED, VAULT
from seg_assets.schema.taxonomy import Taxonomy
from seg_assets.schema.types import Column

DERIVED = ("source", "day")
"""Columns of unified/ that the graph fills in itself."""
CUSTOM = {"events": "custom_properties", "contacts": "custom_attributes"}
"""Tables that take the taxonomy's own fields, and where the taxonomy keeps them."""


def mappable_columns(table: str, taxonomy: Taxonomy) -> dict[str, Column]:
    """What a mapping onto unified/`table` may name: its columns, and the taxonomy's custom properties (events) or attributes (contacts)."""
    canonical = {c.name: c for c in UNIFIED[table].columns if c.name not in DERIVED}
    custom = getattr(taxonomy, CUSTOM[table]) if table in CUSTOM else {}
    return canonical | {name: field.column(name) for name, field in custom.items() if name not in canonical}


def required_columns(table: str) -> tuple[str, ...]:
    """What a mapping onto unified/`table` must name."""
    return tuple(c.name for c in UNIFIED[table].columns if c.required and c.name not in DERIVED)


def identifier_names() -> tuple[str, ...]:
    """Columns of which a mapping must name at least one."""
    return tuple(c.name for c in IDENTIFIERS)


def person_columns(taxonomy: Taxonomy) -> dict[str, Column]:
    """What a destination's payload may carry about a person. Direct identifiers come from the vault at the moment of sending."""
    tables = (VAULT, PROFILES, FEATURES, ENGAGEMENT, RFM)
    columns = {c.name: c for table in tables for c in table.columns}
    columns |= {"persona": PERSONAS.column("label")} | {c.name: c for c in PERSONALISATION}
    return columns | {name: field.column(name) for name, field in taxonomy.custom_attributes.items() if name not in columns}


def clustering_columns() -> dict[str, Column]:
    """What persons can be compared by: numbers and words of profiles/features."""
    return {c.name: c for c in FEATURES.columns if c.type in ("int64", "float64", "string") and c.name != "person_id"}
