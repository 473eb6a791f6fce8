"""Built-in plug-in `customerio`: audiences as people in manual segments. `emulation.py` is the sandbox's stand-in."""

from connectors.customerio.destination import CustomerIoDestination
from connectors.hookspecs import hookimpl

__all__ = ["CustomerIoDestination"]


@hookimpl
def seg_destinations() -> list[type[CustomerIoDestination]]:
    return [CustomerIoDestination]
