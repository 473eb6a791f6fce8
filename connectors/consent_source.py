"""A consent provider as a source: its changes as statements of consent, so that they land, become canonical and reach deliveries like any others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

import pyarrow as pa

from connectors.types import Config, ConnectorMeta, Consent, ConsentChange, ConsentProvider, Context, Landing, Page, PiiClass, Source, StreamDef

CONSENTS = "consents"
IDENTIFIERS: tuple[str, ...] = ("email", "phone", "user_id")
SCHEMA = pa.schema([(name, pa.string()) for name in ("consent_id", *IDENTIFIERS, "purpose", "state", "stated_at", "expires_at", "evidence")])
STATES = {Consent.ALLOW: "granted", Consent.DENY: "denied", Consent.UNKNOWN: "denied"}


def as_source(provider: type[ConsentProvider]) -> type[Source]:
    """A source class of the provider's id and settings, with the stream `consents`."""

    class ProvidedConsents:
        """Reads what persons decided, a row per decision; one that is told twice has the same id."""

        meta: ClassVar[ConnectorMeta] = provider.meta
        config_model: ClassVar[type[Config]] = provider.config_model

        def __init__(self, config: Any = None) -> None:
            self._provider = provider(config)  # type: ignore[call-arg]

        def streams(self, context: Context) -> Sequence[StreamDef]:
            pii = dict.fromkeys(IDENTIFIERS, PiiClass.IDENTIFIER)
            about = f"What persons decided, as {provider.meta.title} tells it."
            return [StreamDef(CONSENTS, about, "consents", SCHEMA, Landing.APPEND, keys=("consent_id",), cursor="stated_at", pii=pii)]

        def watermark(self, stream: str, context: Context) -> str:
            return f"{context.as_of:%Y-%m-%dT%H}"  # providers have no cheaper question than for the changes themselves: once an hour

        def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
            for changes, after in self._provider.changes(cursor, context):
                rows = [_statement(change, context) for change in changes]
                yield Page(f"until {_short(str(sorted(after.items())))}", pa.Table.from_pylist(rows, SCHEMA), cursor=after)

    return ProvidedConsents


def _statement(change: ConsentChange, context: Context) -> dict[str, str | None]:
    decision = change.decision
    return {
        "consent_id": _short(repr((sorted(change.identifiers.items()), change.purpose, decision.consent, decision.decided_at))),
        **{name: change.identifiers.get(name) for name in IDENTIFIERS},
        "purpose": change.purpose,
        "state": STATES[decision.consent],
        "stated_at": (decision.decided_at or context.as_of).isoformat(),
        "expires_at": decision.expires_at.isoformat() if decision.expires_at else None,
        "evidence": decision.evidence or None,
    }


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
