"""The `hubspot` source: contacts, incrementally, however many changed.

HubSpot's search ends after 10,000 results and takes one order only. So a pass reads everything that changed between two instants in the order of ids, each
page as a search of its own ("id greater than the last"), which never goes beyond the first page of results. What changes during a pass is left for the next
one; what shares the instant a pass ended at is read again, and left out where it was delivered. Search shows changes late, so the latest are left too.

Search does not show who is gone. Deleted contacts are listed by themselves, as long as they can be restored (90 days), and told as rows marked `archived`; of
merged contacts the one that is left names the others in a property, and each of those is told in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from connectors.errors import SourceError
from connectors.http import Api, load_spec
from connectors.hubspot.account import SPEC_FILE, HubSpotAccount, account_api
from connectors.types import Config, ConnectorMeta, Context, Landing, Page, PiiClass, StreamDef

CONTACTS = "contacts"
BOUNDARY = 1_000
"""At most so many contacts of one instant are remembered; where more changed at once, they are delivered again."""
OWN = {"id": "id", "created_at": "createdAt", "updated_at": "updatedAt"}
"""Columns that are no properties, and HubSpot's names for them."""
MERGED = "hs_merged_object_ids"
"""Property with the ids of contacts that were merged into this one, with semicolons between them."""
IDENTIFIERS = frozenset({"email", "phone", "mobilephone", "hs_object_id", "user_id"})


class HubSpotSourceConfig(HubSpotAccount):
    """An account, and what to read."""

    properties: tuple[str, ...] = Field(
        ("email", "firstname", "lastname", "phone", "city", "country", "lifecyclestage"), min_length=1, description="Contact properties to read."
    )
    settle: float = Field(60, ge=0, description="Seconds a change must be old to be read; HubSpot's search shows changes late and out of order.")
    page_size: int = Field(200, ge=1, le=200, description="Contacts per call.")


