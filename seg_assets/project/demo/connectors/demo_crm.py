"""The demo's destination: the webhook connector, pointed at a receiver on this machine that it starts itself.

It is also an example of a project's own connector: any file in `connectors/` may declare some.
"""

import atexit
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from connectors.webhook.destination import WebhookConfig, WebhookDestination
from connectors.webhook.emulation import Receiver, running
from seg_assets.sdk import Config, ConnectorMeta, Context, ObjectDef, Operation, Outcome, hookimpl


class DemoCrmConfig(Config):
    """What the receiver and the sender agree on."""

    secret: SecretStr = Field(min_length=16, description="Signing key; the receiver refuses what is not signed with it.")


class DemoCrm:
    """Delivers over real, signed HTTP to a small local receiver that keeps what it gets in `receiver.sqlite`."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="demo_crm", title="Demo CRM", description="A webhook receiver on this machine that stands for a CRM.", kinds=("webhook",)
    )
    config_model: ClassVar[type[Config]] = DemoCrmConfig

    def __init__(self, config: DemoCrmConfig) -> None:
        self._config = config

    def objects(self) -> Sequence[ObjectDef]:
        return self._webhook("https://unset.invalid/").objects()

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        url = _receiver_url((context.home or context.root) / "receiver.sqlite", self._config.secret.get_secret_value())
        return self._webhook(url).deliver(object, batch, context)

    def _webhook(self, url: str) -> WebhookDestination:
        return WebhookDestination(WebhookConfig.model_validate({"url": url, "secret": self._config.secret}))


@cache
def _receiver_url(store: Path, secret: str) -> str:
    """Starts the receiver once per process; it stops with it."""
    stack = ExitStack()
    atexit.register(stack.close)
    store.parent.mkdir(parents=True, exist_ok=True)
    return stack.enter_context(running(Receiver(store, secret))).url


@hookimpl
def seg_destinations() -> list[type[DemoCrm]]:
    return [DemoCrm]
