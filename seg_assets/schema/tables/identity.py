"""Who is who: links from identifiers to persons, what became of persons, and the vault of addresses."""

from __future__ import annotations

from seg_assets.schema.tables.unified import PERSON
from seg_assets.schema.types import UTC, Column, Pii, Table

LINKS = Table(
    ("identity", "links"),
    "Which identifier belongs to which person.",
    (
        Column("identifier_type", "string", "user_id, anonymous_id, device_id, email or phone.", required=True),
        Column("identifier", "string", "The identifier; e-mail and phone as keyed hashes.", pii=Pii.PSEUDONYM, required=True),
        PERSON,
    ),
    primary_key=("identifier_type", "identifier"),
)

PERSONS = Table(
    ("identity", "persons"),
    "One row per person.",
    (
        PERSON,
        Column("identifiers", "int64", "How many identifiers are linked.", required=True, minimum=1),
        Column("contacts", "int64", "How many source records are linked.", required=True, minimum=0),
    ),
    primary_key=("person_id",),
)

IDENTITY_CHANGES = Table(
    ("identity", "changes"),
    "Persons that were merged or split since the last refresh.",
    (
        Column("change", "string", "merged or split.", required=True),
        Column("from_person_id", "int64", "Id before.", pii=Pii.PSEUDONYM, required=True),
        Column("to_person_id", "int64", "Id after.", pii=Pii.PSEUDONYM, required=True),
        Column("identifiers", "int64", "How many identifiers moved.", required=True),
        Column("as_of", UTC, "Refresh in which it happened.", required=True),
    ),
    primary_key=("from_person_id", "to_person_id"),
)

VAULT = Table(
    ("identity", "vault"),
    "The only table downstream of unified/ with personal data in clear; read at the moment of sending, and nowhere else.",
    (
        PERSON,
        Column("email", "string", "E-mail address to reach the person by.", pii=Pii.DIRECT),
        Column("phone", "string", "Phone number to reach the person by, E.164.", pii=Pii.DIRECT),
        Column("first_name", "string", "Given name.", pii=Pii.DIRECT),
        Column("last_name", "string", "Family name.", pii=Pii.DIRECT),
        Column("user_id", "string", "Customer id used with destinations.", pii=Pii.PSEUDONYM),
    ),
    primary_key=("person_id",),
)
