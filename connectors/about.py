"""The page about a connector: what its classes say of themselves, after the paragraph its author wrote beside them in `about.md`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_origin

from connectors.types import Context

ABOUT = "about.md"
"""File beside a connector's module: Markdown without a heading, about what the rest of the page can't say."""


def connector_page(kinds: Mapping[str, Any]) -> str:
    """A page in Markdown.

    Args:
        kinds: kind to class, of one connector: "source", "enricher", "destination", "consent provider".
    """
    first = next(iter(kinds.values()))
    meta = first.meta
    written = Path(inspect.getfile(first)).with_name(ABOUT)
    parts = [
        f"# {meta.title}",
        f"`connector: {meta.id}` · {', '.join(kinds)}" + (f" · [{_host(meta.docs_url)}]({meta.docs_url})" if meta.docs_url else ""),
    ]
    parts += [written.read_text(encoding="utf-8").strip()] if written.is_file() else []
    for kind, cls in kinds.items():
        parts += [f"## As {'an' if kind[0] in 'aeiou' else 'a'} {kind}", cls.meta.description, *_OFFERS[kind](cls)]
    parts += ["## Settings", _settings(kinds)]
    limits = dict.fromkeys((one.name, f"{one.value:,.15g}", one.source, str(one.read_on)) for cls in kinds.values() for one in cls.meta.limits)
    parts += (
        ["## Limits of the vendor", "Where an account has others, they are settings.", _table(("limit", "value", "read at", "on"), limits)]
        if limits
        else []
    )
    return "\n\n".join(parts) + "\n"


def _settings(kinds: Mapping[str, Any]) -> str:
    """One table for all kinds; where only some take a setting, it says which."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for kind, cls in kinds.items():
        schema = cls.config_model.model_json_schema()
        for name, field in schema.get("properties", {}).items():
            default = "required" if name in schema.get("required", ()) else _default(field)
            secret = ["A secret."] if "password" in str(field) else []
            rows.setdefault((f"`{name}`", default, " ".join([field.get("description", ""), *secret])), []).append(kind)
    told = [(*row, "" if len(having) == len(kinds) else ", ".join(having)) for row, having in rows.items()]
    return _table(("setting", "default", "what it is", "for"), told) if told else "It has none."


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    return "" if value is None or value == "" else f"`{value}`" if not isinstance(value, list) else ", ".join(f"`{one}`" for one in value)


def _streams(cls: Any) -> list[str]:
    made = _made(cls)
    if made is None:
        return []
    parts = []
    for one in made.streams(Context(datetime(1970, 1, 1, tzinfo=UTC), Path(), Path())):
        shaped = f" Shaped as `unified/{one.shaped_as}`." if one.shaped_as else " To be mapped in `project.yaml`."
        parts.append(f"**{one.name}**: {one.description}{shaped}")
        if one.schema is not None:
            rows = [(f"`{c.name}`", str(c.type), _role(one, c.name), str(one.pii.get(c.name, "none"))) for c in one.schema]
            parts.append(_table(("column", "type", "", "personal data"), rows))
    return parts


def _role(stream: Any, column: str) -> str:
    return ", ".join(["key"] * (column in stream.keys) + ["cursor"] * (column == stream.cursor))


def _objects(cls: Any) -> list[str]:
    made = _made(cls)
    if made is None:
        return []
    rows = [
        (f"`{o.name}`", o.match_key, ", ".join(sorted(o.kinds)), f"{o.max_batch:,}", o.idempotency.name.lower(), o.granularity.value, o.description)
        for o in made.objects()
    ]
    able = ", ".join(sorted(cls.meta.capabilities))
    heads = ("object", "matched by", "operations", "per delivery", "repeating is", "answers per", "what it is")
    return [_table(heads, rows), *([f"It can also: {able}."] if able else [])]


def _fields(cls: Any) -> list[str]:
    made = _made(cls)
    rows = [(f"`{one.name}`", one.pii.value, one.description) for one in made.fields()] if made else []
    return [_table(("field", "personal data", "what it is"), rows)] if rows else []


_OFFERS = {"source": _streams, "destination": _objects, "enricher": _fields, "consent provider": lambda _: []}


def _made(cls: Any) -> Any:
    """An instance with placeholders for what is required; None where no placeholder will do."""
    required = {name: _placeholder(field.annotation) for name, field in cls.config_model.model_fields.items() if field.is_required()}
    for more in ({}, {"access_token": "unset"}, {"client_secret": "unset"}):
        try:
            return cls(cls.config_model.model_validate(required | more))
        except ValueError:
            continue
    return None


def _placeholder(annotation: Any) -> Any:
    kinds = {int: 1, dict: {"unset": "unset"}, tuple: ("unset",)}
    return kinds.get(get_origin(annotation) or annotation, "https://unset.invalid")


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _table(heads: tuple[str, ...], rows: Any) -> str:
    lines = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {line} |" for line in lines)])


def main(folder: Path) -> None:
    """Writes the page of every built-in connector."""
    from connectors.discovery import BUILT_INS
    from connectors.registry import load_registry

    registry = load_registry()
    folder.mkdir(parents=True, exist_ok=True)
    for name in BUILT_INS:
        (folder / f"{name}.md").write_text(built_in_page(registry, name), encoding="utf-8")


def built_in_page(registry: Any, name: str) -> str:
    """The page of a built-in connector, with a line that says how to renew it."""
    head, _, rest = connector_page({kind: known[name] for kind, known in registry.connectors.items() if name in known}).partition("\n")
    return f"{head}\n\n<!-- Made by `python -m connectors.about docs/vendors`; change the connector or its about.md, not this page. -->\n{rest}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
