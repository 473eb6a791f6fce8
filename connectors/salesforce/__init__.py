"""Built-in plug-in `salesforce`: contacts as a source, audiences as contacts in campaigns. `emulation*.py` are the sandbox's stand-in."""

from connectors.hookspecs import hookimpl
from connectors.salesforce.destination import SalesforceDestination
from connectors.salesforce.source import SalesforceSource

__all__ = ["SalesforceDestination", "SalesforceSource"]


@hookimpl
def seg_sources() -> list[type[SalesforceSource]]:
    return [SalesforceSource]


@hookimpl
def seg_destinations() -> list[type[SalesforceDestination]]:
    return [SalesforceDestination]
