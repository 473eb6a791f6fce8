"""Rows of any unified table with the person they belong to, and the tables of persons and of their changes."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from seg_assets.identity.resolve import SECRET_TYPES, STRENGTH
from seg_assets.lake.functions import keyed_hash
from seg_assets.schema.tables import IDENTITY_CHANGES, PERSONS


def with_person(rows: ir.Table, links: ir.Table, key: bytes) -> ir.Table:
    """Rows with `person_id` in place of their identifiers: what may be kept downstream of identity.

    Args:
        rows: a unified table.
        links: `identity/links`.
        key: secret of the hashes in `links`.
    """
    kind = ibis.cases(*((rows[t].notnull(), t) for t in STRENGTH))
    keyed = rows.mutate(_type=kind, _identifier=ibis.coalesce(*(rows[t] for t in STRENGTH))).drop(*STRENGTH)
    joined = keyed.join(_owners(rows, links, key), ["_type", "_identifier"])
    return joined.select("person_id", *(c for c in keyed.columns if not c.startswith("_")))


def _owners(rows: ir.Table, links: ir.Table, key: bytes) -> ir.Table:
    """Links by the identifiers that stand in `rows`: each secret one is hashed once, not once per row."""
    pseudonym = keyed_hash(key)
    parts = [links.filter(links.identifier_type.notin(SECRET_TYPES)).select("person_id", _type="identifier_type", _identifier="identifier")]
    for secret in SECRET_TYPES:
        stronger = [rows[t].isnull() for t in STRENGTH if STRENGTH[t] < STRENGTH[secret]]
        used = rows.filter(rows[secret].notnull(), *stronger).select(_identifier=rows[secret]).distinct()
        hashed = used.mutate(identifier_type=ibis.literal(secret), identifier=pseudonym(used._identifier))
        owned = hashed.join(links, ["identifier_type", "identifier"])
        parts.append(owned.select("person_id", "_identifier", _type="identifier_type").select("person_id", "_type", "_identifier"))
    return ibis.union(*parts)


def persons(links: ir.Table, contacts: ir.Table, key: bytes) -> ir.Table:
    """`identity/persons`: every person of `links`, with the number of identifiers and of contact records."""
    identifiers = links.group_by("person_id").aggregate(identifiers=ibis._.count())
    records = with_person(contacts, links, key).group_by("person_id").aggregate(contacts=ibis._.count())
    both = identifiers.left_join(records, "person_id")
    return both.select("person_id", "identifiers", contacts=both.contacts.fill_null(0)).cast(dict(PERSONS.schema))


def changes(links: ir.Table, previous: ir.Table | None, as_of: datetime) -> ir.Table:
    """`identity/changes`: persons whose identifiers moved to another person since `previous`.

    A person that no longer exists was merged; one that still exists was split.
    """
    if previous is None:
        return ibis.memtable(IDENTITY_CHANGES.schema.to_pyarrow().empty_table())
    before = previous.select("identifier_type", "identifier", from_person_id="person_id")
    after = links.select("identifier_type", "identifier", to_person_id="person_id")
    moved = before.join(after, ["identifier_type", "identifier"])
    moved = moved.filter(moved.from_person_id != moved.to_person_id).group_by("from_person_id", "to_person_id").aggregate(identifiers=ibis._.count())
    still = links.select(from_person_id="person_id").distinct().mutate(alive=True)
    named = moved.left_join(still, "from_person_id")
    return named.select(
        change=named.alive.fill_null(False).ifelse("split", "merged"),
        from_person_id=named.from_person_id,
        to_person_id=named.to_person_id,
        identifiers=named.identifiers,
        as_of=ibis.literal(as_of),
    ).cast(dict(IDENTITY_CHANGES.schema))
