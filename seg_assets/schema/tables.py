"""The canonical tables. A project's taxonomy adds columns to some of them through `catalog.Catalog`; nothing else defines a table.

Connection-specific tables (`raw/...`, `activation/...`) share one shape per kind and get their key when the graph is built.
"""

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

PERSON_CONSENTS = Table(
    ("profiles", "consents"),
    "What each person allows as of the refresh. A purpose without a row is not allowed.",
    (
        PERSON,
        Column("purpose", "string", "Purpose from the taxonomy.", required=True),
        Column("granted", "boolean", "Whether it is allowed now.", required=True),
        Column("since", UTC, "Statement that decides.", required=True),
        Column("expires_at", UTC, "When the grant ends by itself."),
    ),
    primary_key=("person_id", "purpose"),
)

ACTIVITY_DAILY = Table(
    ("profiles", "activity_daily"),
    "Person by UTC day: what was done, so that windows need not read events again. One count column per event type of the taxonomy (n_...).",
    (
        PERSON,
        Column("day", "date", "UTC day.", required=True),
        Column("events", "int64", "Events of any type.", required=True, minimum=1),
        Column("orders", "int64", "Distinct orders placed.", required=True, minimum=0),
        Column("revenue", MONEY, "Amount of orders placed, refunds not deducted.", unit="project currency", required=True),
        Column("refunds", MONEY, "Amount of orders returned.", unit="project currency", required=True),
        Column("first_event_time", UTC, "First event of the day.", required=True),
        Column("last_event_time", UTC, "Last event of the day.", required=True),
        Column("last_order_time", UTC, "Last order of the day."),
    ),
    primary_key=("person_id", "day"),
)

FEATURES = Table(
    ("profiles", "features"),
    "What scores, clusters and segments are computed from: one row per person with at least one event by as_of. Windows are whole UTC days ending with the day of as_of.",
    (
        PERSON,
        Column("first_event_time", UTC, "First event.", required=True),
        Column("last_event_time", UTC, "Last event.", required=True),
        Column("tenure_days", "float64", "Since the first event.", unit="days", required=True, minimum=0),
        Column("days_since_event", "float64", "Since the last event.", unit="days", required=True, minimum=0),
        Column("days_since_order", "float64", "Since the last order; null without one.", unit="days", minimum=0),
        Column("active_days_30d", "int64", "Days with an event in the last 30.", unit="days", required=True, minimum=0),
        Column("active_days_90d", "int64", "Days with an event in the last 90.", unit="days", required=True, minimum=0),
        Column("events_7d", "int64", "Events in the last 7 days.", required=True, minimum=0),
        Column("events_30d", "int64", "Events in the last 30 days.", required=True, minimum=0),
        Column("events_90d", "int64", "Events in the last 90 days.", required=True, minimum=0),
        Column("events_total", "int64", "Events ever.", required=True, minimum=1),
        Column("views_30d", "int64", "Product views in the last 30 days.", required=True, minimum=0),
        Column("adds_30d", "int64", "Products put into the cart in the last 30 days.", required=True, minimum=0),
        Column("orders_30d", "int64", "Orders in the last 30 days.", required=True, minimum=0),
        Column("orders_90d", "int64", "Orders in the last 90 days.", required=True, minimum=0),
        Column("orders_365d", "int64", "Orders in the last 365 days.", required=True, minimum=0),
        Column("orders_total", "int64", "Orders ever.", required=True, minimum=0),
        Column("revenue_30d", "float64", "Revenue in the last 30 days.", unit="project currency", required=True),
        Column("revenue_90d", "float64", "Revenue in the last 90 days.", unit="project currency", required=True),
        Column("revenue_365d", "float64", "Revenue in the last 365 days.", unit="project currency", required=True),
        Column("revenue_total", "float64", "Revenue ever.", unit="project currency", required=True),
        Column(
            "refund_share",
            "float64",
            "Refunded amount by ordered amount, capped at 1; 0 without orders.",
            unit="share 0..1",
            required=True,
            minimum=0,
            maximum=1,
        ),
        Column("avg_order_value", "float64", "Revenue per order; null without one.", unit="project currency"),
        Column("email_opens_90d", "int64", "Marketing e-mails opened in the last 90 days.", required=True, minimum=0),
        Column("email_clicks_90d", "int64", "Marketing e-mails clicked in the last 90 days.", required=True, minimum=0),
        Column("top_category", "string", "Category of most events with one; ties by name.", enum=None),
        Column("top_categories", "string", "Up to three categories of most events, most first, separated by a comma and a space; ties by name."),
        Column("categories", "int64", "Distinct categories touched.", required=True, minimum=0),
        Column("top_channel", "string", "Channel of most events with one; ties by name.", enum="channel"),
    ),
    primary_key=("person_id",),
)

PROFILES = Table(
    ("profiles", "profiles"),
    "One row per person: the surviving value of every attribute. No direct identifiers.",
    (
        PERSON,
        Column("age", "int64", "Age at as_of.", unit="years", pii=Pii.QUASI, minimum=0, maximum=130),
        Column("gender", "string", "Gender.", pii=Pii.QUASI, enum="gender"),
        Column("country", "string", "ISO 3166-1 alpha-2 country code.", pii=Pii.QUASI),
        Column("city", "string", "City.", pii=Pii.QUASI),
        Column("area", "string", "Kind of area lived in.", pii=Pii.QUASI, enum="area"),
        Column("language", "string", "ISO 639-1 language code."),
        Column("has_email", "boolean", "Whether an e-mail address is known.", required=True),
        Column("has_phone", "boolean", "Whether a phone number is known.", required=True),
        Column("contacts", "int64", "How many source records are linked.", required=True, minimum=0),
        Column("mentions_90d", "int64", "Social mentions in the last 90 days.", required=True, minimum=0),
        Column("sentiment_90d", "float64", "Mean tone of those mentions.", unit="-1..1", minimum=-1, maximum=1),
    ),
    primary_key=("person_id",),
)

