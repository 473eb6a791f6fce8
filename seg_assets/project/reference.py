"""What editors and people read about project.yaml, made from the models: its JSON Schema and the page docs/project-reference.md.

`python -m seg_assets.project.reference > docs/project-reference.md` renews the page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from seg_assets.project.models import ProjectConfig
from seg_assets.project.values import IntRange, format_duration

_HEAD = """# project.yaml

<!-- Made from the models by `python -m seg_assets.project.reference`; change those, not this page. -->

Every key of a project's `project.yaml`. Keys that are not listed are errors, reported with file, line and column. `seg schema` prints the same as JSON
Schema for editors; `seg init DIR` writes a project to start from.

* A duration is written `90s`, `15m`, `24h`, `7d`, `2w` or `1h30m`: exact seconds, never a calendar month.
* A share is a percentage (`20%`) or a number from 0 to 1.
* A name starts with a-z and goes on with a-z, 0-9 and `_`.
* `${NAME}` in `config`, `state` and `pseudonym_key` stands for the environment variable NAME. It is looked up when it is needed, so that a project loads
  without it. `$${` stands for the characters `${`.
* An SQL expression is one scalar expression in DuckDB's dialect over the columns of a row. Subqueries, aggregates, windows, clocks and random numbers
  are refused.
"""


class _Schema(GenerateJsonSchema):
    """Defaults written the way they are written in YAML; titles only where they say more than the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, IntRange):
            return f"{dft.low}..{dft.high}"
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def project_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of project.yaml, for editors."""
    return {"$schema": _Schema.schema_dialect, **ProjectConfig.model_json_schema(schema_generator=_Schema)}


def project_reference() -> str:
    """The page docs/project-reference.md."""
    schema = project_json_schema()
    return _HEAD + "".join(_sections("", schema, schema["$defs"]))


def _sections(path: str, model: dict[str, Any], defs: dict[str, Any]) -> Iterator[str]:
    """A table of a model's keys, then the same for the models below it, depth first."""
    rows, below = [], []
    for key, field in model["properties"].items():
        nested, step = _model(field, defs)
        meaning = field.get("description") or (nested or {})["description"]
        rows.append(
            f"| `{key}` | {_value(field) if not nested else 'list of mappings' if step == 'N' else 'mapping'} | {_default(key, field, model)} | {meaning} |\n"
        )
        if nested:
            below.append((".".join(filter(None, (path, key, step))), nested))
    yield f"\n## {path or 'Top level'}\n\n" + (f"{model['description']}\n\n" if path else "")
    yield "| key | value | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
    for at, nested in below:
        yield from _sections(at, nested, defs)


def _model(field: dict[str, Any], defs: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The model a field holds, and "NAME" where it holds several of them by name, "N" where in order."""
    for inner in (field.get("additionalProperties"), *field.get("patternProperties", {}).values()):
        if isinstance(inner, dict):
            return _model(inner, defs)[0], "NAME"
    if "$ref" in field:
        return _model(defs[field["$ref"].rpartition("/")[2]], defs)
    if "$ref" in field.get("items", {}):
        return _model(field["items"], defs)[0], "N"
    parts = (_model(part, defs)[0] if "$ref" in part else part for part in (field, *field.get("anyOf", [])))
    return next((part for part in parts if part and "properties" in part), None), ""


def _value(field: dict[str, Any]) -> str:
    """What to write, in words."""
    parts = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list", "object": "mapping"}
    if title := field.get("title") or parts[0].get("title"):
        return title
    return " or ".join(", ".join(f"`{word}`" for word in part["enum"]) if "enum" in part else words[part["type"]] for part in parts)


def _default(key: str, field: dict[str, Any], model: dict[str, Any]) -> str:
    if key in model.get("required", ()):
        return "required"
    default = field.get("default")
    nothing = default is None or default in ({}, []) or "$ref" in field
    return "" if nothing else f"`{default if isinstance(default, str) else json.dumps(default)}`"


if __name__ == "__main__":
    sys.stdout.write(project_reference())
