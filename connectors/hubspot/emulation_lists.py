"""Lists of the HubSpot stand-in and their members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from connectors.hubspot.emulation_words import error, invalid, number, page_size
from connectors.sandbox.emulation import Call, Endpoint, JSONResponse, RefusedError, iso
from connectors.sandbox.store import Record

if TYPE_CHECKING:
    from connectors.hubspot.emulation import HubSpot

MEMBERS_PAGE, LIST_CHANGE = 250, 100_000


class Lists:
    """The endpoints under `/crm/lists`."""

    def __init__(self, account: HubSpot) -> None:
        self._store = account.store

    def endpoints(self, counted: Sequence[str]) -> list[Endpoint]:
        found = []
        for base in ("/crm/v3/lists", "/crm/lists/{version}"):
            members = f"{base}/{{list}}/memberships"
            found += [
                Endpoint("POST", base, self._create_list, counted),
                Endpoint("POST", f"{base}/search", self._search_lists, counted),
                Endpoint("GET", f"{base}/object-type-id/0-1/name/{{list_name}}", self._list_by_name, counted),
                Endpoint("POST", f"{base}/records/memberships/batch/read", self._lists_of, counted),
                Endpoint("GET", f"{base}/{{list}}", self._read_list, counted),
                Endpoint("DELETE", f"{base}/{{list}}", self._delete_list, counted),
                Endpoint("GET", members, self._memberships, counted),
                Endpoint("DELETE", members, self._empty_list, counted),
                Endpoint("PUT", f"{members}/add", lambda call: self._change_list(call, self._ids(call, call.json()), []), counted),
                Endpoint("PUT", f"{members}/remove", lambda call: self._change_list(call, [], self._ids(call, call.json())), counted),
                Endpoint("PUT", f"{members}/add-and-remove", self._add_and_remove, counted),
            ]
        return found

    def _create_list(self, call: Call) -> Response:
        body = call.object()
        if not all(isinstance(body.get(name), str) for name in ("name", "objectTypeId", "processingType")):
            raise invalid(call, "name, objectTypeId and processingType are required")
        if body["processingType"] not in {"MANUAL", "SNAPSHOT", "DYNAMIC"} or body["objectTypeId"] != "0-1":
            raise invalid(call, "There are MANUAL, SNAPSHOT and DYNAMIC lists of contacts (0-1) here.")
        if self._store.find("list", "name", [body["name"].lower()]):
            raise invalid(call, "List names must be unique.", "ILS.DUPLICATE_LIST_NAMES")
        record = self._store.make("list", {"name": body["name"], "processingType": body["processingType"]}, call.at)
        self._store.save([record])
        call.made(f"list/{record.id}")
        return JSONResponse({"list": self._list(record)})

    def _search_lists(self, call: Call) -> Response:
        body = call.object()
        query, offset, size = str(body.get("query") or "").lower(), int(body.get("offset") or 0), min(int(body.get("count") or 20), 500)
        where = "lower(json_extract(body, '$.name')) like '%' || ? || '%'"
        lists, total = self._store.select("list", where, (query,), limit=size, offset=offset), self._store.count("list", where, (query,))
        shown = [{**self._list(one), "additionalProperties": {"hs_list_size": str(self._store.list_size(one.id))}} for one in lists]
        return JSONResponse({"lists": shown, "total": total, "offset": offset + len(lists), "hasMore": offset + len(lists) < total})

    def _list_by_name(self, call: Call) -> Response:
        found = self._store.find("list", "name", [call.path("list_name").lower()])
        if not found:
            raise RefusedError(error(call, 404, "The list does not exist.", "OBJECT_NOT_FOUND"))
        return JSONResponse({"list": self._list(next(iter(found.values()))[0])})

    def _read_list(self, call: Call) -> Response:
        return JSONResponse({"list": self._list(self._my_list(call))})

    def _delete_list(self, call: Call) -> Response:
        record = self._my_list(call)
        self._store.list_remove(record.id, [member for member, _ in self._store.list_page(record.id)])
        self._store.delete([record])
        call.note("delete", f"list/{record.id}")
        return Response(status_code=204)

    def _memberships(self, call: Call) -> Response:
        record, limit = self._my_list(call), page_size(call, call.query("limit", "100"), MEMBERS_PAGE)
        page = self._store.list_page(record.id, number(call, call.query("after") or "0"), limit + 1)
        results = [{"recordId": str(member), "membershipTimestamp": iso(at)} for member, at in page[:limit]]
        paging = {"paging": {"next": {"after": results[-1]["recordId"]}}} if len(page) > limit else {}
        return JSONResponse({"results": results, "total": self._store.list_size(record.id), **paging})

    def _lists_of(self, call: Call) -> Response:
        inputs = call.object().get("inputs")
        if not isinstance(inputs, list) or any(not isinstance(one, dict) or one.get("objectTypeId") != "0-1" for one in inputs):
            raise invalid(call, "inputs with the recordId and objectTypeId of contacts (0-1) are required")
        ids = self._ids(call, [one.get("recordId") for one in inputs])
        found = self._store.lists_of(ids)
        results = [
            {
                "objectTypeId": "0-1",
                "recordId": str(id),
                "recordListMemberships": [
                    {"listId": str(list_id), "listVersion": 1, "firstAddedTimestamp": iso(at), "lastAddedTimestamp": iso(at)}
                    for list_id, at in found.get(id, ())
                ],
            }
            for id in ids
        ]
        return JSONResponse({"status": "COMPLETE", "startedAt": iso(call.at), "completedAt": iso(call.at), "results": results})

    def _empty_list(self, call: Call) -> Response:
        record = self._my_list(call)
        self._note_members(call, record, "remove", self._store.list_remove(record.id, [m for m, _ in self._store.list_page(record.id)]))
        return Response(status_code=204)

    def _add_and_remove(self, call: Call) -> Response:
        body = call.object()
        return self._change_list(call, self._ids(call, body.get("recordIdsToAdd")), self._ids(call, body.get("recordIdsToRemove")))

    def _change_list(self, call: Call, add: Sequence[int], remove: Sequence[int]) -> Response:
        """Puts on and takes off a list; ids of nobody are told, ids that change nothing are not."""
        record = self._my_list(call)
        if record.body["processingType"] == "DYNAMIC":
            raise invalid(call, "The members of a DYNAMIC list can't be changed.")
        call.rows = len(add) + len(remove)
        known = self._store.there("contact", [*add, *remove])
        added = self._store.list_add(record.id, [member for member in add if member in known], call.at)
        removed = self._store.list_remove(record.id, remove)
        self._note_members(call, record, "add", added)
        self._note_members(call, record, "remove", removed)
        missing = dict.fromkeys(str(member) for member in (*add, *remove) if member not in known)
        told = {"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}
        return JSONResponse({name: [str(member) for member in members] for name, members in told.items()})

    def _note_members(self, call: Call, record: Record, op: str, members: Iterable[int]) -> None:
        call.note_each(op, (f"list/{record.id}/{member}" for member in members))

    def _my_list(self, call: Call) -> Record:
        found = self._store.get("list", [number(call, call.path("list"))])
        if not found:
            raise RefusedError(error(call, 404, "The list does not exist.", "OBJECT_NOT_FOUND"))
        return next(iter(found.values()))

    def _list(self, record: Record) -> dict[str, Any]:
        facts = {"objectTypeId": "0-1", "processingStatus": "COMPLETE", "listVersion": 1, "size": self._store.list_size(record.id)}
        return {"listId": str(record.id), **record.body, **facts, "createdAt": iso(record.created_at), "updatedAt": iso(record.changed_at)}

    def _ids(self, call: Call, ids: Any) -> list[int]:
        if not isinstance(ids, list) or not all(isinstance(one, str) and one.isdecimal() for one in ids) or len(ids) > LIST_CHANGE:
            raise invalid(call, f"Invalid input JSON: up to {LIST_CHANGE} record ids as strings are required.")
        return [int(one) for one in ids]
