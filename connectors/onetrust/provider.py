"""The `onetrust` consent provider: what a person allows at this moment, asked one by one; and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from connectors.errors import ConfigError, SourceError
from connectors.http import Action, Api
from connectors.onetrust.source import OneTrustSource
from connectors.onetrust.tenant import OneTrustTenant, decisions, instant, tenant_api
from connectors.types import Config, ConnectorMeta, Consent, ConsentChange, Context, Decision, Subject


class OneTrustConsents:
    """Asks about data subjects by e-mail address. Nothing is remembered: a withdrawal counts at once."""

    meta: ClassVar[ConnectorMeta] = OneTrustSource.meta
    config_model: ClassVar[type[Config]] = OneTrustTenant

    def __init__(self, config: OneTrustTenant) -> None:
        self._config = config

    def purposes(self, context: Context) -> Sequence[str]:
        return list(self._config.purposes)

    def decide(self, subjects: Sequence[Subject], purpose: str, context: Context) -> Mapping[str, Decision]:
        if purpose not in self._config.purposes:
            raise ConfigError(f"OneTrust keeps no purpose {purpose!r}", hint=f"it has {', '.join(self._config.purposes)}; see `purposes`")
        return {one.ref: self._decision(one, self._config.purposes[purpose], context) for one in subjects}

    def changes(self, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[tuple[Sequence[ConsentChange], Mapping[str, Any]]]:
        for rows, since in decisions(self._api, self._config, cursor, context):
            purposes = [(row, self._config.purpose(row["id"])) for row in rows]
            yield [ConsentChange({"email": row["identifier"]}, purpose, self._decided(row)) for row, purpose in purposes if purpose], {"since": since}

    @cached_property
    def _api(self) -> Api:
        return tenant_api(self._config)

    def _decision(self, subject: Subject, purpose: str, context: Context) -> Decision:
        email = subject.identifiers.get("email", "")
        if not email or not email.isascii():  # it is sent as a header
            return Decision(Consent.UNKNOWN)
        reply = self._api.call("details", context, headers={"identifier": email})
        if reply.action is Action.SKIP_ROW:
            return Decision(Consent.UNKNOWN)
        if reply.action is not Action.OK:
            raise SourceError(f"OneTrust {reply.reason}", hint="nobody is taken to have allowed anything")
        profiles = [one for one in reply.json["profiles"] if isinstance(one, dict) and one.get("id") == purpose]
        if str(reply.json.get("identifier", email)).casefold() != email.casefold() or not profiles:
            return Decision(Consent.UNKNOWN)
        return self._decided(max(profiles, key=lambda one: (str(one.get("lastUpdatedDate", "")), one.get("version", 0))))

    def _decided(self, profile: Mapping[str, Any]) -> Decision:
        dates = {name: instant(profile[name]) for name in ("lastUpdatedDate", "expiryDate") if profile.get(name)}
        consent = self._config.consent(str(profile.get("status", "")))
        return Decision(consent, dates.get("lastUpdatedDate"), str(profile.get("totalTransactionCount", "")), dates.get("expiryDate"))
