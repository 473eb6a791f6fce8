"""The `onetrust` source: decisions as statements of consent, a line per change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar

import pyarrow as pa

from connectors.http import Api, load_spec
from connectors.onetrust.tenant import SPEC_FILE, OneTrustTenant, decisions, newest, tenant_api
from connectors.types import Config, ConnectorMeta, Consent, Context, Landing, Page, PiiClass, StreamDef

CONSENTS = "consents"
STATES = {Consent.ALLOW: "granted", Consent.DENY: "denied", Consent.UNKNOWN: "denied"}
SCHEMA = pa.schema([(name, pa.string()) for name in ("consent_id", "email", "purpose", "state", "stated_at", "expires_at", "evidence")])


class OneTrustSource:
    """Reads who allowed what, by e-mail address."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="onetrust",
        title="OneTrust",
        description="Decisions about purposes, new and changed ones only.",
        kinds=("onetrust",),
        api=">=1,<2",
        docs_url="https://developer.onetrust.com",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = OneTrustTenant

    def __init__(self, config: OneTrustTenant) -> None:
        self._config = config

    def streams(self, context: Context) -> Sequence[StreamDef]:
        pii = {"email": PiiClass.IDENTIFIER}
        about = "What data subjects decided about the purposes the project uses."
        return [StreamDef(CONSENTS, about, "consents", SCHEMA, Landing.APPEND, keys=("consent_id",), cursor="stated_at", pii=pii)]

    def watermark(self, stream: str, context: Context) -> str:
        return newest(self._api, self._config, context)

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        for rows, since in decisions(self._api, self._config, cursor, context):
            statements = [one for one in map(self._statement, rows) if one]
            yield Page(f"until {since}", pa.Table.from_pylist(statements, SCHEMA), cursor={"since": since})

    @cached_property
    def _api(self) -> Api:
        return tenant_api(self._config)

    def _statement(self, profile: Mapping[str, Any]) -> dict[str, Any] | None:
        """A row, or None for a purpose the project does not use."""
        purpose = self._config.purpose(profile["id"])
        if purpose is None:
            return None
        state = "withdrawn" if profile["status"] == "WITHDRAWN" else STATES[self._config.consent(profile["status"])]
        what = "\0".join((profile["identifier"], profile["id"], profile["lastUpdatedDate"], profile["status"]))
        return {
            "consent_id": blake2b(what.encode(), digest_size=16).hexdigest(),
            "email": profile["identifier"],
            "purpose": purpose,
            "state": state,
            "stated_at": profile["lastUpdatedDate"],
            "expires_at": profile.get("expiryDate"),
            "evidence": f"transactions: {profile.get('totalTransactionCount', '')}",
        }
