"""The stand-in for Adobe Marketo Engage: identity, leads, static lists, deletions, bulk extract. Errors come inside HTTP 200."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from connectors.marketo.emulation_exports import Exports
from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, instant, iso, millis
from connectors.sandbox.faults import RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

CLIENT, SECRET = "sandbox-marketo-client", "sandbox-marketo-secret"
ACCESS_SECONDS = 3600
BATCH, CONCURRENT = 300, 10
FIELDS = (
    "email",
    "firstName",
    "lastName",
    "phone",
    "city",
    "country",
    "preferredLanguage",
    "dateOfBirth",
    "company",
    "unsubscribed",
    "crmId",
    "score",
)
WRITABLE = frozenset({*FIELDS, "id"})
ACTIONS = ("createOrUpdate", "createOnly", "updateOnly", "createDuplicate")
INSIDE = {400: "609", 401: "601", 403: "603", 404: "610", 429: "606", 500: "611", 503: "608"}
"""Failures told inside HTTP 200, by the status other vendors would use; others are HTTP statuses here too."""
ROW_CODES = {None: "", RowFault.REJECTED: "1001", RowFault.BUSY: "611"}
WORDS = {
    "601": "Access token invalid",
    "602": "Access token expired",
    "603": "Access denied",
    "606": "Max rate limit '100' exceeded with in '20' secs",
    "607": "Daily quota reached",
    "608": "API Temporarily Unavailable",
    "609": "Invalid JSON",
    "610": "Requested resource not found",
    "611": "System error",
    "615": "Concurrent access limit reached",
    "1001": "Invalid value",
    "1002": "Missing value for required parameter",
    "1003": "Invalid data",
    "1004": "Lead not found",
    "1005": "Lead already exists",
    "1006": "Field not found",
    "1007": "Multiple leads match the lookup criteria",
    "1013": "Object not found",
    "1015": "Lead not in list",
    "1029": "Too many jobs in queue",
    "1035": "Unsupported filter type",
}


class Marketo(Emulation):
    """One Marketo subscription with an API-only user."""

    name = "marketo"
    title = "Adobe Marketo Engage"
    source = "Adobe's Swagger of 2026-07-31 and developer docs as of 2026-11-22"
    fields: ClassVar = frozenset({*FIELDS, "id", "createdAt", "updatedAt"})
    """Names of all fields of a lead."""

    def make_windows(self) -> Mapping[str, Window]:
        return {"burst": Window(100, 20, "606"), "day": Window(50_000, 86_400, "607")}

    def endpoints(self) -> Sequence[Endpoint]:
        counted = ("burst", "day")
        rest = [
            ("POST", "/rest/v1/leads.json", self._sync),
            ("GET", "/rest/v1/leads.json", self._find_leads),
            ("POST", "/rest/v1/leads/delete.json", self._delete_leads),
            ("GET", "/rest/v1/lead/{lead}.json", self._read_lead),
            ("GET", "/rest/v1/lists.json", self._lists),
            ("GET", "/rest/v1/lists/{list}.json", self._read_list),
            ("POST", "/rest/v1/lists/{list}/leads.json", self._add_to_list),
            ("DELETE", "/rest/v1/lists/{list}/leads.json", self._remove_from_list),
            ("GET", "/rest/v1/lists/{list}/leads.json", self._list_leads),
            ("GET", "/rest/v1/lists/{list}/leads/ismember.json", self._is_member),
            ("POST", "/rest/asset/v1/staticLists.json", self._create_list),
            ("GET", "/rest/v1/activities/pagingtoken.json", self._paging_token),
            ("GET", "/rest/v1/activities/deletedleads.json", self._deleted_leads),
            *Exports(self).endpoints(),
        ]
        token = [Endpoint(method, "/identity/oauth/token", self._token, open=True) for method in ("GET", "POST")]
        return [*(Endpoint(method, path, handle, counted) for method, path, handle in rest), *token]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if kind == "lead":
            return [("email", str(body["email"]).lower())] if body.get("email") not in (None, "") else ()
        return [("name", body["name"])] if kind == "list" else ()

    def admit(self, call: Call) -> None:
        if self.in_flight > CONCURRENT and self.faults.dial.limits:
            raise RefusedError(self.error(call, "615"))
        if not self.tokens.holder("access", call.bearer, call.now):
            raise RefusedError(self.error(call, "602" if call.bearer.startswith("sandbox-marketo-access") else "601"))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return self.error(call, INSIDE[status]) if status in INSIDE else Response(f"HTTP {status}", status)

    def limited(self, call: Call, window: Window) -> Response:
        return self.error(call, window.label)

    def credentials(self) -> Mapping[str, str]:
        return {"client_id": CLIENT, "client_secret": SECRET}

    def seed(self, people: Sequence[Person]) -> None:
        leads = []
        for person in people:
            told = {"email": person.email, "firstName": person.first_name, "lastName": person.last_name, "phone": person.phone}
            more = {"city": person.city, "country": person.country, "preferredLanguage": person.language, "crmId": person.user_id}
            stated = person.consents.get("marketing_email")
            body = {name: value for name, value in (told | more).items() if value} | {"unsubscribed": stated is None or stated.state != "granted"}
            leads.append(self.store.make("lead", body, millis(person.created_at)))
        self.store.save(leads)

    def shelves(self) -> Sequence[Shelf]:
        columns = ("email", "firstName", "lastName", "city", "unsubscribed")
        leads = self.store.select("lead", order="changed_at desc, id desc", limit=10)
        lists = self.store.select("list")
        return [
            Shelf("Leads", self.store.count("lead"), columns, [[str(lead.body.get(c, "")) for c in columns] for lead in leads]),
            Shelf("Static lists", len(lists), ("name", "members"), [(one.body["name"], f"{self.store.list_size(one.id):,}") for one in lists]),
            Shelf("Exports", self.store.count("export"), (), []),
        ]

    def _token(self, call: Call) -> Response:
        """A token; before its end the same one again, with what is left of its life."""
        form = call.form()
        if (form.get("client_id"), form.get("client_secret"), form.get("grant_type")) != (CLIENT, SECRET, "client_credentials"):
            raise RefusedError(JSONResponse({"error": "unauthorized", "error_description": "No client with requested id"}, 401))
        current = self.tokens.current("access", CLIENT, call.now)
        token, left = current or (self.tokens.issue("access", CLIENT, call.now + ACCESS_SECONDS), ACCESS_SECONDS)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": max(int(left) - 1, 0), "scope": "api@sandbox.example"})

    def _sync(self, call: Call) -> Response:
        """Creates or changes leads row by row; a row that can't be is skipped with its reasons."""
        body = call.object()
        rows, action, lookup = self._input(call, body), body.get("action", "createOrUpdate"), body.get("lookupField", "email")
        if action not in ACTIONS or lookup not in (*FIELDS, "id"):
            raise RefusedError(self.error(call, "1003" if action not in ACTIONS else "1006"))
        known = self._by_field(lookup, [row[lookup] for row in rows if row.get(lookup) not in (None, "")])
        changed: dict[int, Record] = {}
        results: list[dict[str, Any]] = []
        for position, row in enumerate(rows):
            key = str(row.get(lookup) or "").lower()
            matches = known.get(key, []) if action != "createDuplicate" else []
            if code := self._row_trouble(call, row, key, action, matches, position):
                results.append(_skipped(code))
                continue
            lead = matches[0] if matches else self.store.make("lead", {}, call.at)
            wanted = lead.body | row
            wanted.pop("id", None)
            if wanted != lead.body:
                lead.body, lead.changed_at = wanted, call.at
                changed[lead.id] = lead
                if matches:
                    call.note("update", f"lead/{lead.id}", wanted)
                else:
                    call.made(f"lead/{lead.id}")
            known.setdefault(key, [] if action == "createDuplicate" else [lead])
            results.append({"id": lead.id, "status": "updated" if matches else "created"})
        self.store.save(list(changed.values()))
        return self.answer(call, results)

    def _row_trouble(self, call: Call, row: Mapping[str, Any], key: str, action: str, matches: Sequence[Record], position: int) -> str:
        """The code of the reason a row is skipped for, or ""."""
        if not row.keys() <= WRITABLE:
            return "1006"
        if not key and action != "createDuplicate":
            return "1002"
        if len(matches) > 1:
            return "1007"
        if action == "createOnly" and matches:
            return "1005"
        if action == "updateOnly" and not matches:
            return "1004"
        fault = self.row_fault(call, key, position)
        return ROW_CODES[fault]

    def _by_field(self, name: str, values: Iterable[Any]) -> dict[str, list[Record]]:
        if name == "id":
            ids = [int(value) for value in values if str(value).isdecimal()]
            return {str(record.id): [record] for record in self.store.get("lead", ids).values()}
        keys = [str(value).lower() for value in values]
        if name == "email":
            return self.store.find("lead", name, keys)
        found: dict[str, list[Record]] = {}
        for record in self.store.select("lead", f"lower(json_extract(body, '$.{name}')) in (select value from json_each(?))", (json.dumps(keys),)):
            found.setdefault(str(record.body[name]).lower(), []).append(record)
        return found

    def _find_leads(self, call: Call) -> Response:
        name, values = call.query("filterType"), [v for v in call.query("filterValues").split(",") if v]
        if not name or not values:
            raise RefusedError(self.error(call, "1002"))
        if name not in (*FIELDS, "id") or len(values) > BATCH:
            raise RefusedError(self.error(call, "1003"))
        found = sorted((record for records in self._by_field(name, values).values() for record in records), key=lambda record: record.id)
        if len(found) > 1000:
            raise RefusedError(self.error(call, "1003"))
        return self._page(call, [record.id for record in found])

    def _read_lead(self, call: Call) -> Response:
        found = self.store.get("lead", [self._number(call, call.path("lead"))])
        if not found:
            raise RefusedError(self.error(call, "1004"))
        return self.answer(call, [self._lead(call, record) for record in found.values()])

    def _delete_leads(self, call: Call) -> Response:
        ids = self._ids(call)
        found = self.store.get("lead", ids)
        self.store.delete(found.values())
        self.store.save([self.store.make("deleted", {"leadId": lead}, call.at) for lead in found])
        call.note_each("erase", (f"lead/{lead}" for lead in found))
        return self.answer(call, [{"id": lead, "status": "deleted"} if lead in found else {"id": lead, **_skipped("1004")} for lead in ids])

    def _create_list(self, call: Call) -> Response:
        form = call.form()
        try:
            folder = json.loads(form.get("folder", ""))
        except ValueError:
            folder = None
        if not form.get("name") or not isinstance(folder, dict):
            raise RefusedError(self.error(call, "1002"))
        if self.store.find("list", "name", [form["name"]]):
            raise RefusedError(self.error(call, "709", "Static List with the same name already exists"))
        record = self.store.make("list", {"name": form["name"], "description": form.get("description", "")}, call.at)
        self.store.save([record])
        call.made(f"list/{record.id}")
        where = {"folder": folder, "url": f"{call.base}/#ST{record.id}", "workspace": "Default", "computedUrl": ""}
        return self.answer(call, [_list(record) | where])

    def _lists(self, call: Call) -> Response:
        names = [name for name in call.query("name").split(",") if name]
        found = [r for records in self.store.find("list", "name", names).values() for r in records] if names else self.store.select("list")
        return self.answer(call, [_list(record) for record in found])

    def _read_list(self, call: Call) -> Response:
        return self.answer(call, [_list(self._my_list(call))])

    def _add_to_list(self, call: Call) -> Response:
        record, ids = self._my_list(call), self._ids(call)
        known = self.store.there("lead", ids)
        faults = {lead: self.row_fault(call, str(lead), position) for position, lead in enumerate(ids)}
        codes = {lead: ROW_CODES[fault] if lead in known else "1004" for lead, fault in faults.items()}
        self._note(call, record, "add", self.store.list_add(record.id, [lead for lead in ids if not codes[lead]], call.at))
        told = {lead: _skipped(code) if code else {"status": "added"} for lead, code in codes.items()}
        return self.answer(call, [{"id": lead, **told[lead]} for lead in ids])

    def _remove_from_list(self, call: Call) -> Response:
        record, ids = self._my_list(call), self._ids(call)
        known = self.store.there("lead", ids)
        removed = self.store.list_remove(record.id, ids)
        self._note(call, record, "remove", removed)
        told = {lead: {"status": "removed"} if lead in removed else _skipped("1015" if lead in known else "1004") for lead in ids}
        return self.answer(call, [{"id": lead, **told[lead]} for lead in ids])

    def _is_member(self, call: Call) -> Response:
        ids = [self._number(call, one) for one in call.query("id").split(",")] if call.query("id") else self._ids(call)
        members = self.store.listed(self._my_list(call).id, ids)
        return self.answer(call, [{"id": lead, "status": "memberof" if lead in members else "notmemberof"} for lead in ids])

    def _list_leads(self, call: Call) -> Response:
        return self._page(call, [member for member, _ in self.store.list_page(self._my_list(call).id)])

    def _note(self, call: Call, record: Record, op: str, leads: Iterable[int]) -> None:
        call.note_each(op, (f"list/{record.id}/{lead}" for lead in leads))

    def _page(self, call: Call, ids: Sequence[int]) -> Response:
        """A page of leads, and the token of the next where there is one."""
        after, size = _opened(call.query("nextPageToken")), self._number(call, call.query("batchSize") or str(BATCH))
        if after is None or not 1 <= size <= BATCH:
            raise RefusedError(self.error(call, "1003"))
        left = [lead for lead in ids if lead > int(after.get("after", 0))]
        records = self.store.get("lead", left[:size])
        more = {"nextPageToken": _sealed({"after": left[size - 1]})} if len(left) > size else {}
        return self.answer(call, [self._lead(call, records[lead]) for lead in left[:size]], **more)

    def _paging_token(self, call: Call) -> Response:
        since = instant(call.query("sinceDatetime"))
        if since is None:
            raise RefusedError(self.error(call, "1003"))
        return self.answer(call, None, nextPageToken=_sealed({"since": since, "after": 0}))

    def _deleted_leads(self, call: Call) -> Response:
        token = _opened(call.query("nextPageToken"))
        if not token or "since" not in token:
            raise RefusedError(self.error(call, "1003"))
        size = self._number(call, call.query("batchSize") or str(BATCH))
        found = self.store.select("deleted", "changed_at >= ? and id > ?", (token["since"], token["after"]), limit=size + 1)
        told = [
            {"id": r.id, "leadId": r.body["leadId"], "activityDate": _time(r.created_at), "activityTypeId": 37, "attributes": []}
            for r in found[:size]
        ]
        last = found[: size + 1][min(size, len(found)) - 1].id if found else token["after"]
        return self.answer(call, told, nextPageToken=_sealed(token | {"after": last}), moreResult=len(found) > size)

    def _lead(self, call: Call, record: Record) -> dict[str, Any]:
        known, fields = self.fields_of(record), [name for name in call.query("fields").split(",") if name]
        return {name: known.get(name) for name in dict.fromkeys(("id", *(fields or ("updatedAt", "lastName", "email", "createdAt", "firstName"))))}

    def _my_list(self, call: Call) -> Record:
        found = self.store.get("list", [self._number(call, call.path("list"))])
        if not found:
            raise RefusedError(self.error(call, "1013"))
        return next(iter(found.values()))

    def _input(self, call: Call, body: Any) -> list[dict[str, Any]]:
        rows = body.get("input") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise RefusedError(self.error(call, "609"))
        if not 1 <= len(rows) <= BATCH:
            raise RefusedError(self.error(call, "1003"))
        call.rows = len(rows)
        return rows

    def _ids(self, call: Call) -> list[int]:
        if call.query("id"):
            return [self._number(call, one) for one in call.query("id").split(",")][:BATCH]
        return [self._number(call, row.get("id")) for row in self._input(call, call.json())]

    def _number(self, call: Call, value: Any) -> int:
        text = str(value)
        if not text.isdecimal() or len(text) > 18:
            raise RefusedError(self.error(call, "1001"))
        return int(text)

    def fields_of(self, lead: Record) -> dict[str, Any]:
        """All fields of a lead, its own and the system's."""
        return {"id": lead.id, **lead.body, "createdAt": _time(lead.created_at), "updatedAt": _time(lead.changed_at)}

    def answer(self, call: Call, result: list[Any] | None, **more: Any) -> Response:
        """A success, with its result if it has one."""
        told = {} if result is None else {"result": result}
        return JSONResponse({"requestId": _request_id(call), "success": True, **told, **more})

    def error(self, call: Call, code: str, message: str = "") -> Response:
        """A failure inside HTTP 200."""
        error = {"code": code, "message": message or WORDS[code]}
        return JSONResponse({"requestId": _request_id(call), "success": False, "errors": [error]})


def _request_id(call: Call) -> str:
    return f"{call.id[:4]}#{call.id[9:13]}{call.id[14:18]}"


def _skipped(code: str) -> dict[str, Any]:
    return {"status": "skipped", "reasons": [{"code": code, "message": WORDS[code]}]}


def _list(record: Record) -> dict[str, Any]:
    return {"id": record.id, **record.body, "createdAt": _time(record.created_at), "updatedAt": _time(record.changed_at)}


def _time(at: int) -> str:
    """Without fractions of a second, as Marketo writes it."""
    return f"{iso(at)[:19]}Z"


def _sealed(content: Mapping[str, int]) -> str:
    return base64.b32encode(json.dumps(content).encode()).decode()


def _opened(token: str) -> dict[str, int] | None:
    """What a token holds; {} without one, None for one that was never given out."""
    if not token:
        return {}
    try:
        content = json.loads(base64.b32decode(token))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


EMULATION = Marketo
