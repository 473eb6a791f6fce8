"""A OneTrust tenant: how to sign in, which purposes matter, what a status means, and decisions in the order they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator

from connectors.http import Api, load_spec
from connectors.http.client import checked_url
from connectors.types import Config, Consent, Context

SPEC_FILE = Path(__file__).with_name("http.yaml")
WINDOW = timedelta(days=30)
"""The longest period one question may cover."""
TICK = timedelta(milliseconds=1)
DENYING = frozenset({"WITHDRAWN", "OPT_OUT", "HARD_OPT_OUT", "NO_CONSENT", "EXPIRED"})


class OneTrustTenant(Config):
    """Signing in, and what to read."""

    client_id: str = Field(description="Of an OAuth client credential.")
    client_secret: SecretStr = Field(description="Of an OAuth client credential.")
    purposes: dict[str, str] = Field(min_length=1, description="Purpose of the taxonomy to the id of the purpose at OneTrust.")
    allowing: tuple[str, ...] = Field(
        ("ACTIVE", "EXTEND", "OPT_IN", "ALWAYS_ACTIVE"),
        description="Statuses that count as permission; all others do not. IMPLICIT and NOT_OPT_OUT are left out unless you name them.",
    )
    since: date = Field(date(2018, 5, 25), description="Decisions are read from this day on.")
    settle: float = Field(60, ge=0, description="Seconds a decision must be old to be read in bulk.")
    page_size: int = Field(50, ge=1, le=50, description="Decisions per call.")
    base_url: str = Field("https://app.onetrust.com", description="Address of the tenant, e.g. https://app-eu.onetrust.com.")

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)

    def consent(self, status: str) -> Consent:
        """What a status means. A word that is not known is no permission."""
        return Consent.ALLOW if status in self.allowing else Consent.DENY if status in DENYING else Consent.UNKNOWN

    def purpose(self, id: str) -> str | None:
        """The taxonomy's word for a purpose, or None where the project does not use it."""
        return next((name for name, known in self.purposes.items() if known == id), None)


def tenant_api(tenant: OneTrustTenant) -> Api:
    """OneTrust's interface for a tenant. No network."""
    secrets = {"client_id": tenant.client_id, "client_secret": tenant.client_secret.get_secret_value()}
    return Api(load_spec(SPEC_FILE, base_url=tenant.base_url), secrets, name="OneTrust")


def decisions(api: Api, tenant: OneTrustTenant, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[tuple[Sequence[dict[str, Any]], str]]:
    """Decisions by the instant they were last changed, page by page, with the instant reading may go on from.

    What shares that instant is told again, so that nothing of it is skipped. The latest ones are left for later: they may still come out of order.
    """
    start = instant(cursor["since"]) if cursor else datetime.combine(tenant.since, datetime.min.time(), UTC)
    until = context.as_of - timedelta(seconds=tenant.settle)
    while start <= until:
        end = min(start + WINDOW, until)
        query = {"updatedSince": text(start), "updatedUntil": text(end), "size": str(tenant.page_size)}
        for rows, _ in api.pages("profiles", context, query=query):
            if rows:
                yield rows, rows[-1]["lastUpdatedDate"]
        start = end + TICK


def newest(api: Api, tenant: OneTrustTenant, context: Context) -> str:
    """A text that changes when a decision is made: the latest instant of the last thirty days, and how many were made at it."""
    until = context.as_of - timedelta(seconds=tenant.settle)
    query = {"updatedSince": text(until - WINDOW), "updatedUntil": text(until), "size": "50"}
    found = [one["lastUpdatedDate"] for one in api.read("newest", context, query=query).json["content"]]
    return f"{found[0]} {found.count(found[0])}" if found else "none for thirty days"


def instant(text: str) -> datetime:
    """An instant as OneTrust writes it."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def text(at: datetime) -> str:
    """An instant as OneTrust reads it: UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
