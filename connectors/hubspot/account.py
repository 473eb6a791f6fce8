"""A HubSpot account: how to sign in, which version of the API, how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.http import Api, HttpSpec, load_spec
from connectors.http.client import checked_url
from connectors.types import Config

SPEC_FILE = Path(__file__).with_name("http.yaml")


class HubSpotAccount(Config):
    """Signing in and limits. Either `access_token`, or the three settings of an OAuth app."""

    access_token: SecretStr | None = Field(None, description="Token of a private app or a service key.")
    client_id: str | None = Field(None, description="Of an OAuth app.")
    client_secret: SecretStr | None = Field(None, description="Of an OAuth app.")
    refresh_token: SecretStr | None = Field(None, description="The OAuth app's refresh token for this account; replaced by HubSpot with every use.")
    api_version: Literal["v3", "2025-09", "2026-03", "2026-09"] = Field("2026-03", description="Version of HubSpot's API; v3 ends in September 2027.")
    calls_per_10s: int = Field(100, ge=1, description="Calls in ten seconds: 100 (Free, Starter), 190 (Professional, Enterprise), 110 (OAuth apps).")
    calls_per_day: int = Field(250_000, ge=1, description="Calls per day: 250,000 (Free, Starter), 625,000 (Professional), 1,000,000 (Enterprise).")
    base_url: str = Field("https://api.hubapi.com", description="Address of the API.")

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)

    @model_validator(mode="after")
    def _one_way_in(self) -> HubSpotAccount:
        app = (self.client_id, self.client_secret, self.refresh_token)
        if (self.access_token is None) == (not any(app)) or (any(app) and not all(app)):
            raise ValueError("state either `access_token`, or `client_id`, `client_secret` and `refresh_token`")
        return self


def account_api(account: HubSpotAccount) -> Api:
    """HubSpot's interface for an account. No network."""
    spec, secrets = account_spec(account), dict[str, str]()
    if account.access_token:
        secrets["token"] = account.access_token.get_secret_value()
    elif account.client_id and account.client_secret and account.refresh_token:
        secrets = {"client_id": account.client_id, "client_secret": account.client_secret.get_secret_value()}
        secrets["refresh_token"] = account.refresh_token.get_secret_value()
    return Api(spec, secrets, name="HubSpot")


def account_spec(account: HubSpotAccount) -> HttpSpec:
    """`http.yaml` with an account's own settings."""
    version = account.api_version
    old = version == "v3"
    changes: dict[str, Any] = {
        "base_url": account.base_url,
        "places": {"objects": "v3/objects", "lists": "v3/lists"} if old else {"objects": f"objects/{version}", "lists": f"lists/{version}"},
    }
    if account.refresh_token:
        changes["auth"] = {"type": "oauth2_refresh", "token_url": "/oauth/v1/token" if old else f"/oauth/{version}/token"}
    burst, day = load_spec(SPEC_FILE).budgets["account"].windows
    windows = [burst.model_copy(update={"n": account.calls_per_10s}), day.model_copy(update={"n": account.calls_per_day})]
    changes["budgets"] = {"account": {"windows": [window.model_dump() for window in windows]}}
    return load_spec(SPEC_FILE, **changes)
