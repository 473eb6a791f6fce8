"""Built-in plug-in `braze`: audiences as an attribute of users. `emulation.py` is the sandbox's stand-in."""

from connectors.braze.destination import BrazeDestination
from connectors.hookspecs import hookimpl

__all__ = ["BrazeDestination"]


@hookimpl
def seg_destinations() -> list[type[BrazeDestination]]:
    return [BrazeDestination]