ENGAGEMENT = Table(
    ("scores", "engagement"),
    "Time-decayed sum of weighted events per person.",
    (
        PERSON,
        Column("engagement", "float64", "Score.", unit="points", required=True, minimum=0),
        Column(
            "engagement_percentile",
            "float64",
            "Share of persons with a lower score, counting half of those with the same.",
            unit="share 0..1",
            required=True,
            minimum=0,
            maximum=1,
        ),
        Column("engagement_label", "string", "Highly Engaged, Moderately Engaged or Lurker.", required=True),
    ),
    primary_key=("person_id",),
)

RFM = Table(
    ("scores", "rfm"),
    "Recency, frequency and monetary value of buyers, each 1 (worst) to 5 (best). Equal values always get equal scores.",
    (
        PERSON,
        Column("recency", "int64", "Recency score.", unit="1..5", required=True, minimum=1, maximum=5),
        Column("frequency", "int64", "Frequency score.", unit="1..5", required=True, minimum=1, maximum=5),
        Column("monetary", "int64", "Monetary score.", unit="1..5", required=True, minimum=1, maximum=5),
        Column("rfm_segment", "string", "Name of the RFM cell.", required=True),
    ),
    primary_key=("person_id",),
)

ASSIGNMENTS = Table(
    ("clusters", "assignments"),
    "Which cluster each person is in.",
    (
        PERSON,
        Column("cluster_id", "int64", "Stable across refreshes.", required=True, minimum=0),
        Column("distance", "float64", "Distance to the cluster's centre in the standardised feature space.", required=True, minimum=0),
    ),
    primary_key=("person_id",),
)

PERSONAS = Table(
    ("clusters", "personas"),
    "What each cluster is like, in words.",
    (
        Column("cluster_id", "int64", "Cluster.", required=True, minimum=0),
        Column("persona", "string", "Stable id, e.g. persona_0.", required=True),
        Column("label", "string", "Short readable name.", required=True),
        Column("narrative", "string", "Two or three sentences from the data.", required=True),
        Column("size", "int64", "Persons.", required=True, minimum=1),
        Column("share", "float64", "Share of clustered persons.", unit="share 0..1", required=True, minimum=0, maximum=1),
        Column("preferred_channel", "string", "Channel most typical of it.", enum="channel"),
        Column("traits", "string", "Features beside everyone's, with effect sizes, as a JSON object.", required=True),
    ),
    primary_key=("cluster_id",),
)

PERSONALISATION = (Column("next_best_channel", "string", "Channel to reach the person by that they allow and answer to.", enum="channel"),)
"""What destinations can be told about a person beside the columns of the tables above; worked out while planning."""

PLAN = Table(
    ("activation", "plan"),
    "What a delivery will do: one row per person and audience. No network, no personal data.",
    (
        Column("op_id", "string", "Deterministic id of the operation.", required=True),
        Column("op", "string", "add, update or remove.", required=True),
        Column("audience", "string", "Segment id.", required=True),
        PERSON,
        Column("payload_hash", "string", "Hash of what the destination shall hold.", required=True),
        Column("generation", "int64", "Operations on this person and audience acknowledged before, plus one.", required=True, minimum=1),
        Column("blocked", "string", "Why it is not sent; null when it is."),
        Column("cause", "string", "Why a member is removed; null for other operations."),
        Column("urgent", "boolean", "A removal for consent or suppression: sent first, and stopped by no guard.", required=True),
        Column("leave", "string", "How a member leaves who is not merely taken out of the audience: clear, archive or erase; null for all others."),
    ),
    primary_key=("audience", "person_id"),
)

RECEIPTS = Table(
    ("activation", "receipts"),
    "What became of every operation ever sent.",
    (
        Column("op_id", "string", "Operation.", required=True),
        Column("op", "string", "add, update or remove.", required=True),
        Column("audience", "string", "Segment id.", required=True),
        PERSON,
        Column("state", "string", "planned, gated, sending, acked, rejected, retry_wait, in_doubt, superseded or expired.", required=True),
        Column("reason", "string", "The destination's reason, without personal data."),
        Column("at", UTC, "As-of instant of the delivery.", required=True),
    ),
    primary_key=("op_id",),
)

AUDIENCE_HEALTH = Table(
    ("ops", "audience_health"),
    "One row per layer: rows, quarantined input, age of the newest event.",
    (
        Column("table", "string", "Table.", required=True),
        Column("rows", "int64", "Rows.", required=True, minimum=0),
        Column("version", "int64", "Delta version.", required=True, minimum=0),
        Column("as_of", UTC, "Instant it is true for.", required=True),
    ),
    primary_key=("table",),
)

ALL: tuple[Table, ...] = (
    *UNIFIED.values(),
    QUARANTINE,
    LINKS,
    PERSONS,
    IDENTITY_CHANGES,
    VAULT,
    PERSON_CONSENTS,
    ACTIVITY_DAILY,
    FEATURES,
    PROFILES,
    ENGAGEMENT,
    RFM,
    ASSIGNMENTS,
    PERSONAS,
    PLAN,
    RECEIPTS,
    AUDIENCE_HEALTH,
)
"""Every canonical table, in the order of the graph."""
