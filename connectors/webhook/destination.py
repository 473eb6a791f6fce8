"""The `webhook` destination: what is sent, and what an answer means for each operation. The wire is in `connectors.http`.

Request: POST of canonical JSON {"object", "operations": [{"op_id", "op", "audience", "key", "fields"}]}, signed, with an `Idempotency-Key`.
Answer: 2xx and {"outcomes": {op_id: {"verdict": "acked" | "rejected", "reason": code word}}}. An operation is an absolute statement ("is a member
with these fields", "is no member"), so a receiver may apply it any number of times.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.errors import ConfigError, DestinationError
from connectors.http import Ambiguous, Answered, NeverSent, checked_url, post_json, retry_after
from connectors.types import Config, ConnectorMeta, Context, ObjectDef, Operation, Outcome, Verdict
from connectors.webhook.signature import HEADER, sign

OBJECT = "members"
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NOT_NOW = {429, 503}
_REFUSED = {401: "our signature", 403: "our signature", 404: "the address", 405: "the address", 410: "the address"}


class WebhookConfig(Config):
    """Where to send, and how requests are signed."""

    url: str = Field(description="https URL that receives the batches; http only on this machine.")
    secret: SecretStr = Field(
        min_length=16, description="Signing key shared with the receiver, at least 16 characters; write ${NAME} to take it from the environment."
    )
    timeout: float = Field(10, gt=0, le=300, description="Seconds to wait for the receiver.")
    max_batch: int = Field(500, ge=1, le=10_000, description="Operations per request.")
    match_key: Literal["email", "phone", "user_id", "person_id"] = Field("email", description="Identifier the receiver knows persons by.")

    @field_validator("url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)


class WebhookDestination:
    """Delivers memberships as signed JSON batches."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="webhook",
        title="Webhook",
        description="Sends audience members as signed JSON batches to an HTTP endpoint that answers per operation.",
        kinds=("webhook",),
    )
    config_model: ClassVar[type[Config]] = WebhookConfig

    def __init__(self, config: WebhookConfig, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives the Unix time requests are signed with."""
        self._config, self._clock = config, clock

    def objects(self) -> Sequence[ObjectDef]:
        return [ObjectDef(OBJECT, self._config.match_key, self._config.max_batch, "Members of audiences and their fields.")]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        if object != OBJECT:
            raise ConfigError(f"the webhook destination has no object {object!r}", hint=f"use {OBJECT!r}")
        outcomes: dict[str, Outcome] = {}
        texts: list[str] = []
        sent: list[Operation] = []
        for operation in batch:
            try:
                texts.append(_text(operation))
                sent.append(operation)
            except (TypeError, ValueError):
                outcomes[operation.op_id] = Outcome(Verdict.REJECTED, "a value can't be written as JSON")
        if sent:
            outcomes |= self._send(f'{{"object":{json.dumps(object)},"operations":[{",".join(texts)}]}}'.encode(), sent)
        context.log.info("webhook: %d operations, %d acked", len(batch), sum(o.verdict is Verdict.ACKED for o in outcomes.values()))
        return outcomes

    def _send(self, body: bytes, sent: Sequence[Operation]) -> Mapping[str, Outcome]:
        ids = hashlib.blake2b("\n".join(operation.op_id for operation in sent).encode(), digest_size=16).hexdigest()
        headers = {HEADER: sign(self._config.secret.get_secret_value(), body, int(self._clock())), "Idempotency-Key": ids}
        match post_json(self._config.url, body, headers, timeout=self._config.timeout):
            case NeverSent(reason):
                raise DestinationError(f"the webhook can't be reached: {reason}", hint="nothing of this batch was sent")
            case Ambiguous(reason):
                return _all(sent, Verdict.IN_DOUBT, f"no answer: {reason}")
            case Answered() as answer:
                return self._read(answer, sent)

    def _read(self, answer: Answered, sent: Sequence[Operation]) -> Mapping[str, Outcome]:
        status = answer.status
        if 200 <= status < 300:
            stated = _stated(answer.body)
            return {operation.op_id: _outcome(stated.get(operation.op_id), operation) for operation in sent}
        if status in _NOT_NOW:
            wait = retry_after(answer.headers, self._clock())
            return _all(sent, Verdict.RETRY, f"http {status}" + (f", retry after {wait} s" if wait is not None else ""))
        if status in _REFUSED:
            raise ConfigError(f"the webhook refuses {_REFUSED[status]} (http {status})", hint="check `secret` and `url`")
        if 300 <= status < 400:
            raise ConfigError(f"the webhook answers with a redirect (http {status}), which is not followed", hint="set `url` to the final address")
        if 400 <= status < 500:
            hint = "lower `max_batch`" if status == 413 else "the receiver's log knows why"
            raise DestinationError(f"the webhook refuses the whole batch (http {status})", hint=hint)
        return _all(sent, Verdict.IN_DOUBT, f"http {status}")


def _all(sent: Sequence[Operation], verdict: Verdict, reason: str) -> dict[str, Outcome]:
    return {operation.op_id: Outcome(verdict, reason) for operation in sent}


def _stated(body: bytes | None) -> Mapping[str, Any]:
    """What the answer says per operation; nothing where it can't be understood."""
    try:
        answer = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    outcomes = answer.get("outcomes") if isinstance(answer, dict) else None
    return outcomes if isinstance(outcomes, dict) else {}


def _outcome(stated: Any, operation: Operation) -> Outcome:
    verdict = stated.get("verdict") if isinstance(stated, dict) else None
    if verdict == "acked":
        return Outcome(Verdict.ACKED)
    if verdict != "rejected":
        return Outcome(Verdict.IN_DOUBT, "the answer does not say what became of this operation")
    reason = stated.get("reason")
    is_code = isinstance(reason, str) and _CODE.fullmatch(reason) and operation.key.casefold() not in reason
    return Outcome(Verdict.REJECTED, f"receiver: {reason}" if is_code else "rejected; the receiver's reason is not a code word and was not kept")


def _text(operation: Operation) -> str:
    """The operation as canonical JSON: keys sorted, no spaces, no escapes beyond those JSON demands."""
    content = {
        "op_id": operation.op_id,
        "op": operation.kind.value,
        "audience": operation.audience,
        "key": operation.key,
        "fields": dict(operation.fields),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)
    text.encode()
    return text


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
