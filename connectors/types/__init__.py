"""What connectors exchange with the graph: typed values, and the protocols connectors follow.

Rows travel in columns (Arrow) through these protocols, never through a pluggy hook. Nothing here imports Dagster or `seg_assets`;
authors import these names from `seg_assets.sdk`.
"""

from connectors.types.context import Checks, Clock, Context, Cost, SystemClock
from connectors.types.destinations import (
    ACKED,
    IN_DOUBT,
    Archives,
    Container,
    Destination,
    Erases,
    Granularity,
    Idempotency,
    MakesContainers,
    ObjectDef,
    Operation,
    OpKind,
    Outcome,
    ReadsBack,
    RemoteRow,
    Verdict,
    WorksInBulk,
)
from connectors.types.meta import API_VERSION, Capability, Config, ConnectorMeta, Limit, PiiClass, api_range
from connectors.types.people import Consent, ConsentChange, ConsentProvider, Decision, Enricher, Enrichment, FieldDef, Match, Quote, Subject
from connectors.types.policies import DeliveryEvent, Normaliser, PlanSummary
from connectors.types.sources import Landing, Page, Reject, Source, StreamDef

__all__ = [
    "ACKED",
    "API_VERSION",
    "IN_DOUBT",
    "Archives",
    "Capability",
    "Checks",
    "Clock",
    "Config",
    "ConnectorMeta",
    "Consent",
    "ConsentChange",
    "ConsentProvider",
    "Container",
    "Context",
    "Cost",
    "Decision",
    "DeliveryEvent",
    "Destination",
    "Enricher",
    "Enrichment",
    "Erases",
    "FieldDef",
    "Granularity",
    "Idempotency",
    "Landing",
    "Limit",
    "MakesContainers",
    "Match",
    "Normaliser",
    "ObjectDef",
    "OpKind",
    "Operation",
    "Outcome",
    "Page",
    "PiiClass",
    "PlanSummary",
    "Quote",
    "ReadsBack",
    "Reject",
    "RemoteRow",
    "Source",
    "StreamDef",
    "Subject",
    "SystemClock",
    "Verdict",
    "WorksInBulk",
    "api_range",
]
