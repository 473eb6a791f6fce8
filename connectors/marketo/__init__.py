"""Built-in plug-in `marketo`: audiences as leads on static lists. `emulation.py` is the sandbox's stand-in."""

from connectors.hookspecs import hookimpl
from connectors.marketo.destination import MarketoDestination

__all__ = ["MarketoDestination"]


@hookimpl
def seg_destinations() -> list[type[MarketoDestination]]:
    return [MarketoDestination]
