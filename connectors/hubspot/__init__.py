"""Built-in plug-in `hubspot`: contacts as a source, audiences as contacts on lists. `emulation.py` is the sandbox's stand-in."""

from connectors.hookspecs import hookimpl
from connectors.hubspot.destination import HubSpotDestination
from connectors.hubspot.source import HubSpotSource

__all__ = ["HubSpotDestination", "HubSpotSource"]


@hookimpl
def seg_sources() -> list[type[HubSpotSource]]:
    return [HubSpotSource]


@hookimpl
def seg_destinations() -> list[type[HubSpotDestination]]:
    return [HubSpotDestination]
