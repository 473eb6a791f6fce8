"""A Salesforce org: how to sign in, which version of the API, and texts of SOQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.http import Api, load_spec
from connectors.http.client import checked_url
from connectors.types import Config

SPEC_FILE = Path(__file__).with_name("http.yaml")
NAME = r"^[A-Za-z][A-Za-z0-9_]{0,79}$"


class SalesforceOrg(Config):
    """Signing in with an external client app: by `client_secret` (client credentials), or by `private_key` and `username` (JWT bearer)."""

    base_url: str = Field(description="The org's My Domain, e.g. https://acme.my.salesforce.com.")
    client_id: str = Field(description="Consumer key of the external client app.")
    client_secret: SecretStr | None = Field(None, description="Consumer secret, for client credentials.")
    username: str | None = Field(None, description="User to act as, for JWT bearer.")
    private_key: SecretStr | None = Field(None, description="Private key as PEM text, for JWT bearer.")
    api_version: str = Field("67.0", pattern=r"^\d\d\.0$", description="Version of the API.")
    calls_per_day: int = Field(100_000, ge=1, description="Calls in 24 hours the org leaves to us.")

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url).rstrip("/")

    @model_validator(mode="after")
    def _one_way_in(self) -> SalesforceOrg:
        if (self.client_secret is None) == (self.private_key is None) or (self.private_key is None) != (self.username is None):
            raise ValueError("state either `client_secret`, or `private_key` and `username`")
        return self


def org_api(org: SalesforceOrg) -> Api:
    """Salesforce's interface for an org. No network."""
    changes: dict[str, Any] = {"base_url": org.base_url, "places": {"version": org.api_version}}
    changes["budgets"] = {"org": {"windows": [{"n": org.calls_per_day, "per": "1d"}]}}
    secrets = {"client_id": org.client_id}
    if org.client_secret:
        secrets["client_secret"] = org.client_secret.get_secret_value()
    elif org.private_key and org.username:
        secrets |= {"private_key": org.private_key.get_secret_value(), "username": org.username}
        claims = {"iss": "{client_id}", "sub": "{username}", "aud": org.base_url}
        changes["auth"] = {"type": "jwt_bearer", "claims": claims}
    return Api(load_spec(SPEC_FILE, **changes), secrets, name="Salesforce")


def quoted(value: str) -> str:
    """A text in SOQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def listed(values: Iterable[str]) -> str:
    """Texts in SOQL, for IN."""
    return f"({', '.join(map(quoted, values))})"


def soql_time(at: datetime) -> str:
    """An instant in SOQL: whole seconds, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
