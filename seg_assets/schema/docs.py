"""The page docs/schema.md, made from the canonical tables and the default taxonomy.

`python -m seg_assets.schema.docs > docs/schema.md` renews it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from seg_assets.schema.tables import ALL
from seg_assets.schema.taxonomy import FieldType, Taxonomy, default_taxonomy
from seg_assets.schema.types import MONEY, UTC, Column, Pii, Table

_HEAD = """# Tables and taxonomy

<!-- Made from seg_assets/schema by `python -m seg_assets.schema.docs`; change those, not this page. -->

Every table of the lake, in the order of the graph, then the words events and attributes are made of. A project's `taxonomy.yaml` adds to the taxonomy; its
attributes become further columns. `seg table KEY` prints a table.

Types: `instant` is a timestamp in UTC with microseconds, `money` an exact decimal with two places. Personal data: a *pseudonym* means a person only to
its issuer, *quasi* may identify together with others, *direct* identifies or reaches a person.
"""
_TYPES = {UTC: "instant", MONEY: "money", "timestamp": "instant", "decimal": "money"}


def schema_page(taxonomy: Taxonomy | None = None) -> str:
    """The page as Markdown, for the default taxonomy or a project's."""
    words = taxonomy or default_taxonomy()
    return _HEAD + "".join(part for table in ALL for part in _table(table)) + "".join(_taxonomy(words))


def _table(table: Table) -> Iterator[str]:
    yield f"\n## {table.name}\n\n{table.description}\n\n"
    yield (
        f"Key: {', '.join(f'`{c}`' for c in table.primary_key)}."
        + (f" Partitioned by `{table.partition_by}`." if table.partition_by else "")
        + "\n\n"
    )
    yield "| column | type | values | personal data | meaning |\n|---|---|---|---|---|\n"
    yield from (f"| `{c.name}` | {_TYPES.get(c.type, c.type)} | {_values(c)} | {_pii(c.pii)} | {c.description} |\n" for c in table.columns)


def _values(column: Column) -> str:
    parts = ["required" if column.required else "", column.unit or "", f"[{column.enum}](#enums)" if column.enum else ""]
    if ".." not in parts[1]:
        parts += [f"{word} {bound:g}" for word, bound in (("at least", column.minimum), ("at most", column.maximum)) if bound is not None]
    return ", ".join(part for part in parts if part)


def _pii(pii: Pii) -> str:
    return "" if pii is Pii.NONE else pii.value


def _taxonomy(taxonomy: Taxonomy) -> Iterator[str]:
    yield "\n## Events\n\nEvery event may also carry `channel`, `device` and `session_id`.\n\n"
    yield "| event | properties | other spellings | meaning |\n|---|---|---|---|\n"
    yield from (f"| `{n}` | {_codes(e.properties)} | {', '.join(e.aliases)} | {e.description} |\n" for n, e in taxonomy.events.items())
    yield "\n## Properties of events\n\n" + "".join(_fields(taxonomy.properties))
    yield "\n## Attributes of persons\n\n" + "".join(_fields(taxonomy.attributes))
    yield "\n## Enums\n\n| enum | value | other spellings |\n|---|---|---|\n"
    yield from (
        f"| {enum} | `{value}` | {', '.join(spellings)} |\n" for enum, values in taxonomy.enums.items() for value, spellings in values.items()
    )
    yield "\n## Consent purposes\n\n| purpose | meaning |\n|---|---|\n"
    yield from (f"| `{purpose}` | {meaning} |\n" for purpose, meaning in taxonomy.purposes.items())


def _fields(fields: Mapping[str, FieldType]) -> Iterator[str]:
    yield "| name | type | values | personal data | meaning |\n|---|---|---|---|---|\n"
    yield from (f"| `{n}` | {_TYPES.get(f.type, f.type)} | {_values(f.column(n))} | {_pii(f.pii)} | {f.description} |\n" for n, f in fields.items())


def _codes(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(schema_page())
