"""One row per person, or per person and something: consents, activity, features, profiles, scores, clusters, personas."""

from __future__ import annotations

from seg_assets.schema.tables.unified import PERSON
from seg_assets.schema.types import MONEY, UTC, Column, Pii, Table

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
