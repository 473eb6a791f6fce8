"""The `acme` destination: a list of subscribers per audience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from seg_assets.sdk import (
    Api,
    Capability,
    Config,
    ConnectorMeta,
    Context,
    Granularity,
    Idempotency,
    ObjectDef,
    Operation,
    OpKind,
    Outcome,
    Row,
    as_outcome,
    check_reply,
    deliver_rows,
    deliver_turns,
    hookimpl,
    load_spec,
    row_text,
)

SPEC_FILE = Path(__file__).with_suffix(".yaml")
SUBSCRIBERS = "subscribers"


class AcmeDestinationConfig(Config):
    """An account."""

    token: SecretStr = Field(description="API token.")
    base_url: str = Field("https://api.acme.example", description="Address of the API.")


class AcmeDestination:
    """Subscribes and unsubscribes by e-mail address. Both are absolute statements, so repeating them changes nothing."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="acme",
        title="Acme",
        description="A list of subscribers per audience.",
        kinds=("acme",),
        api=">=1,<2",
        limits=load_spec(SPEC_FILE).limits,
        capabilities=frozenset({Capability.ERASE}),
    )
    config_model: ClassVar[type[Config]] = AcmeDestinationConfig

    def __init__(self, config: AcmeDestinationConfig) -> None:
        self._config = config

    def objects(self) -> Sequence[ObjectDef]:
        about = "Subscribers of the list that has the audience's name; fields are kept with them."
        return [
            ObjectDef(SUBSCRIBERS, match_key="email", max_batch=500, description=about, idempotency=Idempotency.ABSOLUTE, granularity=Granularity.ROW)
        ]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        return deliver_turns(batch, lambda audience, operations: self._send(audience, operations, context))

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        return {key: as_outcome(self._api.call("erase", context, json={"email": key})) for key in keys}

    def check(self, context: Context) -> None:
        check_reply("Acme", self._api.call("account", context))

    @cached_property
    def _api(self) -> Api:
        spec = load_spec(SPEC_FILE, base_url=self._config.base_url)
        return Api(spec, {"token": self._config.token.get_secret_value()}, name="Acme")

    def _send(self, audience: str, operations: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        rows = [Row(one.op_id, _subscriber(one), key=one.op_id, person=one.key) for one in operations]
        return deliver_rows(self._api, "subscribe", rows, context, envelope=('{"subscribers":[', "]}"), path={"list": audience})


def _subscriber(one: Operation) -> str:
    state = "off" if one.kind is OpKind.REMOVE else "on"
    return row_text({"ref": one.op_id, "email": one.key, "state": state, "fields": dict(one.fields)})


@hookimpl
def seg_destinations() -> list[type[AcmeDestination]]:
    return [AcmeDestination]
