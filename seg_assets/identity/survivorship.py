"""Which of several records' values a person keeps: most trusted source first, then the newest, then by name; never a mixture decided by row order."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from seg_assets.identity.persons import with_person
from seg_assets.schema.tables import VAULT


def surviving(records: ir.Table, columns: Sequence[str], trust: Sequence[str]) -> ir.Table:
    """One row per person with the surviving non-null value of each column.

    Args:
        records: person_id, source, contact_id, updated_at and `columns`; one row per source record.
        columns: what to keep.
        trust: sources ("connection" or "connection/stream"), most trusted first; others come after, newest first.
    """
    ranked = records.mutate(_trust=_trust(records.source, trust))
    order = [ranked._trust, ranked.updated_at.desc(nulls_first=False), ranked.source, ranked.contact_id]
    ranked = ranked.mutate(_rank=ibis.row_number().over(order_by=order))
    return ranked.group_by("person_id").aggregate(**{c: ranked[c].argmin(ranked._rank, where=ranked[c].notnull()) for c in columns})


def vault(contacts: ir.Table, links: ir.Table, key: bytes, trust: Sequence[str]) -> ir.Table:
    """`identity/vault`: how each person with a contact record can be reached."""
    # `with_person` takes identifiers away; those that reach a person are carried past it under other names.
    carried = {name: f"keep_{name}" for name in ("email", "phone", "user_id")}
    records = with_person(contacts.mutate(**{kept: contacts[name] for name, kept in carried.items()}), links, key)
    people = surviving(records, [*carried.values(), "first_name", "last_name"], trust)
    return people.rename(carried).select(*VAULT.schema.names).cast(dict(VAULT.schema))


def _trust(source: ir.StringValue, trust: Sequence[str]) -> ir.IntegerValue:
    matches = [((source == name) | source.startswith(f"{name}/"), i) for i, name in enumerate(trust)]
    return ibis.cases(*matches, else_=len(trust)) if matches else ibis.literal(0)
