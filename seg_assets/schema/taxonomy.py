"""The taxonomy: which events, properties, attributes, enums and consent purposes a project knows. Read from YAML, closed for spelling mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from seg_assets.schema.types import MONEY, UTC, Column, Pii

ScalarType = Literal["string", "int64", "float64", "decimal", "boolean", "timestamp", "date"]
IBIS_TYPES: Mapping[str, str] = {"decimal": MONEY, "timestamp": UTC}


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventType(_Entry):
    """One kind of event."""

    description: str = Field(description="What happened, in one sentence.")
    properties: list[str] = Field(default=[], description="Names of the properties it carries, beside channel, device and session_id.")
    aliases: list[str] = Field(
        default=[], description="Other spellings in the sources; compared without case, with blanks and dashes as underscores."
    )


class FieldType(_Entry):
    """A property of events or an attribute of persons."""

    type: ScalarType = Field(description="Its type.")
    description: str = Field(description="What it means, in one sentence.")
    unit: str | None = Field(default=None, description="Unit of a number.")
    pii: Pii = Field(default=Pii.NONE, description="Personal-data class; direct identifiers are not allowed here.")
    enum: str | None = Field(default=None, description="Name of the enum whose values it takes.")
    custom: bool = Field(default=True, description="False for what is a column of the canonical tables.")

    def column(self, name: str) -> Column:
        return Column(name, IBIS_TYPES.get(self.type, self.type), self.description, unit=self.unit, pii=self.pii, enum=self.enum)


class Taxonomy(_Entry):
    """Everything a project may name in mappings and segments."""

    events: dict[str, EventType] = Field(description="Event types by name.")
    properties: dict[str, FieldType] = Field(description="Properties of events by name.")
    attributes: dict[str, FieldType] = Field(description="Attributes of persons by name.")
    enums: dict[str, dict[str, list[str]]] = Field(description="Closed value lists: canonical value to its other spellings.")
    purposes: dict[str, str] = Field(description="Consent purposes by name, with a sentence.")

    @model_validator(mode="after")
    def _names_must_exist(self) -> Taxonomy:
        for name, event in self.events.items():
            for prop in event.properties:
                if prop not in self.properties:
                    raise ValueError(f"event {name!r} names the unknown property {prop!r}; add it under properties")
        for kind, fields in (("property", self.properties), ("attribute", self.attributes)):
            for name, field in fields.items():
                if field.enum and field.enum not in self.enums:
                    raise ValueError(f"{kind} {name!r} names the unknown enum {field.enum!r}; add it under enums")
                if field.pii is Pii.DIRECT:
                    raise ValueError(f"{kind} {name!r} can't be a direct identifier; map it to email, phone or a name column of contacts")
        return self

    @cached_property
    def custom_properties(self) -> dict[str, FieldType]:
        """Properties that live in the `properties` JSON of unified/events."""
        return {n: f for n, f in self.properties.items() if f.custom}

    @cached_property
    def custom_attributes(self) -> dict[str, FieldType]:
        """Attributes that live in the `attributes` JSON of unified/contacts."""
        return {n: f for n, f in self.attributes.items() if f.custom}

    def properties_of(self, event: str) -> dict[str, FieldType]:
        """Every property a segment may test on `event`.

        Raises:
            KeyError: `event` is not in the taxonomy.
        """
        names = [*self.events[event].properties, "channel", "device", "session_id"]
        return {n: self.properties[n] for n in names}

    def event_spellings(self) -> dict[str, str]:
        """Every accepted spelling of an event, folded by `fold`, to its canonical name."""
        spellings = {fold(alias): name for name, e in self.events.items() for alias in e.aliases}
        return spellings | {fold(name): name for name in self.events}

    def enum_spellings(self, enum: str) -> dict[str, str]:
        """Every accepted spelling of an enum's value, folded by `fold`, to its canonical value."""
        spellings = {fold(alias): value for value, aliases in self.enums[enum].items() for alias in aliases}
        return spellings | {fold(value): value for value in self.enums[enum]}

    def extended(self, addition: Mapping[str, Mapping[str, object]]) -> Taxonomy:
        """This taxonomy with the entries of a project's taxonomy.yaml added or changed.

        Raises:
            pydantic.ValidationError: an entry is not valid.
        """
        base = self.model_dump()
        return Taxonomy.model_validate(base | {part: {**base.get(part, {}), **(entries or {})} for part, entries in addition.items()})


def fold(text: str) -> str:
    """The spelling names are compared in: lower case, blanks and dashes as underscores."""
    return text.strip().lower().replace(" ", "_").replace("-", "_")


@cache
def default_taxonomy() -> Taxonomy:
    """The taxonomy every project starts from (taxonomy.yaml beside this file)."""
    text = resources.files("seg_assets.schema").joinpath("taxonomy.yaml").read_text(encoding="utf-8")
    return Taxonomy.model_validate(yaml.safe_load(text))