class HubSpotSource:
    """Reads contacts; a page per search."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="hubspot",
        title="HubSpot",
        description="Contacts with the properties you name, new, changed, deleted and merged ones only.",
        kinds=("hubspot",),
        api=">=1,<2",
        docs_url="https://developers.hubspot.com/docs/api/crm/search",
        limits=load_spec(SPEC_FILE).limits,
    )
    config_model: ClassVar[type[Config]] = HubSpotSourceConfig

    def __init__(self, config: HubSpotSourceConfig) -> None:
        self._config = config

    def streams(self, context: Context) -> Sequence[StreamDef]:
        pii = {name: PiiClass.IDENTIFIER if name in IDENTIFIERS else PiiClass.PERSONAL for name in self._config.properties}
        about = "Contacts with their properties as HubSpot holds them; a line per change, deletions and merges too."
        return [StreamDef(CONTACTS, about, None, self._schema, Landing.APPEND, keys=("id",), cursor="updated_at", deleted="archived", pii=pii)]

    def watermark(self, stream: str, context: Context) -> str:
        newest, total = self._newest(context)
        return f"{newest} {total}"

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        state = {"since": 0, "known": [], "gone": 0, "told": [], **(cursor or {})}
        if "until" not in state:
            state |= {"until": self._newest(context)[0], "last": 0, "boundary": []}
            state |= {"settled": self._settled(context), "listed": None, "newest_gone": state["gone"], "late": []}
        while found := self._changed(state, context):
            if int(found[-1]["id"]) <= state["last"]:
                raise SourceError("HubSpot leads in a circle: it names contacts again that came before", hint="nothing after them was read")
            new = [one for one in found if _changed_at(one) != state["since"] or one["id"] not in state["known"]]
            ended = [one["id"] for one in found if _changed_at(one) == state["until"]]
            state |= {"last": int(found[-1]["id"]), "boundary": (state["boundary"] + ended)[: BOUNDARY + 1]}
            if new:
                yield Page(f"{state['until']}-{state['last']}", self._table([*new, *_merged(new)]), cursor=dict(state))
        yield from self._deleted(state, context)
        if _next(state) != cursor:
            yield Page(f"{state['until']}-{state['newest_gone']}-end", cursor=_next(state))

    @cached_property
    def _api(self) -> Api:
        return account_api(self._config)

    @cached_property
    def _schema(self) -> pa.Schema:
        names = (*OWN, "archived", *self._config.properties)
        return pa.schema([(name, pa.string()) for name in dict.fromkeys(names)])

    def _settled(self, context: Context) -> int:
        return round((context.as_of.timestamp() - self._config.settle) * 1000)

    def _deleted(self, state: dict[str, Any], context: Context) -> Iterator[Page]:
        """Contacts deleted since the last pass, from where the listing stands. What is not settled is told too, and remembered by its ids."""
        for found, reply in self._api.pages("archived", context, query={"after": state["listed"]}):
            times = {one["id"]: _millis(one["archivedAt"]) for one in found}
            new = [one for one in found if times[one["id"]] > state["gone"] and one["id"] not in state["told"]]
            late = [id for id, at in times.items() if at > state["settled"]]
            newest = max([state["newest_gone"], *(at for at in times.values() if at <= state["settled"])])
            state |= {"newest_gone": newest, "late": state["late"] + late, "listed": reply.json.get("paging", {}).get("next", {}).get("after")}
            if new:
                gone = [{**one, "updatedAt": one["archivedAt"], "properties": {}} for one in new]
                yield Page(f"{state['until']}-gone-{gone[-1]['id']}", self._table(gone), cursor=dict(state))

    def _newest(self, context: Context) -> tuple[int, int]:
        """Milliseconds of the latest change that has settled, and how many contacts were changed until then."""
        filters = [{"propertyName": "lastmodifieddate", "operator": "LTE", "value": str(self._settled(context))}]
        reply = self._search([{"filters": filters}], ["-lastmodifieddate"], ["lastmodifieddate"], 1, context)
        return _changed_at(reply["results"][0]) if reply["results"] else 0, int(reply["total"])

    def _changed(self, state: Mapping[str, Any], context: Context) -> list[dict[str, Any]]:
        """The next page of contacts that changed within the pass."""
        filters = [
            {"propertyName": "lastmodifieddate", "operator": "BETWEEN", "value": str(state["since"]), "highValue": str(state["until"])},
            {"propertyName": "hs_object_id", "operator": "GT", "value": str(state["last"])},
        ]
        reply = self._search(
            [{"filters": filters}], ["hs_object_id"], [*self._config.properties, MERGED, "lastmodifieddate"], self._config.page_size, context
        )
        return sorted(reply["results"], key=lambda one: int(one["id"]))

    def _search(self, groups: list, sorts: list[str], properties: list[str], limit: int, context: Context) -> dict[str, Any]:
        body = {"filterGroups": groups, "sorts": sorts, "properties": properties, "limit": limit, "after": "0"}
        return self._api.read("search", context, json=body).json

    def _table(self, contacts: Sequence[Mapping[str, Any]]) -> pa.Table:
        rows = [
            {name: one.get(key) for name, key in OWN.items()} | one["properties"] | {"archived": str(one["archived"]).lower()} for one in contacts
        ]
        columns = [pa.array([row.get(name) for row in rows], pa.string()) for name in self._schema.names]
        return pa.Table.from_arrays(columns, schema=self._schema)


def _merged(contacts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Contacts that are gone because they were merged into these."""
    return [
        {"id": id, "updatedAt": one["updatedAt"], "archived": True, "properties": {}}
        for one in contacts
        for id in (one["properties"].get(MERGED) or "").split(";")
        if id and id != one["id"]
    ]


def _changed_at(contact: Mapping[str, Any]) -> int:
    return _millis(contact["updatedAt"])


def _millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _next(state: Mapping[str, Any]) -> dict[str, Any]:
    """The cursor of the pass that follows."""
    same = state["known"] if state["since"] == state["until"] else []
    known = [*same, *(id for id in state["boundary"] if id not in set(same))]
    return {"since": state["until"], "known": known if len(known) <= BOUNDARY else [], "gone": state["newest_gone"], "told": state["late"]}
