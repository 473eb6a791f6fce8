"""JSON Schema of the segment language, for completion and checks in editors. The parser decides; this follows its vocabulary."""

from __future__ import annotations

from typing import Any

from seg_assets.segments.catalog import Catalog
from seg_assets.segments.literals import UNITS

DURATION = {"type": "string", "pattern": r"^(\d+[smhdw])+$", "description": "Exact length of time: 10m, 48h, 7d."}
PERCENT = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}


def json_schema(catalog: Catalog) -> dict[str, Any]:
    """A JSON Schema (2020-12) of one segment definition, with the catalog's names.

    Args:
        catalog: what definitions may name.
    """
    condition: dict[str, Any] = {"$ref": "#/$defs/condition"}
    test: dict[str, Any] = {"$ref": "#/$defs/test"}
    event = {"enum": sorted(catalog.events)}
    properties = sorted({name for fields in catalog.events.values() for name in fields})
    where = {"type": "object", "properties": dict.fromkeys(properties, test), "additionalProperties": False, "minProperties": 1}
    group = {"type": "array", "items": condition, "minItems": 1}
    window = {"$ref": "#/$defs/window"}
    key = {"enum": properties}
    absence = {
        "type": "object",
        "properties": {"no": event, "for": DURATION, "within": DURATION, "where": where},
        "required": ["no"],
        "additionalProperties": False,
    }
    option = {"type": "object", "properties": {"where": where, "within": DURATION}, "additionalProperties": False}
    named = {
        "type": "object",
        "properties": dict.fromkeys(sorted(catalog.events), option),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    clauses = {
        "all": group | {"description": "Every one of these."},
        "any": group | {"description": "At least one of these."},
        "none": group | {"description": "The exact complement of any."},
        "did": event,
        "never": event,
        "times": {"type": ["string", "integer"], "description": 'How often: 3, ">=2", "<3", 2..4.'},
        "where": where,
        "in": window,
        "same": key,
        "then": {"type": "array", "items": {"anyOf": [event, absence, named]}, "minItems": 2},
        "within": DURATION,
        "on": key,
        "ties": {"enum": ["strict", "allow"]},
        "in_segment": {"type": "string"},
    }
    attributes = {name: {"$ref": "#/$defs/test", "description": field.description} for name, field in sorted(catalog.attributes.items())}
    units = "|".join(UNITS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Segment definition",
        "type": "object",
        "additionalProperties": False,
        "required": ["segment", "where"],
        "properties": {
            "segment": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$", "description": "Id, stable for ever."},
            "title": {"type": "string", "description": "Title for people; may change."},
            "description": {"type": "string"},
            "where": condition,
            "calendar": {"type": "string", "description": "Whose midnight: profile, UTC, or a zone such as Europe/Berlin."},
            "needs": {
                "type": "array",
                "items": {"enum": sorted(catalog.purposes)},
                "minItems": 1,
                "description": "Consent purposes every member has granted.",
            },
            "min_size": {"anyOf": [{"type": "integer", "minimum": 0}, PERCENT], "description": "Below it the segment is flagged and not activated."},
            "holdout": PERCENT | {"description": "Share of members kept back from activation."},
            "expect": {"type": "array", "items": {"$ref": "#/$defs/fixture"}, "minItems": 1},
        },
        "$defs": {
            "condition": {"type": "object", "minProperties": 1, "properties": clauses | attributes, "additionalProperties": False},
            "test": {
                "anyOf": [
                    {"type": ["string", "number", "boolean"], "description": "A value, a..b, >=n, missing, present, top n%, bottom n%."},
                    {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
                    {"type": "object", "properties": {"not": {"$ref": "#/$defs/test"}}, "required": ["not"], "additionalProperties": False},
                ]
            },
            "window": {"type": "string", "pattern": rf"^(ever|(last|this) ({units})|(\d+[smhdw])+|.+\.\..+)$"},
            "fixture": {
                "type": "object",
                "required": ["at", "member"],
                "additionalProperties": False,
                "properties": {
                    "events": {"type": "array", "items": {"type": "string"}},
                    "at": {"type": "string"},
                    "member": {"type": "boolean"},
                    "person": {"type": "object"},
                    "denied": {"type": "array", "items": {"enum": sorted(catalog.purposes)}},
                    "cuts": {"type": "object"},
                },
            },
        },
    }
