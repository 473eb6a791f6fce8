"""The `acme` source: contacts, new and changed ones only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, SecretStr

from seg_assets.sdk import Api, Config, ConnectorMeta, Context, Landing, Page, PiiClass, StreamDef, hookimpl, load_spec

SPEC_FILE = Path(__file__).with_suffix(".yaml")
CONTACTS = "contacts"
SCHEMA = pa.schema([(name, pa.string()) for name in ("contact_id", "email", "first_name", "updated_at")])
PII = {"contact_id": PiiClass.IDENTIFIER, "email": PiiClass.IDENTIFIER, "first_name": PiiClass.PERSONAL}


class AcmeSourceConfig(Config):
    """An account."""

    token: SecretStr = Field(description="API token.")
    base_url: str = Field("https://api.acme.example", description="Address of the API.")


class AcmeSource:
    """Reads contacts in the order they changed, and remembers how far it came."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="acme",
        title="Acme",
        description="Contacts, new and changed ones only.",
        kinds=("acme",),
        api=">=1,<2",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = AcmeSourceConfig

    def __init__(self, config: AcmeSourceConfig) -> None:
        self._config = config

    def streams(self, context: Context) -> Sequence[StreamDef]:
        about = "Contacts as Acme holds them; a line per change."
        return [StreamDef(CONTACTS, about, "contacts", SCHEMA, Landing.APPEND, keys=("contact_id",), cursor="updated_at", pii=PII)]

    def watermark(self, stream: str, context: Context) -> str:
        return str(self._api.read("newest", context).json["position"])

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        start = cursor["position"] if cursor else None
        for rows, reply in self._api.pages("changes", context, query={"after": start}):
            if rows:
                position = reply.json["position"]
                yield Page(f"up to {position}", pa.Table.from_pylist(list(rows), SCHEMA), cursor={"position": position})

    @cached_property
    def _api(self) -> Api:
        spec = load_spec(SPEC_FILE, base_url=self._config.base_url)
        return Api(spec, {"token": self._config.token.get_secret_value()}, name="Acme")


@hookimpl
def seg_sources() -> list[type[AcmeSource]]:
    return [AcmeSource]
