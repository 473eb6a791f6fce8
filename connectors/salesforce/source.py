"""The `salesforce` source: contacts as SOQL finds them, incrementally, deleted ones marked.

Rows come in the order of their last change and id, so that reading goes on exactly behind the last row. A change's time is a whole second: the latest changes
are left until their second is surely over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import Field, StringConstraints

from connectors.http import Api, load_spec
from connectors.salesforce.org import NAME, SPEC_FILE, SalesforceOrg, org_api, quoted, soql_time
from connectors.types import Config, ConnectorMeta, Context, Landing, Page, PiiClass, StreamDef

FIXED = {"id": "Id", "created_at": "CreatedDate", "updated_at": "SystemModstamp", "is_deleted": "IsDeleted"}
"""Columns every stream has, and the fields behind them."""
IDENTIFIERS = frozenset({"Email", "Phone", "MobilePhone"})


class SalesforceSourceConfig(SalesforceOrg):
    """An org, and what to read."""

    fields: tuple[Annotated[str, StringConstraints(pattern=NAME)], ...] = Field(
        ("Email", "FirstName", "LastName", "MobilePhone", "MailingCity", "MailingCountry"), min_length=1, description="Fields of contacts to read."
    )
    page_size: int = Field(2_000, ge=200, le=2_000, description="Contacts per call.")
    settle: float = Field(60, ge=2, description="Seconds a change must be old to be read.")


class SalesforceSource:
    """Reads contacts, a page per answer."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="salesforce",
        title="Salesforce",
        description="Contacts with the fields you name, new, changed and deleted ones only.",
        kinds=("salesforce",),
        api=">=1,<2",
        docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = SalesforceSourceConfig

    def __init__(self, config: SalesforceSourceConfig) -> None:
        self._config = config

    def streams(self, context: Context) -> Sequence[StreamDef]:
        pii = {name: PiiClass.IDENTIFIER if name in IDENTIFIERS else PiiClass.PERSONAL for name in self._config.fields}
        about = "Contacts as Salesforce holds them; a line per change, deletions too."
        return [StreamDef("contacts", about, None, self._schema, Landing.APPEND, keys=("id",), cursor="updated_at", deleted="is_deleted", pii=pii)]

    def watermark(self, stream: str, context: Context) -> str:
        newest = f"SELECT SystemModstamp FROM Contact WHERE SystemModstamp <= {self._until(context)} ORDER BY SystemModstamp DESC LIMIT 1"
        found = self._api.read("query_all", context, query={"q": newest}).json["records"]
        if not found:
            return "none"
        at = soql_time(datetime.fromisoformat(found[0]["SystemModstamp"]))
        count = self._api.read("query_all", context, query={"q": f"SELECT COUNT() FROM Contact WHERE SystemModstamp = {at}"}).json["totalSize"]
        return f"{at} {count}"

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        fields = ", ".join(dict.fromkeys((*FIXED.values(), *self._config.fields)))
        where = f"SystemModstamp <= {self._until(context)}"
        if cursor:
            at, id = soql_time(datetime.fromisoformat(cursor["at"])), quoted(cursor["id"])
            where += f" AND (SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {id}))"
        query = f"SELECT {fields} FROM Contact WHERE {where} ORDER BY SystemModstamp ASC, Id ASC"
        size = {"Sforce-Query-Options": f"batchSize={self._config.page_size}"}
        for rows, _ in self._api.pages("query_all", context, query={"q": query}, headers=size):
            if rows:
                last = {"at": rows[-1]["SystemModstamp"], "id": rows[-1]["Id"]}
                yield Page(f"until {last['at']} {last['id']}", self._table(rows), cursor=last)

    @cached_property
    def _api(self) -> Api:
        return org_api(self._config)

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in dict.fromkeys((*FIXED, *self._config.fields))])

    def _until(self, context: Context) -> str:
        return soql_time(context.as_of - timedelta(seconds=self._config.settle))

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        fields = [FIXED.get(name, name) for name in map(str, self._schema.names)]
        columns = [pa.array([_text(row.get(field)) for row in rows], pa.string()) for field in fields]
        return pa.Table.from_arrays(columns, schema=self._schema)


def _text(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
