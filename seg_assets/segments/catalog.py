"""What segments may name, with types: events and their properties, attributes of persons, consent purposes.

Built from the taxonomy and the canonical person tables; nothing is named here a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import ibis.expr.datatypes as dtypes

from connectors.words import did_you_mean
from seg_assets.errors import ProjectError
from seg_assets.schema.tables import ENGAGEMENT, EVENTS, FEATURES, PERSONAS, PROFILES, RFM
from seg_assets.schema.taxonomy import Taxonomy, default_taxonomy, fold
from seg_assets.schema.types import Table

SHARES = ("device", "channel")
"""Properties whose distribution over a person's events is an attribute: `device_share.mobile`."""

TIMEZONE = "timezone"
"""Attribute that holds a person's IANA time zone; `calendar: profile` reads it."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)?")


@dataclass(frozen=True)
class Field:
    """A property or attribute that can be tested.

    Args:
        type: string, int64, float64, decimal, boolean, timestamp or date.
        values: the closed list it takes, or None.
        json: a custom property, kept in the events' `properties` JSON.
        share: for a derived share, the property and value it counts.
    """

    name: str
    type: str
    description: str
    unit: str | None = None
    values: tuple[str, ...] | None = None
    json: bool = False
    share: tuple[str, str] | None = None

    @property
    def numeric(self) -> bool:
        return self.type in {"int64", "float64", "decimal"}


@dataclass(frozen=True)
class Catalog:
    """The closed vocabulary of a project's segments."""

    events: Mapping[str, Mapping[str, Field]]
    attributes: Mapping[str, Field]
    purposes: Mapping[str, str]
    spellings: Mapping[str, str]

    def event_hint(self, name: str) -> str | None:
        """A suggestion for an unknown event: its canonical name where the taxonomy knows another spelling, else the nearest ones."""
        known = self.spellings.get(fold(name))
        return f"did you mean {known!r}?" if known else suggestion(name, self.events)


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The hint for a name that a segment misspells: at most two it may stand for; None when none is near."""
    return did_you_mean(fold(word), known, at_most=2) or None


def catalog_of(taxonomy: Taxonomy, tables: Iterable[Table] = (PROFILES, FEATURES, ENGAGEMENT, RFM)) -> Catalog:
    """The catalog of a project.

    Args:
        taxonomy: the project's.
        tables: one-row-per-person tables whose columns are attributes.

    Raises:
        ProjectError: a name of the taxonomy can't be written in a segment.
    """
    attributes = {}
    for column in (c for table in tables for c in table.columns if c.name != "person_id"):
        attributes[column.name] = Field(column.name, _scalar(column.dtype), column.description, column.unit, _values(taxonomy, column.enum))
    for name, entry in taxonomy.attributes.items():
        attributes[name] = Field(name, entry.type, entry.description, entry.unit, _values(taxonomy, entry.enum))
    attributes["persona"] = Field("persona", "string", PERSONAS.column("persona").description)
    for prop in SHARES:
        for value in taxonomy.enums[prop]:
            name = f"{prop}_share.{value}"
            attributes.setdefault(name, Field(name, "float64", f"Share of events with {prop} {value}.", "share 0..1", share=(prop, value)))
    columns = set(EVENTS.schema.names)
    events = {
        event: {
            name: Field(name, entry.type, entry.description, entry.unit, _values(taxonomy, entry.enum), json=name not in columns)
            for name, entry in taxonomy.properties_of(event).items()
        }
        for event in taxonomy.events
    }
    for name in (*events, *attributes, *(p for fields in events.values() for p in fields)):
        if not _NAME.fullmatch(name):
            raise ProjectError(f"the taxonomy's name {name!r} can't be used in segments", hint="use letters, digits and underscores")
    return Catalog(events, attributes, taxonomy.purposes, taxonomy.event_spellings())


@cache
def default_catalog() -> Catalog:
    """The catalog of the default taxonomy."""
    return catalog_of(default_taxonomy())


def _values(taxonomy: Taxonomy, enum: str | None) -> tuple[str, ...] | None:
    return tuple(taxonomy.enums[enum]) if enum else None


def _scalar(dtype: dtypes.DataType) -> str:
    """The taxonomy's word for an Ibis type."""
    if dtype.is_decimal():
        return "decimal"
    if dtype.is_timestamp():
        return "timestamp"
    return str(dtype)
