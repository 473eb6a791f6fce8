"""The streams and their Arrow schemas as delivered. Text stands where a real source delivers whatever it was given (times, amounts)."""

from __future__ import annotations

import pyarrow as pa

from connectors.types import StreamDef

TEXT, COUNT, NUMBER, WHEN = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", "UTC")

CRM = StreamDef(
    "crm", "Customer records of the CRM: imported, typed in, sometimes twice.", "contacts",
    pa.schema([
        ("contact_id", TEXT), ("user_id", TEXT), ("email", TEXT), ("phone", TEXT), ("first_name", TEXT), ("last_name", TEXT),
        ("birth_date", TEXT), ("gender", TEXT), ("country", TEXT), ("city", TEXT), ("area", TEXT), ("language", TEXT),
        ("created_at", WHEN), ("updated_at", WHEN),
    ]),
)  # fmt: skip
STOREFRONT = StreamDef(
    "storefront", "Accounts of the web shop.", "contacts",
    pa.schema([
        ("contact_id", TEXT), ("user_id", TEXT), ("email", TEXT), ("phone", TEXT), ("first_name", TEXT), ("last_name", TEXT), ("age", COUNT),
        ("country", TEXT), ("city", TEXT), ("language", TEXT), ("created_at", WHEN), ("updated_at", WHEN),
    ]),
)  # fmt: skip
TRACKING = StreamDef(
    "tracking", "Behaviour on web site and app, as the tracker sends it.", "events",
    pa.schema([
        ("event_id", TEXT), ("event_type", TEXT), ("event_time", TEXT), ("received_at", WHEN), ("user_id", TEXT), ("anonymous_id", TEXT),
        ("device_id", TEXT), ("email", TEXT), ("session_id", TEXT), ("channel", TEXT), ("device", TEXT), ("product_id", TEXT),
        ("category", TEXT), ("cart_id", TEXT), ("campaign_id", TEXT), ("quantity", COUNT), ("revenue", TEXT), ("currency", TEXT),
        ("percent", NUMBER), ("properties", TEXT),
    ]),
)  # fmt: skip
ORDERS = StreamDef(
    "orders", "Order lines and returns from the back office; event_time is local time without a zone.", "events",
    pa.schema([
        ("event_id", TEXT), ("event_type", TEXT), ("event_time", TEXT), ("user_id", TEXT), ("email", TEXT), ("channel", TEXT),
        ("product_id", TEXT), ("category", TEXT), ("cart_id", TEXT), ("order_id", TEXT), ("quantity", COUNT), ("revenue", TEXT), ("currency", TEXT),
    ]),
)  # fmt: skip
EMAIL = StreamDef(
    "email", "What became of marketing e-mails, by address.", "events",
    pa.schema([
        ("event_id", TEXT), ("event_type", TEXT), ("event_time", WHEN), ("received_at", WHEN), ("email", TEXT), ("channel", TEXT),
        ("campaign_id", TEXT),
    ]),
)  # fmt: skip
CONSENTS = StreamDef(
    "consents", "Statements of the consent platform, by account or address.", "consents",
    pa.schema([
        ("consent_id", TEXT), ("user_id", TEXT), ("email", TEXT), ("purpose", TEXT), ("state", TEXT), ("stated_at", TEXT), ("expires_at", WHEN),
        ("jurisdiction", TEXT), ("evidence", TEXT),
    ]),
)  # fmt: skip
ENRICHMENT = StreamDef(
    "enrichment", "Attributes bought from a data provider, by address.", "enrichments",
    pa.schema([
        ("enrichment_id", TEXT), ("email", TEXT), ("attribute", TEXT), ("value", TEXT), ("confidence", NUMBER), ("provided_at", WHEN),
    ]),
)  # fmt: skip
MENTIONS = StreamDef(
    "mentions", "Posts about the shop by customers who linked their social account.", "mentions",
    pa.schema([
        ("mention_id", TEXT), ("user_id", TEXT), ("network", TEXT), ("mention_time", WHEN), ("sentiment", NUMBER), ("topic", TEXT),
    ]),
)  # fmt: skip

STREAMS = (CRM, STOREFRONT, TRACKING, ORDERS, EMAIL, CONSENTS, ENRICHMENT, MENTIONS)
MONTHLY = ("tracking", "orders", "email", "mentions")
"""Streams whose slices are calendar months; the others have one slice."""
WHOLE = "all"
"""The slice of a stream that has only one."""
