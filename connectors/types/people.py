"""Asking others about persons: enrichment and consent, with the `Enricher` and `ConsentProvider` protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

from connectors.types.context import Context
from connectors.types.destinations import Outcome
from connectors.types.meta import Config, ConnectorMeta, PiiClass


@dataclass(frozen=True)
class Subject:
    """A person to ask about.

    Args:
        ref: our word for them in answers; no personal data.
        identifiers: kind ("email", "phone", "name", ...) to value. Personal data.
    """

    ref: str
    identifiers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class FieldDef:
    """Something an enricher can tell about a person."""

    name: str
    description: str = ""
    pii: PiiClass = PiiClass.PERSONAL


@dataclass(frozen=True)
class Quote:
    """What asking will cost, before anything is spent.

    Args:
        most: what it costs if everybody is found, in `unit`.
        unit: a currency (ISO 4217) or "credits".
        calls: requests it takes.
        left: what the account can still spend, if the vendor says so.
    """

    most: Decimal
    unit: str
    calls: int
    left: Decimal | None = None


class Match(StrEnum):
    """What became of one question."""

    MATCH = "match"
    NO_MATCH = "no_match"
    ERROR = "error"
    """Refused for good."""
    RETRY = "retry"
    """Not answered and not paid for; later."""
    IN_DOUBT = "in_doubt"
    """Perhaps paid for; no answer."""


@dataclass(frozen=True)
class Enrichment:
    """What an enricher tells about one subject.

    Args:
        ref: the subject's.
        match: what became of the question.
        values: field to value; only fields that were asked for. Personal data.
        confidence: between 0 and 1, if the vendor says so.
        cost: what it cost, in the quote's unit.
        expires_at: instant after which it must not be used (UTC), if the licence says so.
        reason: why there is no answer; safe to store.
    """

    ref: str
    match: Match
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    confidence: float | None = None
    cost: Decimal = Decimal(0)
    expires_at: datetime | None = None
    reason: str = ""


@runtime_checkable
class Enricher(Protocol):
    """Tells more about persons. Constructed as `Connector(config)`; must not touch the outside world in `__init__`."""

    meta: ClassVar[ConnectorMeta]
    config_model: ClassVar[type[Config]]

    def fields(self) -> Sequence[FieldDef]:
        """What it can tell. No network."""
        ...

    def quote(self, subjects: int, fields: Sequence[str], context: Context) -> Quote:
        """What asking about so many persons costs at most. Spends nothing."""
        ...

    def enrich(self, subjects: Sequence[Subject], fields: Sequence[str], context: Context) -> Iterator[Enrichment]:
        """One answer per subject, in any order. Spends."""
        ...

    def purge(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Outcome]:
        """Has the vendor forget what it keeps about persons because we asked; an outcome per `ref`. REJECTED, with the reason, where it has no call for it."""
        ...


class Consent(StrEnum):
    """What a person decided. Unknown counts as denied."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Decision:
    """A person's decision about a purpose.

    Args:
        consent: what they decided.
        decided_at: when (UTC), if it is known.
        evidence: the provider's id of the record that proves it.
        expires_at: instant after which it no longer holds (UTC), if any.
    """

    consent: Consent
    decided_at: datetime | None = None
    evidence: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True)
class ConsentChange:
    """A decision that was made: by whom (identifiers, personal data), about which purpose."""

    identifiers: Mapping[str, str] = field(repr=False)
    purpose: str
    decision: Decision


@runtime_checkable
class ConsentProvider(Protocol):
    """Knows what persons allowed. Constructed as `Connector(config)`; must not touch the outside world in `__init__`."""

    meta: ClassVar[ConnectorMeta]
    config_model: ClassVar[type[Config]]

    def purposes(self, context: Context) -> Sequence[str]:
        """Purposes it keeps decisions about."""
        ...

    def decide(self, subjects: Sequence[Subject], purpose: str, context: Context) -> Mapping[str, Decision]:
        """What is true now, per `ref`. A subject that is missing counts as unknown."""
        ...

    def changes(self, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[tuple[Sequence[ConsentChange], Mapping[str, Any]]]:
        """Decisions since `cursor` (None: all), page by page, each page with the cursor that follows it."""
        ...
