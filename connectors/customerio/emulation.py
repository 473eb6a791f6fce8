"""The stand-in for Customer.io: Track API v1 and v2, and the App API's segments."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from starlette.responses import Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, digest, millis
from connectors.sandbox.faults import RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

SITE_ID, TRACK_KEY, APP_KEY = "sandbox-site", "sandbox-track-key", "sandbox-app-key"
MAX_BATCH_BYTES, MAX_ITEM_BYTES, MAX_IDS, MAX_PAGE = 500_000, 32_000, 1000, 30_000
MAX_ID_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_ATTRIBUTES = 150, 150, 1000, 300
IDENTIFIERS = ("id", "email", "cio_id")
CIO_ID = re.compile(r"5a4d[0-9a-f]{8}")
NO_ATTRIBUTES = frozenset({*IDENTIFIERS, "_update"})
TELLING = frozenset({"identify", "event", "page", "screen"})
"""Actions that tell something of a person, and make one who was not known."""
ACTIONS = ("identify", "delete", "event", "page", "screen", "suppress", "unsuppress")


@dataclass
class _Batch:
    """What the items of one request share: people by identifier, who is suppressed, and what is to be saved at the end."""

    known: dict[tuple[str, str], Record]
    suppressed: set[str]
    changed: dict[int, Record] = field(default_factory=dict)
    events: dict[str, Record] = field(default_factory=dict)


class CustomerIo(Emulation):
    """One Customer.io workspace."""

    name = "customerio"
    title = "Customer.io"
    source = "Customer.io's OpenAPI (Track; App API's segments by hand) of 2026-08-22 and docs as of 2026-11-22"
    initial_tokens: ClassVar = (("key", APP_KEY, "app"),)

    def make_windows(self) -> Mapping[str, Window]:
        return {"track": Window(1000, 1), "app": Window(10, 1)}

    def endpoints(self) -> Sequence[Endpoint]:
        track, app = ("track",), ("app",)
        return [
            Endpoint("POST", "/api/v2/batch", self._batch, track),
            Endpoint("POST", "/api/v2/entity", self._entity, track),
            Endpoint("GET", "/api/v1/accounts/region", self._region, track),
            Endpoint("PUT", "/api/v1/customers/{id}", lambda call: self._one(call, "identify", attributes=self._object(call)), track),
            Endpoint("DELETE", "/api/v1/customers/{id}", lambda call: self._one(call, "delete"), track),
            Endpoint("POST", "/api/v1/customers/{id}/suppress", lambda call: self._one(call, "suppress"), track),
            Endpoint("POST", "/api/v1/customers/{id}/unsuppress", lambda call: self._one(call, "unsuppress"), track),
            Endpoint("POST", "/api/v1/customers/{id}/events", self._event_v1, track),
            Endpoint("POST", "/api/v1/segments/{segment}/add_customers", lambda call: self._change_segment(call, "add"), track),
            Endpoint("POST", "/api/v1/segments/{segment}/remove_customers", lambda call: self._change_segment(call, "remove"), track),
            Endpoint("POST", "/v1/segments", self._create_segment, app),
            Endpoint("GET", "/v1/segments", self._segments, app),
            Endpoint("GET", "/v1/segments/{segment}", self._read_segment, app),
            Endpoint("DELETE", "/v1/segments/{segment}", self._delete_segment, app),
            Endpoint("GET", "/v1/segments/{segment}/customer_count", self._count_segment, app),
            Endpoint("GET", "/v1/segments/{segment}/membership", self._membership, app),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if kind == "person":
            return [(name, _normal(name, body[name])) for name in ("id", "email") if body.get(name)]
        return [("id", body["id"])] if kind in {"suppressed", "event"} and body.get("id") else ()

    def admit(self, call: Call) -> None:
        if call.endpoint.path.startswith("/api/"):
            expected = base64.b64encode(f"{SITE_ID}:{TRACK_KEY}".encode()).decode()
            allowed = call.header("authorization") == f"Basic {expected}"
        else:
            allowed = self.tokens.holder("key", call.bearer, call.now) is not None
        if not allowed:
            raise RefusedError(self.failure(call, 401))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        words = {401: "unauthorized", 404: "not found", 429: "too many requests"}.get(status, f"http {status}")
        if call.endpoint.path.startswith("/v1/"):
            return JSONResponse({"errors": [{"detail": words, "status": str(status)}]}, status)
        return JSONResponse({"meta": {"error": words}} if status == 401 else {"meta": {"errors": [words]}}, status)

    def credentials(self) -> Mapping[str, str]:
        return {"site id": SITE_ID, "Track API key": TRACK_KEY, "App API key": APP_KEY}

    def seed(self, people: Sequence[Person]) -> None:
        records = []
        for person in people:
            told = {"first_name": person.first_name, "last_name": person.last_name, "city": person.city, "country": person.country}
            record = self.store.make("person", {"email": person.email, "attributes": told}, millis(person.created_at))
            record.body |= {"id": person.user_id or None, "cio_id": _cio_id(record.id)}
            records.append(record)
        self.store.save(records)

    def shelves(self) -> Sequence[Shelf]:
        people = self.store.select("person", order="changed_at desc, id desc", limit=10)
        rows = [[str(p.body.get("id") or ""), str(p.body.get("email") or ""), ", ".join(sorted(p.body["attributes"]))] for p in people]
        segments = self.store.select("segment")
        events = self.store.query("select json_extract(body, '$.name'), count(*) from records where kind = 'event' group by 1 order by 2 desc")
        return [
            Shelf("People", self.store.count("person"), ("id", "email", "attributes"), rows),
            Shelf("Segments", len(segments), ("name", "members"), [(s.body["name"], f"{self.store.list_size(s.id):,}") for s in segments]),
            Shelf("Events", self.store.count("event"), ("name", "times"), [(str(name), f"{n:,}") for name, n in events]),
            Shelf("Suppressed", self.store.count("suppressed"), (), []),
        ]

    def _batch(self, call: Call) -> Response:
        """Applies each item on its own; what is wrong with some stands in a 207."""
        items = call.object().get("batch")
        if not isinstance(items, list) or not items:
            raise RefusedError(_invalid("required", "batch", "batch must hold items"))
        if len(call.body) > MAX_BATCH_BYTES:
            raise RefusedError(_invalid("too_large", "batch", f"a batch has up to {MAX_BATCH_BYTES} bytes"))
        errors = [{"batch_index": index, **fault} for index, fault in enumerate(self._apply_all(call, items)) if fault]
        return JSONResponse({"errors": errors}, 207) if errors else JSONResponse({})

    def _entity(self, call: Call) -> Response:
        if fault := self._apply_all(call, [call.json()])[0]:
            raise RefusedError(JSONResponse({"errors": [fault]}, 400))
        return JSONResponse({})

    def _one(self, call: Call, action: str, **more: Any) -> Response:
        """A v1 call as the v2 item it amounts to. The path names an id, an e-mail address or `cio_<id>`."""
        who = call.path("id")
        name, value = ("cio_id", who[4:]) if who.startswith("cio_") else ("email", who) if "@" in who else ("id", who)
        item = {"type": "person", "identifiers": {name: value}, "action": action, **more}
        if fault := self._apply_all(call, [item])[0]:
            raise RefusedError(JSONResponse({"meta": {"errors": [f"{fault['field']} {fault['message']}"]}}, 400))
        return JSONResponse({})

    def _event_v1(self, call: Call) -> Response:
        body = self._object(call)
        told = {name: body[name] for name in ("name", "id", "timestamp") if name in body}
        return self._one(call, "event", attributes=body.get("data", {}), **told)

    def _apply_all(self, call: Call, items: Sequence[Any]) -> list[dict[str, str]]:
        """Carries out items one after another; what is wrong with each, or nothing."""
        call.rows, keys = len(items), [_keys(item) for item in items]
        suppressed = set[str]()
        if self.store.count("suppressed"):
            suppressed = set(self.store.find("suppressed", "id", [f"{name}:{value}" for some in keys for name, value in some]))
        batch = _Batch(self._people(keys), suppressed)
        faults = [self._apply(call, item, some, position, batch) for position, (item, some) in enumerate(zip(items, keys, strict=True))]
        self.store.save([*batch.changed.values(), *batch.events.values()])
        return faults

    def _apply(self, call: Call, item: Any, keys: Sequence[tuple[str, str]], position: int, batch: _Batch) -> dict[str, str]:
        """Carries out one item; what is wrong with it, or nothing."""
        if fault := _trouble(item, keys):
            return fault
        row_fault = self.row_fault(call, keys[0][1], position)
        if row_fault:
            return _fault("invalid" if row_fault is RowFault.REJECTED else "conflict", "identifiers", "the item was not taken")
        action, person = item["action"], next((batch.known[key] for key in keys if key in batch.known), None)
        names = {f"{name}:{value}" for name, value in keys} if batch.suppressed or action == "suppress" else set[str]()
        if action in {"suppress", "delete"} and person:
            self._erase(call, person, batch)
        if action == "suppress":
            self.store.save([self.store.make("suppressed", {"id": name}, call.at) for name in sorted(names - batch.suppressed)])
            batch.suppressed |= names
        if action == "unsuppress":
            self.store.delete(record for records in self.store.find("suppressed", "id", names).values() for record in records)
            batch.suppressed -= names
        if action in TELLING and not names & batch.suppressed:
            known = person or self._new_person(call, item, keys, batch)
            if action == "identify":
                self._change(call, known, item, batch, new=person is None)
            else:
                if person is None:
                    call.made(f"person/{known.id}")
                self._record_event(call, known, item, batch)
        return {}

    def _erase(self, call: Call, person: Record, batch: _Batch) -> None:
        self.store.delete([person])
        batch.changed.pop(person.id, None)
        batch.known = {key: record for key, record in batch.known.items() if record.id != person.id}
        call.note("erase", f"person/{person.id}")

    def _new_person(self, call: Call, item: Mapping[str, Any], keys: Sequence[tuple[str, str]], batch: _Batch) -> Record:
        person = self.store.make("person", {"id": None, "email": None, "attributes": {}, **item["identifiers"]}, call.at)
        person.body["cio_id"] = _cio_id(person.id)
        batch.changed[person.id] = person
        for key in keys:
            batch.known[key] = person
        return person

    def _change(self, call: Call, person: Record, item: Mapping[str, Any], batch: _Batch, *, new: bool) -> None:
        """Merges attributes; an attribute "" or null is taken away; `id` and `email` among them or beside set what was missing."""
        attributes, identifiers, before = item.get("attributes") or {}, item["identifiers"], person.body
        kept = {**before["attributes"], **attributes}
        for name in [name for name, value in kept.items() if value is None or value == "" or name in NO_ATTRIBUTES]:
            del kept[name]
        body: dict[str, Any] = {**before, "attributes": kept}
        for name in ("id", "email"):
            body[name] = attributes.get(name) or identifiers.get(name) or before.get(name)
        if new:
            call.made(f"person/{person.id}")
        elif body == before:
            return
        else:
            call.note("update", f"person/{person.id}", body)
        person.body, person.changed_at = body, call.at
        batch.changed[person.id] = person
        for name in IDENTIFIERS:
            if body[name]:
                batch.known[name, _normal(name, body[name])] = person

    def _record_event(self, call: Call, person: Record, item: Mapping[str, Any], batch: _Batch) -> None:
        """Keeps an event; one whose id was seen before is the same event and dropped."""
        told = {name: item.get(name) for name in ("action", "name", "timestamp", "attributes")}
        event = self.store.make("event", {"id": item.get("id"), "person": person.id, **told}, call.at)
        if item.get("id") and (item["id"] in batch.events or self.store.find("event", "id", [item["id"]])):
            return
        batch.events[item.get("id") or str(event.id)] = event
        call.note("event", f"person/{person.id}/{digest(told)}")

    def _people(self, keys: Iterable[Sequence[tuple[str, str]]]) -> dict[tuple[str, str], Record]:
        """Known people by each of the identifiers; one record per person."""
        wanted: dict[str, set[str]] = {}
        for name, value in (key for some in keys for key in some):
            wanted.setdefault(name, set()).add(value)
        same: dict[int, Record] = {}
        found = {}
        for name, values in wanted.items():
            hits = self._by_cio_id(values) if name == "cio_id" else self.store.find("person", name, values)
            for value, records in hits.items():
                found[name, value] = same.setdefault(records[0].id, records[0])
        return found

    def _by_cio_id(self, values: Iterable[str]) -> dict[str, list[Record]]:
        """A `cio_id` is made from the record's own id."""
        ids = [int(value[4:], 16) for value in values if CIO_ID.fullmatch(value)]
        return {_cio_id(record.id): [record] for record in self.store.get("person", ids).values()}

    def _region(self, call: Call) -> Response:
        return JSONResponse({"url": f"{call.base}", "data_center": "us", "environment_id": 1})

    def _object(self, call: Call) -> dict[str, Any]:
        body = call.json()
        if not isinstance(body, dict):
            raise RefusedError(JSONResponse({"meta": {"errors": ["malformed request"]}}, 400))
        return body

    def _change_segment(self, call: Call, change: str) -> Response:
        """Adds people to a manual segment or takes them off; ids of nobody are passed over."""
        segment, ids = self._segment(call), self._object(call).get("ids")
        name = call.query("id_type", "id")
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS or not all(isinstance(one, str) for one in ids) or name not in IDENTIFIERS:
            raise RefusedError(JSONResponse({"meta": {"errors": [f"ids must hold 1 to {MAX_IDS} strings"]}}, 400))
        call.rows = len(ids)
        if name == "cio_id":
            members = [record.id for records in self._by_cio_id(ids).values() for record in records]
        else:
            members = list(self.store.ids_by("person", name, [_normal(name, one) for one in ids]).values())
        moved = self.store.list_add(segment.id, members, call.at) if change == "add" else self.store.list_remove(segment.id, members)
        call.note_each(change, (f"segment/{segment.id}/{member}" for member in moved))
        return JSONResponse({})

    def _create_segment(self, call: Call) -> Response:
        told = call.object().get("segment")
        if not isinstance(told, dict) or not isinstance(told.get("name"), str) or not told["name"]:
            raise RefusedError(self.failure(call, 400))
        segment = self.store.make("segment", {"name": told["name"], "description": told.get("description", "")}, call.at)
        self.store.save([segment])
        call.made(f"segment/{segment.id}")
        return JSONResponse({"segment": _shown(segment)})

    def _segments(self, call: Call) -> Response:
        return JSONResponse({"segments": [_shown(segment) for segment in self.store.select("segment")]})

    def _read_segment(self, call: Call) -> Response:
        return JSONResponse({"segment": _shown(self._segment(call))})

    def _delete_segment(self, call: Call) -> Response:
        segment = self._segment(call)
        self.store.list_remove(segment.id, [member for member, _ in self.store.list_page(segment.id)])
        self.store.delete([segment])
        call.note("delete", f"segment/{segment.id}")
        return Response(status_code=204)

    def _count_segment(self, call: Call) -> Response:
        segment = self._segment(call)
        return JSONResponse({"segment_id": segment.id, "count": self.store.list_size(segment.id)})

    def _membership(self, call: Call) -> Response:
        segment, limit, start = self._segment(call), call.query("limit", "1000"), call.query("start")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE or (start and not start.isdecimal()):
            raise RefusedError(self.failure(call, 400))
        page = self.store.list_page(segment.id, int(start or 0), int(limit) + 1)
        members = [member for member, _ in page[: int(limit)]]
        people = self.store.get("person", members)
        bodies = [people[member].body for member in members]
        told = [{"id": body["id"], "email": body["email"], "cio_id": body["cio_id"]} for body in bodies]
        more = str(members[-1]) if len(page) > int(limit) else ""
        return JSONResponse({"segment_id": segment.id, "ids": [body["id"] for body in bodies if body["id"]], "identifiers": told, "next": more})

    def _segment(self, call: Call) -> Record:
        number = call.path("segment")
        found = self.store.get("segment", [int(number)]) if number.isdecimal() else {}
        if not found:
            raise RefusedError(self.failure(call, 404))
        return next(iter(found.values()))


