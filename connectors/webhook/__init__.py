"""Built-in plug-in `webhook`: signed JSON batches to any HTTP endpoint."""

from connectors.hookspecs import hookimpl
from connectors.webhook.destination import WebhookDestination

__all__ = ["WebhookDestination"]


@hookimpl
def seg_destinations() -> list[type[WebhookDestination]]:
    return [WebhookDestination]
