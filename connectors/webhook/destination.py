"""The `webhook` destination: what is sent. How it is sent, and what an answer means, is in `http.yaml`.

Request: POST of canonical JSON {"object", "operations": [{"op_id", "op", "audience", "key", "fields"}]}, signed, with an `Idempotency-Key`.
Answer: 2xx and {"outcomes": {op_id: {"verdict": "acked" | "rejected", "reason": code word}}}. An operation is an absolute statement ("is a member
with these fields", "is no member"), so a receiver may apply it any number of times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.errors import ConfigError
from connectors.http import Api, Row, check_reply, deliver_rows, load_spec
from connectors.http.client import checked_url
from connectors.http.jsontext import encoded
from connectors.normalise import rules
from connectors.types import Config, ConnectorMeta, Context, ObjectDef, Operation, Outcome, SystemClock, Verdict

OBJECT = "members"


class WebhookConfig(Config):
    """Where to send, and how requests are signed."""

    url: str = Field(description="https URL that receives the batches; http only on this machine.")
    secret: SecretStr = Field(
        min_length=16, description="Signing key shared with the receiver, at least 16 characters; write ${NAME} to take it from the environment."
    )
    timeout: float = Field(10, gt=0, le=300, description="Seconds to wait for the receiver.")
    max_batch: int = Field(500, ge=1, le=10_000, description="Operations per request.")
    at_once: int = Field(2, ge=1, le=16, description="Requests under way at once; a person is never in two of them.")
    match_key: Literal["email", "phone", "user_id", "person_id"] = Field("email", description="Identifier the receiver knows persons by.")
    key_as: str | None = Field(None, description="Rule that brings the identifier into a platform's form, hashed mostly: uid2.email@2026-08, say.")

    @field_validator("url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("key_as")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in rules():
            raise ValueError(f"there is no rule {name!r}; there are {', '.join(rules())}")
        return name


class WebhookDestination:
    """Delivers memberships as signed JSON batches."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="webhook",
        title="Webhook",
        description="Sends audience members as signed JSON batches to an HTTP endpoint that answers per operation.",
        kinds=("webhook",),
    )
    config_model: ClassVar[type[Config]] = WebhookConfig

    def __init__(self, config: WebhookConfig, clock: Callable[[], float] | None = None) -> None:
        """`clock` gives the Unix time requests are signed with; default: the context's clock."""
        self._config, self._clock = config, clock

    def objects(self) -> Sequence[ObjectDef]:
        config = self._config
        return [ObjectDef(OBJECT, config.match_key, config.max_batch, "Members of audiences and their fields.", concurrency=config.at_once)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        if object != OBJECT:
            raise ConfigError(f"the webhook destination has no object {object!r}", hint=f"use {OBJECT!r}")
        outcomes: dict[str, Outcome] = {}
        rows: list[Row] = []
        form = rules()[self._config.key_as] if self._config.key_as else lambda key: key
        for operation in batch:
            key = form(operation.key)
            if key is None:
                outcomes[operation.op_id] = Outcome(Verdict.REJECTED, f"the key can't be brought into the form {self._config.key_as}")
                continue
            try:
                rows.append(Row(operation.op_id, _text(operation, key), key=operation.op_id, person=operation.key))
            except (TypeError, ValueError):
                outcomes[operation.op_id] = Outcome(Verdict.REJECTED, "a value can't be written as JSON")
        if self._clock:
            context = replace(context, clock=_SignedAt(self._clock))
        envelope = (f'{{"object":{json.dumps(object)},"operations":[', "]}")
        outcomes |= deliver_rows(self._api, "deliver", rows, context, envelope=envelope)
        context.log.info("webhook: %d operations, %d acked", len(batch), sum(o.verdict is Verdict.ACKED for o in outcomes.values()))
        return outcomes

    def check(self, context: Context) -> None:
        nothing = json.dumps({"object": OBJECT, "operations": []}, separators=(",", ":")).encode()
        check_reply("the webhook", self._api.call("deliver", context, body=nothing))

    @cached_property
    def _api(self) -> Api:
        config = self._config
        changes = {"base_url": config.url, "timeout": config.timeout, "endpoints": {"deliver": {"max_rows": config.max_batch}}}
        spec = load_spec(Path(__file__).with_name("http.yaml"), **changes)
        return Api(spec, {"signing_key": config.secret.get_secret_value()}, name="the webhook")


@dataclass(frozen=True)
class _SignedAt(SystemClock):
    """This machine's clock, but another time of day."""

    time: Callable[[], float]

    def now(self) -> float:
        return self.time()


def _text(operation: Operation, key: str) -> str:
    """The operation as canonical JSON: keys sorted, no spaces, no escapes beyond those JSON demands."""
    told = {"op_id": operation.op_id, "op": operation.kind.value, "audience": operation.audience, "key": key}
    return encoded({**told, "fields": dict(operation.fields)}, _plain, canonical=True).decode()


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("an instant without a time zone")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    raise TypeError(type(value).__name__)