def _keys(item: Any) -> list[tuple[str, str]]:
    given = item.get("identifiers") if isinstance(item, dict) else None
    if not isinstance(given, dict):
        return []
    return [(name, _normal(name, value)) for name in IDENTIFIERS if (value := given.get(name)) and isinstance(value, str)]


def _trouble(item: Any, keys: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What is wrong with an item in itself, or nothing."""
    if not isinstance(item, dict) or item.get("type") != "person":
        return _fault("invalid", "type", "must be person")
    action = item.get("action")
    if action not in ACTIONS:
        return _fault("invalid", "action", f"must be one of {', '.join(ACTIONS)}")
    if not keys:
        return _fault("required", "identifiers", "one of id, email and cio_id is required")
    attributes = item.get("attributes") or {}
    if not isinstance(attributes, dict) or len(attributes) > MAX_ATTRIBUTES:
        return _fault("invalid", "attributes", f"must be an object of up to {MAX_ATTRIBUTES}")
    if action == "event" and not (isinstance(item.get("name"), str) and item["name"]):
        return _fault("required", "name", "an event needs a name")
    size = len(orjson.dumps(item))
    if size <= min(MAX_ID_BYTES, MAX_NAME_BYTES):
        return {}
    too_long = size > MAX_ITEM_BYTES or any(_longer(value, MAX_ID_BYTES) for _, value in keys)
    if action == "identify":
        for name, value in attributes.items():
            too_long |= _longer(name, MAX_NAME_BYTES) or (isinstance(value, str) and _longer(value, MAX_VALUE_BYTES))
    return _fault("too_large", "attributes", "is too long") if too_long else {}


def _longer(text: str, most: int) -> bool:
    """Whether a text has more than so many bytes."""
    return len(text) * 4 > most and len(text.encode()) > most


def _fault(reason: str, field: str, message: str) -> dict[str, str]:
    return {"reason": reason, "field": field, "message": message}


def _invalid(reason: str, field: str, message: str) -> Response:
    return JSONResponse({"errors": [_fault(reason, field, message)]}, 400)


def _normal(name: str, value: str) -> str:
    return value.lower() if name == "email" else value


def _cio_id(number: int) -> str:
    return f"5a4d{number:08x}"


def _shown(segment: Record) -> dict[str, Any]:
    facts = {"state": "finished", "progress": None, "type": "manual", "tags": None, "deduplicate_id": f"{segment.id}:{segment.created_at // 1000}"}
    times = {"created_at": segment.created_at // 1000, "updated_at": segment.changed_at // 1000}
    return {"id": segment.id, **segment.body, **facts, **times}


EMULATION = CustomerIo
