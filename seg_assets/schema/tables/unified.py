"""What the sources say, in one shape per kind: events, contacts, consents, enrichments, mentions; and what could not be read."""

from __future__ import annotations

from seg_assets.schema.types import MONEY, UTC, Column, Pii, Table

PERSON = Column("person_id", "int64", "Stable pseudonymous id of a person.", pii=Pii.PSEUDONYM, required=True)
SOURCE = Column("source", "string", "Connection and stream it came from, as connection/stream.", required=True)

IDENTIFIERS = (
    Column("user_id", "string", "Id the source gives to a known customer.", pii=Pii.PSEUDONYM),
    Column("anonymous_id", "string", "Cookie or install id.", pii=Pii.PSEUDONYM),
    Column("device_id", "string", "Device id.", pii=Pii.PSEUDONYM),
    Column("email", "string", "E-mail address, normalised.", pii=Pii.DIRECT),
    Column("phone", "string", "Phone number, E.164.", pii=Pii.DIRECT),
)
"""What links records to persons, strongest word first. Every unified table carries them."""

EVENTS = Table(
    ("unified", "events"),
    "What people did, in the canonical vocabulary: one row per event, duplicates removed.",
    (
        Column("event_id", "string", "Unique id; repeated deliveries of one event share it.", required=True),
        Column("event_type", "string", "Name from the taxonomy.", required=True),
        Column("event_time", UTC, "When it happened.", required=True),
        Column("received_at", UTC, "When the source received it."),
        *IDENTIFIERS,
        Column("session_id", "string", "Visit, as the tracker names it."),
        Column("channel", "string", "Where it happened.", enum="channel"),
        Column("device", "string", "Device class.", enum="device"),
        Column("product_id", "string", "Product, as the shop names it."),
        Column("category", "string", "Product category."),
        Column("cart_id", "string", "Cart."),
        Column("order_id", "string", "Order."),
        Column("campaign_id", "string", "Campaign."),
        Column("quantity", "int64", "Pieces.", unit="pieces", minimum=0),
        Column("revenue", MONEY, "Amount of the line or order; of what was returned for a refund.", unit="project currency", minimum=0),
        Column("currency", "string", "ISO 4217 code of the amount as delivered."),
        Column("percent", "float64", "How far a video played.", unit="percent 0..100", minimum=0, maximum=100),
        Column("properties", "string", "Further properties of the taxonomy, as a JSON object."),
        SOURCE,
        Column("day", "date", "UTC day of event_time.", required=True),
    ),
    primary_key=("event_id",),
    partition_by="day",
)

CONTACTS = Table(
    ("unified", "contacts"),
    "Person records as the sources keep them: several rows may be one person.",
    (
        Column("contact_id", "string", "Id of the record in its source.", pii=Pii.PSEUDONYM, required=True),
        *IDENTIFIERS,
        Column("first_name", "string", "Given name.", pii=Pii.DIRECT),
        Column("last_name", "string", "Family name.", pii=Pii.DIRECT),
        Column("birth_date", "date", "Date of birth; the first of January where only the year is known.", pii=Pii.QUASI),
        Column("age", "int64", "Age as the source states it, where it has no birth date.", unit="years", pii=Pii.QUASI, minimum=0, maximum=130),
        Column("gender", "string", "Gender.", pii=Pii.QUASI, enum="gender"),
        Column("country", "string", "ISO 3166-1 alpha-2 country code.", pii=Pii.QUASI),
        Column("city", "string", "City.", pii=Pii.QUASI),
        Column("area", "string", "Kind of area lived in.", pii=Pii.QUASI, enum="area"),
        Column("language", "string", "ISO 639-1 language code."),
        Column("created_at", UTC, "When the source created the record."),
        Column("updated_at", UTC, "When the source last changed the record; decides which value survives."),
        Column("attributes", "string", "Further attributes of the taxonomy, as a JSON object."),
        SOURCE,
    ),
    primary_key=("source", "contact_id"),
)

CONSENTS = Table(
    ("unified", "consents"),
    "What people allowed and withdrew: one row per statement, the latest one counts.",
    (
        Column("consent_id", "string", "Unique id of the statement.", required=True),
        *IDENTIFIERS,
        Column("purpose", "string", "Purpose from the taxonomy.", required=True),
        Column("state", "string", "granted, denied or withdrawn.", required=True, enum="consent_state"),
        Column("stated_at", UTC, "When it was stated.", required=True),
        Column("expires_at", UTC, "When a grant ends by itself."),
        Column("jurisdiction", "string", "Law it was given under, as a country or region code."),
        Column("evidence", "string", "Reference to the proof at the consent platform.", pii=Pii.PSEUDONYM),
        SOURCE,
    ),
    primary_key=("consent_id",),
)

ENRICHMENTS = Table(
    ("unified", "enrichments"),
    "What third parties say about people: one row per person record and attribute.",
    (
        Column("enrichment_id", "string", "Unique id of the statement.", required=True),
        *IDENTIFIERS,
        Column("attribute", "string", "Attribute from the taxonomy.", required=True),
        Column("value", "string", "Value as text; typed by the taxonomy.", pii=Pii.QUASI, required=True),
        Column("confidence", "float64", "How sure the provider is.", unit="share 0..1", minimum=0, maximum=1),
        Column("provided_at", UTC, "When the provider stated it.", required=True),
        SOURCE,
    ),
    primary_key=("enrichment_id",),
)

MENTIONS = Table(
    ("unified", "mentions"),
    "What people say about us on social networks.",
    (
        Column("mention_id", "string", "Unique id of the post.", required=True),
        *IDENTIFIERS,
        Column("network", "string", "Social network.", required=True),
        Column("mention_time", UTC, "When it was posted.", required=True),
        Column("sentiment", "float64", "Tone of the post.", unit="-1..1", minimum=-1, maximum=1),
        Column("topic", "string", "What it is about."),
        SOURCE,
    ),
    primary_key=("mention_id",),
)

UNIFIED: dict[str, Table] = {t.key[1]: t for t in (EVENTS, CONTACTS, CONSENTS, ENRICHMENTS, MENTIONS)}
"""The tables streams are mapped onto, by the word used in project.yaml under `to:`."""

QUARANTINE = Table(
    ("unified", "quarantine"),
    "Input that could not be used, with the reason. The row itself stays in raw/ (or in its file) and comes back once the mapping or the file is mended.",
    (
        SOURCE,
        Column("slice", "string", "Slice of the stream, e.g. the file.", required=True),
        Column("position", "string", "Line, record or row inside the slice.", required=True),
        Column("stage", "string", "read or validate.", required=True),
        Column("lost", "string", "row: it is in no canonical table. value: the row is there, this field is null.", required=True),
        Column("field", "string", "Canonical field at fault; null when the whole row is."),
        Column("reason", "string", "What is wrong, in words. Never the value.", required=True),
    ),
    primary_key=("source", "slice", "position", "stage", "reason"),
)
