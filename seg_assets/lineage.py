"""Column lineage: which columns of which tables the columns of a table are computed from, where that can be said.

The lineage of unified tables follows from a project's mappings and is in `assets/unified.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from seg_assets.graph import Graph
from seg_assets.schema.tables import (
    ACTIVITY_DAILY,
    CONSENTS,
    CONTACTS,
    ENGAGEMENT,
    ENRICHMENTS,
    EVENTS,
    FEATURES,
    IDENTIFIERS,
    LINKS,
    MENTIONS,
    PERSON_CONSENTS,
    PERSONS,
    PROFILES,
    RFM,
    UNIFIED,
    VAULT,
)
from seg_assets.schema.types import Table

Columns = tuple[tuple[tuple[str, ...], str], ...]
Origins = dict[str, Columns]
"""Column to the (table key, column) pairs it comes from."""


def lineage(graph: Graph, origins: Mapping[str, Sequence[tuple[Sequence[str], str]]]) -> dg.TableColumnLineage:
    """Origins as Dagster shows them."""
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(asset_key=graph.asset_key(key), column_name=column) for key, column in deps] for name, deps in origins.items()}
    )


def origins_of(graph: Graph, key: tuple[str, ...]) -> Origins:
    """What is known of the origins of a table's columns; {} where nothing is."""
    scoring = graph.project.config.scoring
    window = scoring.rfm.window
    points = _columns(ACTIVITY_DAILY, *(f"n_{name}" for name, weight in scoring.engagement.weights.items() if weight))
    bought = {
        "recency": _columns(FEATURES, "days_since_order"),
        "frequency": _columns(FEATURES, f"orders_{window}"),
        "monetary": _columns(FEATURES, f"revenue_{window}"),
    }
    person = {"person_id": _columns(LINKS, "person_id")}
    known: dict[tuple[str, ...], Origins] = {
        LINKS.key: dict.fromkeys(
            ("identifier", "person_id"), tuple(o for t in UNIFIED.values() for o in _columns(t, *(c.name for c in IDENTIFIERS)))
        ),
        PERSONS.key: person | {"identifiers": _columns(LINKS, "identifier"), "contacts": _columns(CONTACTS, "contact_id")},
        VAULT.key: person | {name: _columns(CONTACTS, name) for name in VAULT.schema.names if name != "person_id"},
        PERSON_CONSENTS.key: person
        | {
            "purpose": _columns(CONSENTS, "purpose"),
            "granted": _columns(CONSENTS, "state", "expires_at"),
            "since": _columns(CONSENTS, "stated_at"),
            "expires_at": _columns(CONSENTS, "expires_at"),
        },
        ACTIVITY_DAILY.key: person | _activity(graph),
        FEATURES.key: person | _features(),
        PROFILES.key: _profiles(graph),
        ENGAGEMENT.key: {"person_id": _columns(PERSONS, "person_id")}
        | dict.fromkeys(("engagement", "engagement_percentile", "engagement_label"), (*points, *_columns(ACTIVITY_DAILY, "day"))),
        RFM.key: {"person_id": _columns(FEATURES, "person_id"), **bought, "rfm_segment": tuple(o for some in bought.values() for o in some)},
    }
    return known.get(key, {})


def _columns(table: Table, *names: str) -> Columns:
    return tuple((table.key, name) for name in names)


def _activity(graph: Graph) -> Origins:
    return {
        "day": _columns(EVENTS, "day"),
        "events": _columns(EVENTS, "event_id"),
        "orders": _columns(EVENTS, "event_type", "order_id", "event_id"),
        **dict.fromkeys(("revenue", "refunds"), _columns(EVENTS, "event_type", "revenue")),
        **dict.fromkeys(("first_event_time", "last_event_time"), _columns(EVENTS, "event_time")),
        "last_order_time": _columns(EVENTS, "event_type", "event_time"),
        **dict.fromkeys((f"n_{name}" for name in graph.project.taxonomy.events), _columns(EVENTS, "event_type")),
    }


def _features() -> Origins:
    daily = {
        "first_event_time": ["first_event_time"],
        "last_event_time": ["last_event_time"],
        "tenure_days": ["first_event_time"],
        "days_since_event": ["last_event_time"],
        "days_since_order": ["last_order_time"],
        "avg_order_value": ["revenue", "orders"],
        "refund_share": ["refunds", "revenue"],
    }
    prefixes = {
        "active_days": "day", "events_": "events", "views_": "n_product_viewed", "adds_": "n_product_added", "orders_": "orders", "revenue_": "revenue",
        "email_opens": "n_email_opened", "email_clicks": "n_email_clicked",
    }  # fmt: skip
    sums = {name: [column for prefix, column in prefixes.items() if name.startswith(prefix)] for name in FEATURES.schema.names}
    counted = {name: _columns(ACTIVITY_DAILY, *columns) for name, columns in (sums | daily).items() if columns}
    favourite = {"top_category": "category", "top_categories": "category", "categories": "category", "top_channel": "channel"}
    return counted | {name: _columns(EVENTS, column) for name, column in favourite.items()}


def _profiles(graph: Graph) -> Origins:
    value = _columns(ENRICHMENTS, "attribute", "value")
    attributes = {name: (*_columns(CONTACTS, name), *value) for name in ("gender", "country", "city", "area", "language")}
    return attributes | {
        "person_id": _columns(PERSONS, "person_id"),
        "age": (*_columns(CONTACTS, "birth_date", "age"), *value),
        "has_email": _columns(VAULT, "email"),
        "has_phone": _columns(VAULT, "phone"),
        "contacts": _columns(PERSONS, "contacts"),
        "mentions_90d": _columns(MENTIONS, "mention_id", "mention_time"),
        "sentiment_90d": _columns(MENTIONS, "sentiment", "mention_time"),
        **dict.fromkeys(graph.project.taxonomy.custom_attributes, (*_columns(CONTACTS, "attributes"), *value)),
    }
