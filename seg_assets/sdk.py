"""Everything the author of a connector imports, in one place. What is not here is not part of the interface."""

from connectors.errors import ConfigError, ConnectorError, DestinationError, SourceError
from connectors.hookspecs import ENTRY_POINT_GROUP, hookimpl
from connectors.types import (
    API_VERSION,
    Config,
    ConnectorMeta,
    Context,
    Destination,
    Landing,
    ObjectDef,
    Operation,
    OpKind,
    Outcome,
    Page,
    Reject,
    Source,
    StreamDef,
    Verdict,
)

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "Config",
    "ConfigError",
    "ConnectorError",
    "ConnectorMeta",
    "Context",
    "Destination",
    "DestinationError",
    "Landing",
    "ObjectDef",
    "OpKind",
    "Operation",
    "Outcome",
    "Page",
    "Reject",
    "Source",
    "SourceError",
    "StreamDef",
    "Verdict",
    "hookimpl",
]
