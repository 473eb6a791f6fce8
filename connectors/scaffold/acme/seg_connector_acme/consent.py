"""The `acme` consent provider: what persons allowed, now and as it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from seg_assets.sdk import Api, Config, ConnectorMeta, Consent, ConsentChange, Context, Decision, Subject, hookimpl, load_spec

SPEC_FILE = Path(__file__).with_suffix(".yaml")
CHOICES = {"yes": Consent.ALLOW, "no": Consent.DENY}
"""What the vendor's words mean. A word that is not known is no permission."""


class AcmeConsentsConfig(Config):
    """An account, and the purposes to ask about."""

    token: SecretStr = Field(description="API token.")
    purposes: tuple[str, ...] = Field(min_length=1, description="Purposes of the taxonomy, which Acme calls the same.")
    base_url: str = Field("https://api.acme.example", description="Address of the API.")


class AcmeConsents:
    """Asks about persons by e-mail address. Nothing is remembered: a withdrawal counts at once."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="acme",
        title="Acme",
        description="What persons allowed.",
        kinds=("acme",),
        api=">=1,<2",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = AcmeConsentsConfig

    def __init__(self, config: AcmeConsentsConfig) -> None:
        self._config = config

    def purposes(self, context: Context) -> Sequence[str]:
        return self._config.purposes

    def decide(self, subjects: Sequence[Subject], purpose: str, context: Context) -> Mapping[str, Decision]:
        refs = {one.identifiers["email"]: one.ref for one in subjects if one.identifiers.get("email")}
        body = {"purpose": purpose, "emails": list(refs)}
        told = self._api.read("decide", context, json=body).json["decisions"]
        return {refs[one["email"]]: _decision(one) for one in told if one.get("email") in refs}

    def changes(self, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[tuple[Sequence[ConsentChange], Mapping[str, Any]]]:
        start = cursor["position"] if cursor else None
        for rows, reply in self._api.pages("changes", context, query={"after": start}):
            known = [one for one in rows if one["purpose"] in self._config.purposes]
            yield [ConsentChange({"email": one["email"]}, one["purpose"], _decision(one)) for one in known], {"position": reply.json["position"]}

    @cached_property
    def _api(self) -> Api:
        spec = load_spec(SPEC_FILE, base_url=self._config.base_url)
        return Api(spec, {"token": self._config.token.get_secret_value()}, name="Acme")


def _decision(told: Mapping[str, Any]) -> Decision:
    at = told.get("decided_at")
    return Decision(CHOICES.get(told.get("choice", ""), Consent.UNKNOWN), datetime.fromisoformat(at) if at else None, str(told.get("id", "")))


@hookimpl
def seg_consent_providers() -> list[type[AcmeConsents]]:
    return [AcmeConsents]
