"""The `hubspot` destination: contacts with their properties, and membership of a manual list per audience.

A member is a contact (made or changed by e-mail address) that is on the audience's list. Who leaves is taken off the list and stays a contact; only `erase`
deletes. Both are absolute statements, so repeating them changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from connectors.errors import DestinationError
from connectors.http import (
    Action,
    Api,
    Containers,
    Reply,
    Row,
    as_outcome,
    check_object,
    check_reply,
    deliver_rows,
    deliver_turns,
    load_spec,
    row_text,
    rows_of,
)
from connectors.hubspot.account import SPEC_FILE, HubSpotAccount, account_api
from connectors.types import (
    ACKED,
    IN_DOUBT,
    Capability,
    Config,
    ConnectorMeta,
    Container,
    Context,
    Granularity,
    Idempotency,
    ObjectDef,
    Operation,
    OpKind,
    Outcome,
    RemoteRow,
    Verdict,
)

MEMBERS = "members"


class HubSpotDestinationConfig(HubSpotAccount):
    """An account, and how lists are named."""

    list_prefix: str = Field("", max_length=100, description="Written before an audience's name to make its list's name.")


class HubSpotDestination:
    """Delivers audiences as contacts on lists."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="hubspot",
        title="HubSpot",
        description="Creates and updates contacts and keeps a manual list per audience.",
        kinds=("hubspot",),
        api=">=1,<2",
        docs_url="https://developers.hubspot.com/docs/api/crm/contacts",
        limits=load_spec(SPEC_FILE).limits,
        capabilities=frozenset({Capability.CONTAINERS, Capability.READ_BACK, Capability.ARCHIVE, Capability.ERASE}),
    )
    config_model: ClassVar[type[Config]] = HubSpotDestinationConfig

    def __init__(self, config: HubSpotDestinationConfig) -> None:
        self._config = config
        self._lists = Containers()

    def objects(self) -> Sequence[ObjectDef]:
        about = "Contacts on the list of an audience; fields are contact properties."
        limits = {"idempotency": Idempotency.ABSOLUTE, "granularity": Granularity.ROW, "concurrency": self._api.spec.at_once.n}
        return [ObjectDef(MEMBERS, "email", 1_000, about, **limits)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        check_object("HubSpot", object, MEMBERS)
        return deliver_turns(batch, lambda audience, operations: self._turn(audience, operations, context))

    def ensure_container(self, object: str, audience: str, context: Context) -> Container:
        check_object("HubSpot", object, MEMBERS)
        name = f"{self._config.list_prefix}{audience}"
        found = self._api.call("list", context, path={"name": name})
        if found.action is not Action.SKIP_ROW:
            return Container(_list_id(found), created=False)
        made = self._api.call("make_list", context, json={"name": name, "objectTypeId": "0-1", "processingType": "MANUAL"})
        if made.action is Action.SKIP_ROW:  # somebody else just made it, or our own first attempt did and its answer was lost
            return Container(_list_id(self._api.call("list", context, path={"name": name})), created=False)
        return Container(_list_id(made), created=True)

    def read_back(self, object: str, audience: str, keys: Sequence[str], context: Context) -> Iterator[RemoteRow]:
        check_object("HubSpot", object, MEMBERS)
        there = self._api.call("list", context, path={"name": f"{self._config.list_prefix}{audience}"})
        if there.action is Action.SKIP_ROW:
            return (RemoteRow(key, present=False) for key in keys)
        found = self._found([Operation(key, OpKind.REMOVE, "", key) for key in keys], context)
        for outcome in found.outcomes.values():
            if outcome.verdict is Verdict.RETRY:
                raise DestinationError(f"HubSpot can't be asked: {outcome.reason}")
        members = self._members(_list_id(there), list(found.ids.values()), context)
        return (RemoteRow(key, found.ids.get(key) in members) for key in keys)

    def archive(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        check_object("HubSpot", object, MEMBERS)
        found = self._found([Operation(key, OpKind.REMOVE, "", key) for key in keys], context)
        outcomes, present = dict(found.outcomes), list(found.ids.items())
        size = self._api.spec.endpoints["archive"].max_rows or 1
        for start in range(0, len(present), size):
            part = present[start : start + size]
            outcome = as_outcome(self._api.call("archive", context, json={"inputs": [{"id": id} for _, id in part]}))
            outcomes |= {key: outcome for key, _ in part}
        return outcomes

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        check_object("HubSpot", object, MEMBERS)
        return {key: as_outcome(self._api.call("erase", context, json={"objectId": key, "idProperty": "email"})) for key in keys}

    def check(self, context: Context) -> None:
        found = self._api.call("list", context, path={"name": f"{self._config.list_prefix}check"})
        if found.action is not Action.SKIP_ROW:  # there need not be such a list
            check_reply("HubSpot", found)

    @cached_property
    def _api(self) -> Api:
        return account_api(self._config)

    def _turn(self, audience: str, operations: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        """Operations of one audience and of different persons."""
        list_id = self._lists.id(audience, lambda: self.ensure_container(MEMBERS, audience, context).remote_id)
        removals = [one for one in operations if one.kind is OpKind.REMOVE]
        adds = [one for one in operations if one.kind is not OpKind.REMOVE]
        written = self._upserted(adds, context)
        outcomes = {**written.outcomes, **self._listed("add", audience, list_id, written.ids, context)}
        if not removals:
            return outcomes
        found = self._found(removals, context)
        return {**outcomes, **found.outcomes, **self._listed("remove", audience, list_id, found.ids, context)}

    def _upserted(self, adds: Sequence[Operation], context: Context) -> _Contacts:
        """Contacts made or changed."""
        ids: dict[str, str] = {}

        def note(reply: Reply, _: Sequence[Row]) -> None:
            ids.update({one["objectWriteTraceId"]: one["id"] for one in _entries(reply) if {"objectWriteTraceId", "id"} <= one.keys()})

        outcomes: dict[str, Outcome] = {}
        rows = rows_of(adds, _contact, outcomes)
        outcomes |= deliver_rows(self._api, "upsert", rows, context, envelope=('{"inputs":[', "]}"), on_reply=note)
        written = {op_id: ids[op_id] for op_id, one in outcomes.items() if one.verdict is Verdict.ACKED and op_id in ids}
        return _Contacts(written, {op_id: IN_DOUBT if one.verdict is Verdict.ACKED else one for op_id, one in outcomes.items()})

    def _found(self, removals: Sequence[Operation], context: Context) -> _Contacts:
        """Contacts looked up; who is none is on no list."""
        size = self._api.spec.endpoints["ids"].max_rows or 1
        ids: dict[str, str] = {}
        outcomes: dict[str, Outcome] = {}
        for start in range(0, len(removals), size):
            part = removals[start : start + size]
            wanted = {"inputs": [{"id": one.key} for one in part], "idProperty": "email", "properties": ["email"], "propertiesWithHistory": []}
            reply = self._api.call("ids", context, json=wanted)
            if reply.action not in {Action.OK, Action.ROW_ERRORS}:
                outcomes |= {one.op_id: Outcome(Verdict.RETRY, reply.reason, as_outcome(reply).not_before) for one in removals[start:]}
                break
            known = {str(one.get("properties", {}).get("email", "")).casefold(): one.get("id") for one in _entries(reply)}
            absent = {str(key).casefold() for error in reply.json.get("errors", ()) for key in error.get("context", {}).get("ids", ())}
            for one in part:
                id, gone = known.get(one.key.casefold()), one.key.casefold() in absent
                if id:
                    ids[one.op_id] = id
                outcomes[one.op_id] = ACKED if gone and not id else IN_DOUBT
        return _Contacts(ids, outcomes)

    def _members(self, list_id: str, contacts: Sequence[str], context: Context) -> set[str]:
        """Which of the contacts are on the list."""
        size = self._api.spec.endpoints["lists_of"].max_rows or 1
        members: set[str] = set()
        for start in range(0, len(contacts), size):
            inputs = [{"objectTypeId": "0-1", "recordId": id} for id in contacts[start : start + size]]
            reply = self._api.call("lists_of", context, json={"inputs": inputs})
            check_reply("HubSpot", reply)
            members |= {one["recordId"] for one in _entries(reply) if list_id in {on.get("listId") for on in one.get("recordListMemberships", ())}}
        return members

    def _listed(self, change: Literal["add", "remove"], audience: str, list_id: str, ids: Mapping[str, str], context: Context) -> dict[str, Outcome]:
        """Contacts put on the list or taken off it. `ids` are those of contacts, by op_id."""
        if not ids:
            return {}
        reply = self._api.call(change, context, path={"list": list_id}, json=list(ids.values()))
        if reply.action is Action.SKIP_ROW:
            self._lists.forget(audience)
            return dict.fromkeys(ids, Outcome(Verdict.RETRY, reply.reason))
        if reply.action is not Action.OK:
            failed = as_outcome(reply)  # a list that does not take its members is no fault of theirs
            return dict.fromkeys(ids, Outcome(Verdict.RETRY, reply.reason) if failed.verdict is Verdict.REJECTED else failed)
        missing = set(reply.json.get("recordIdsMissing", ())) if change == "add" else set()
        gone = Outcome(Verdict.RETRY, "the contact was deleted meanwhile")
        return {op_id: gone if id in missing else ACKED for op_id, id in ids.items()}


@dataclass(frozen=True)
class _Contacts:
    """Ids of contacts by op_id, and outcomes of all operations as long as nothing more is done."""

    ids: Mapping[str, str]
    outcomes: Mapping[str, Outcome]


def _contact(one: Operation) -> Row:
    properties = {name: value if isinstance(value, str) else _text(value) for name, value in one.fields.items()}
    content = {"id": one.key, "idProperty": "email", "objectWriteTraceId": one.op_id, "properties": {**properties, "email": one.key}}
    return Row(one.op_id, row_text(content), key=one.op_id, person=one.key)


def _text(value: Any) -> str:
    """HubSpot takes texts only; an empty one clears the property."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _entries(reply: Reply) -> list[dict[str, Any]]:
    results = reply.json.get("results") if isinstance(reply.json, dict) else None
    return [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []


def _list_id(reply: Reply) -> str:
    check_reply("HubSpot", reply)
    return str(reply.json["list"]["listId"])
