"""The stand-in for HubSpot's CRM: contacts, properties, lists, erasure, OAuth, in every path version from v3 to 2026-09."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import JSONResponse, Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, RefusedError, Shelf, instant, iso, millis
from connectors.sandbox.faults import RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

PRIVATE_APP_TOKEN = "pat-sandbox-hubspot"
CLIENT, SECRET, REFRESH_TOKEN = "sandbox-hubspot-app", "sandbox-hubspot-secret", "sandbox-hubspot-first-refresh-token"
ACCESS_SECONDS = 1800
VERSIONS = ("2025-09", "2026-03", "2026-09")
BATCH, SEARCH_PAGE, PAGE, SEARCH_CEILING, LIST_CHANGE = 100, 200, 100, 10_000, 100_000
SHOWN = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
"""Properties in an answer when none are asked for."""
PROPERTIES = ("email", "firstname", "lastname", "phone", "city", "country", "hs_language", "gender", "date_of_birth", "lifecyclestage", "user_id")
COMPARISONS = {"EQ": "=", "NEQ": "is not", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
FAILURES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_AUTHENTICATION",
    403: "MISSING_SCOPES",
    404: "OBJECT_NOT_FOUND",
    409: "CONFLICT",
    413: "VALIDATION_ERROR",
    429: "RATE_LIMITS",
}


class HubSpot(Emulation):
    """One HubSpot account (Professional) with a private app and an OAuth app."""

    name = "hubspot"
    title = "HubSpot"
    source = "HubSpot's OpenAPI of 2026-08-21 and developer docs as of 2026-11-22"
    initial_tokens: ClassVar = (("refresh", REFRESH_TOKEN, CLIENT), ("key", PRIVATE_APP_TOKEN, "private app"))
    _own: Sequence[Record] = ()
    """The account's own properties, read anew with each request."""

    def make_windows(self) -> Mapping[str, Window]:
        return {"burst": Window(190, 10, "TEN_SECONDLY_ROLLING"), "day": Window(625_000, 86_400, "DAILY"), "search": Window(5, 1, "SECONDLY")}

    def endpoints(self) -> Sequence[Endpoint]:
        counted = ("burst", "day")
        contacts: list[tuple[str, str, Callable[[Call], Response]]] = [
            ("POST", "/batch/upsert", self._batch_upsert),
            ("POST", "/batch/read", self._batch_read),
            ("POST", "/batch/update", self._batch_update),
            ("POST", "/batch/archive", self._batch_archive),
            ("POST", "/gdpr-delete", self._gdpr_delete),
            ("GET", "", self._page),
            ("GET", "/{id}", self._read),
            ("DELETE", "/{id}", self._archive),
        ]
        lists: list[tuple[str, str, Callable[[Call], Response]]] = [
            ("POST", "", self._create_list),
            ("POST", "/search", self._search_lists),
            ("GET", "/object-type-id/0-1/name/{list_name}", self._list_by_name),
            ("GET", "/{list}", self._read_list),
            ("DELETE", "/{list}", self._delete_list),
            ("GET", "/{list}/memberships", self._memberships),
            ("DELETE", "/{list}/memberships", self._empty_list),
            ("PUT", "/{list}/memberships/add", lambda call: self._change_list(call, self._ids(call, call.json()), [])),
            ("PUT", "/{list}/memberships/remove", lambda call: self._change_list(call, [], self._ids(call, call.json()))),
            ("PUT", "/{list}/memberships/add-and-remove", self._add_and_remove),
        ]
        found = []
        for base in ("/crm/v3/objects/contacts", "/crm/objects/{version}/contacts"):
            found += [Endpoint(method, base + path, handle, counted) for method, path, handle in contacts]
            found.append(Endpoint("POST", f"{base}/search", self._search, (*counted, "search")))
        for base in ("/crm/v3/lists", "/crm/lists/{version}"):
            found += [Endpoint(method, base + path, handle, counted) for method, path, handle in lists]
        for base in ("/crm/v3/properties", "/crm/properties/{version}"):
            found += [
                Endpoint("GET", f"{base}/contacts", self._properties, counted),
                Endpoint("POST", f"{base}/contacts", self._add_property, counted),
            ]
        return [
            *found,
            *(Endpoint("POST", path, self._token, open=True) for path in ("/oauth/v1/token", "/oauth/v3/token", "/oauth/{version}/token")),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        names = self._unique() if kind == "contact" else {"list": ("name",), "property": ("name",), "blocked": ("email",)}.get(kind, ())
        return [(name, body[name].lower()) for name in names if body.get(name)]

    def admit(self, call: Call) -> None:
        self._own = self.store.select("property")
        token = call.bearer
        if not (self.tokens.holder("key", token, call.now) or self.tokens.holder("access", token, call.now)):
            known = token.startswith("sandbox-hubspot-access")
            words = "The OAuth token used to make this call expired." if known else "Authentication credentials not found."
            raise RefusedError(self._error(call, 401, words, "EXPIRED_AUTHENTICATION" if known else "INVALID_AUTHENTICATION"))
        if call.request.path_params.get("version", VERSIONS[0]) not in VERSIONS:
            raise RefusedError(self.failure(call, 404))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        if status == 429:
            return self.limited(call, self.windows["burst"])
        return self._error(call, status, f"The request failed with status {status}.", FAILURES.get(status, "INTERNAL_ERROR"))

    def limited(self, call: Call, window: Window) -> Response:
        words = {"message": f"You have reached your {window.label.lower()} limit.", "errorType": "RATE_LIMIT", "policyName": window.label}
        return JSONResponse({"status": "error", **words, "category": "RATE_LIMITS", "correlationId": call.id}, 429)

    def dress(self, call: Call, response: Response) -> None:
        response.headers["X-HubSpot-Correlation-Id"] = call.id
        if "burst" not in call.endpoint.windows or "search" in call.endpoint.windows:
            return
        burst, day = self.windows["burst"], self.windows["day"]
        shown = {"Interval-Milliseconds": int(burst.seconds * 1000), "Max": burst.limit, "Remaining": burst.remaining(call.now)}
        if call.bearer == PRIVATE_APP_TOKEN:
            shown |= {"Daily": day.limit, "Daily-Remaining": day.remaining(call.now)}
        response.headers.update({f"X-HubSpot-RateLimit-{name}": str(value) for name, value in shown.items()})

    def credentials(self) -> Mapping[str, str]:
        return {"private app token": PRIVATE_APP_TOKEN, "client_id": CLIENT, "client_secret": SECRET, "refresh_token": REFRESH_TOKEN}

    def seed(self, people: Sequence[Person]) -> None:
        records = [self.store.make("contact", _contact(person), millis(person.created_at)) for person in people]
        for record, person in zip(records, people, strict=True):
            record.changed_at = millis(person.updated_at)
        self.store.save(records)

    def shelves(self) -> Sequence[Shelf]:
        columns = ("email", "firstname", "lastname", "city", "lifecyclestage")
        contacts = self.store.select("contact", order="changed_at desc, id desc", limit=10)
        lists = self.store.select("list")
        return [
            Shelf("Contacts", self.store.count("contact"), columns, [[c.body.get(name, "") for name in columns] for c in contacts]),
            Shelf("Lists", len(lists), ("name", "type", "members"), [_list_row(one, self.store.list_size(one.id)) for one in lists]),
            Shelf("Blocked after erasure", self.store.count("blocked"), (), []),
        ]

    def _token(self, call: Call) -> Response:
        form = call.form()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            raise RefusedError(self._error(call, 401, "The client is unknown.", "INVALID_AUTHENTICATION"))
        granted = self.tokens.refresh(form.get("refresh_token", ""), call.now, single_use=self.faults.dial.single_use_refresh)
        if form.get("grant_type") != "refresh_token" or granted is None:
            raise RefusedError(self._error(call, 400, "missing or invalid refresh token", "BAD_REFRESH_TOKEN"))
        client, refresh = granted
        access = self.tokens.issue("access", client, call.now + ACCESS_SECONDS)
        scopes = ["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.lists.read", "crm.lists.write", "oauth"]
        answer = {"access_token": access, "refresh_token": refresh, "expires_in": ACCESS_SECONDS, "token_type": "bearer", "token_use": "access_token"}
        return JSONResponse({**answer, "hub_id": 1, "user_id": 1, "scopes": scopes})

    def _page(self, call: Call) -> Response:
        limit, kind = self._limit(call, call.query("limit", "10"), PAGE), "archived" if call.query("archived") == "true" else "contact"
        records = self.store.select(kind, "id > ?", (self._number(call, call.query("after") or "0"),), limit=limit + 1)
        wanted = [name for name in call.query("properties").split(",") if name] or SHOWN
        answer: dict[str, Any] = {"results": [_shown(record, wanted) for record in records[:limit]]}
        if len(records) > limit:
            after = str(records[limit - 1].id)
            answer["paging"] = {"next": {"after": after, "link": str(call.request.url.include_query_params(after=after))}}
        return JSONResponse(answer)

    def _read(self, call: Call) -> Response:
        found = self._found(call, call.query("idProperty"), [call.path("id")])
        if not found:
            raise RefusedError(self._error(call, 404, "resource not found", "OBJECT_NOT_FOUND"))
        return JSONResponse(_shown(next(iter(found.values())), call.query("properties").split(",") if call.query("properties") else SHOWN))

    def _search(self, call: Call) -> Response:
        body = call.json() if isinstance(call.json(), dict) else {}
        groups, limit = body.get("filterGroups", []), self._limit(call, body.get("limit", 10), SEARCH_PAGE)
        after = self._number(call, body.get("after") or "0")
        if after + limit > SEARCH_CEILING:
            raise self._invalid(call, f"Paging reaches the first {SEARCH_CEILING} results only.")
        if len(groups) > 5 or sum(len(group.get("filters", [])) for group in groups) > 25:
            raise self._invalid(call, "Too many filter groups or filters.")
        alternatives, parameters = [], []
        for group in groups:
            parts = [self._condition(call, one) for one in group["filters"]]
            alternatives.append(" and ".join(f"({sql})" for sql, _ in parts) or "true")
            parameters += [value for _, values in parts for value in values]
        where = " or ".join(f"({one})" for one in alternatives) or "true"
        order = ", ".join(filter(None, (_order(self, call, one) for one in body.get("sorts", [])))) or "id"
        total = self.store.count("contact", where, parameters)
        records = self.store.select("contact", where, parameters, order=order, limit=limit, offset=after)
        answer: dict[str, Any] = {"total": total, "results": [_shown(r, body.get("properties") or SHOWN) for r in records]}
        if after + limit < total:
            answer["paging"] = {"next": {"after": str(after + limit)}}
        return JSONResponse(answer)

    def _condition(self, call: Call, filter: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """A filter as SQL and its parameters."""
        operator, name = filter.get("operator"), str(filter.get("propertyName"))
        column, convert = self._column(call, name)
        if operator in COMPARISONS and "value" in filter:
            return f"{column} {COMPARISONS[operator]} ?", [convert(filter["value"])]
        if operator == "BETWEEN" and "value" in filter and "highValue" in filter:
            return f"{column} between ? and ?", [convert(filter["value"]), convert(filter["highValue"])]
        if operator in {"IN", "NOT_IN"} and isinstance(filter.get("values"), list):
            values = [convert(value) for value in filter["values"]]
            marks = ", ".join("?" * len(values))
            return f"{column} in ({marks})" if operator == "IN" else f"coalesce({column} not in ({marks}), true)", values
        if operator in {"HAS_PROPERTY", "NOT_HAS_PROPERTY"}:
            return f"coalesce({column}, '') {'!=' if operator == 'HAS_PROPERTY' else '='} ''", []
        if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"} and "value" in filter:
            sign = "" if operator == "CONTAINS_TOKEN" else "not "
            return f"coalesce({column}, '') {sign}glob ?", [f"*{str(filter['value']).lower().strip('*')}*"]
        raise self._invalid(call, f"The filter on {name} is not understood.")

    def _column(self, call: Call, name: str) -> tuple[str, Callable[[Any], Any]]:
        """A property as SQL, and how a filter's value becomes comparable."""
        if name == "hs_object_id":
            return "id", lambda value: self._number(call, value)
        if name in {"lastmodifieddate", "hs_lastmodifieddate", "createdate"}:
            return "created_at" if name == "createdate" else "changed_at", lambda value: self._moment(call, value)
        if name not in self._property_names():
            raise self._invalid(call, f"There was a problem with the request: property {name} does not exist")
        return f"lower(json_extract(body, '$.{name}'))", lambda value: str(value).lower()

    def _batch_read(self, call: Call) -> Response:
        body = call.json() if isinstance(call.json(), dict) else {}
        ids = [str(one["id"]) for one in self._inputs(call, body)]
        found = self._found(call, body.get("idProperty"), ids)
        results = [_shown(found[key.lower()], body.get("properties") or SHOWN) for key in dict.fromkeys(ids) if key.lower() in found]
        missing = [key for key in ids if key.lower() not in found]
        error = self._row_error("OBJECT_NOT_FOUND", "Could not get some CONTACT objects, they may be deleted or not exist.", {"ids": missing})
        return self._batch(call, results, [error] if missing else [])

    def _batch_upsert(self, call: Call) -> Response:
        return self._write(call, create=True)

    def _batch_update(self, call: Call) -> Response:
        return self._write(call, create=False)

    def _write(self, call: Call, *, create: bool) -> Response:
        """Creates or changes contacts: what is wrong with one row stands in a 207, what is wrong with the batch refuses it all."""
        inputs = self._inputs(call, call.json())
        names = {one.get("idProperty") or "hs_object_id" for one in inputs}
        keys = [str(one["id"]).lower() for one in inputs]
        if len(names) > 1 or (create and names == {"hs_object_id"}):
            raise self._invalid(call, "All inputs need the same unique idProperty.")
        if len(set(keys)) < len(keys):
            raise self._invalid(call, "Duplicate IDs found in batch input. IDs must be unique.")
        self._check_properties(call, inputs)
        name = names.pop()
        found = self._found(call, name, keys)
        self._check_conflicts(call, inputs, found)
        blocked = self.store.find("blocked", "email", [k for k in (str(one["properties"].get("email", "")).lower() for one in inputs) if k] + keys)
        changed, results, errors = [], [], []
        for position, (key, one) in enumerate(zip(keys, inputs, strict=True)):
            trouble = self._row_trouble(call, name, key, one, position, known=key in found or create, blocked=blocked)
            if trouble:
                errors.append(trouble)
                continue
            new = key not in found
            record = found.get(key) or self.store.make("contact", {name: str(one["id"])}, call.at)
            wanted = {**record.body, **one["properties"]}
            if new or wanted != record.body:
                record.body, record.changed_at = wanted, call.at
                changed.append(record)
                call.note("create" if new else "update", f"contact/{record.id}", wanted)
            trace = {"objectWriteTraceId": one["objectWriteTraceId"]} if "objectWriteTraceId" in one else {}
            results.append(_shown(record, None) | trace | ({"new": new} if create else {}))
        self.store.save(changed)
        return self._batch(call, results, errors)

    def _row_trouble(
        self, call: Call, name: str, key: str, one: Mapping[str, Any], position: int, *, known: bool, blocked: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        context = {"id": [str(one["id"])]} | ({"objectWriteTraceId": [one["objectWriteTraceId"]]} if "objectWriteTraceId" in one else {})
        email = one["properties"].get("email", key if name == "email" else None)
        if not known:
            return self._row_error("OBJECT_NOT_FOUND", "resource not found", context)
        if email is not None and ("@" not in email[1:-1] or " " in email):
            return self._row_error("VALIDATION_ERROR", "Property values were not valid: email is invalid", context)
        if key in blocked or (email or "").lower() in blocked:
            return self._row_error("VALIDATION_ERROR", "The address was erased and can't be used again.", context)
        match self.row_fault(call, key, position):
            case RowFault.REJECTED:
                return self._row_error("VALIDATION_ERROR", "Property values were not valid", context)
            case RowFault.BUSY:
                return self._row_error("INTERNAL_ERROR", "The record is being written by somebody else.", context)
        return None

    def _check_properties(self, call: Call, inputs: Sequence[Mapping[str, Any]]) -> None:
        known = self._property_names()
        for properties in (one.get("properties") for one in inputs):
            if not isinstance(properties, dict) or not all(isinstance(value, str) for value in properties.values()):
                raise self._invalid(call, "Invalid input JSON: properties must be an object of strings.")
            if unknown := [name for name in properties if name not in known]:
                raise self._invalid(call, f"Property values were not valid: {unknown[0]} does not exist", "PROPERTY_DOESNT_EXIST")

    def _check_conflicts(self, call: Call, inputs: Sequence[Mapping[str, Any]], found: Mapping[str, Record]) -> None:
        """An address that belongs to another contact refuses the whole batch."""
        wanted = {str(one["properties"]["email"]).lower(): str(one["id"]).lower() for one in inputs if one["properties"].get("email")}
        for email, owners in self.store.find("contact", "email", wanted).items():
            mine = found.get(wanted[email])
            if mine is None or owners[0].id != mine.id:
                raise RefusedError(self._error(call, 409, f"Contact already exists. Existing ID: {owners[0].id}", "CONFLICT"))

    def _batch_archive(self, call: Call) -> Response:
        ids = [str(one["id"]) for one in self._inputs(call, call.json())]
        self._to_archive(call, list(self._found(call, None, ids).values()))
        return Response(status_code=204)

    def _archive(self, call: Call) -> Response:
        self._to_archive(call, list(self._found(call, None, [call.path("id")]).values()))
        return Response(status_code=204)

    def _to_archive(self, call: Call, records: Sequence[Record]) -> None:
        self.store.delete(records)
        for record in records:
            record.kind, record.changed_at = "archived", call.at
            call.note("archive", f"contact/{record.id}")
        self.store.save(records)

    def _gdpr_delete(self, call: Call) -> Response:
        body = call.json()
        if not isinstance(body, dict) or not isinstance(body.get("objectId"), str):
            raise self._invalid(call, "objectId is required")
        found = list(self._found(call, body.get("idProperty"), [body["objectId"]]).values())
        if not found and body.get("idProperty") != "email":
            raise RefusedError(self._error(call, 404, "resource not found", "OBJECT_NOT_FOUND"))
        for email in [record.body.get("email") for record in found] or [body["objectId"]]:
            if email and not self.store.find("blocked", "email", [email.lower()]):
                self.store.save([self.store.make("blocked", {"email": email}, call.at)])
        self.store.delete(found)
        for record in found:
            call.note("erase", f"contact/{record.id}")
        return Response(status_code=204)

    def _properties(self, call: Call) -> Response:
        own = {r.body["name"]: r.body for r in self._own}
        return JSONResponse({"results": [own.get(name) or _property(name) for name in self._property_names()]})

    def _add_property(self, call: Call) -> Response:
        body = call.json()
        if not isinstance(body, dict) or not str(body.get("name", "")).isidentifier():
            raise self._invalid(call, "name is required")
        if body["name"] in self._property_names():
            raise RefusedError(self._error(call, 409, "The property exists already.", "CONFLICT"))
        told = {name: body[name] for name in ("label", "type", "fieldType", "groupName", "hasUniqueValue", "description") if name in body}
        record = self.store.make("property", _property(body["name"]) | told, call.at)
        self.store.save([record])
        call.note("create", f"property/{body['name']}", told)
        return JSONResponse(record.body, 201)

    def _create_list(self, call: Call) -> Response:
        body = call.json()
        if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in ("name", "objectTypeId", "processingType")):
            raise self._invalid(call, "name, objectTypeId and processingType are required")
        if body["processingType"] not in {"MANUAL", "SNAPSHOT", "DYNAMIC"} or body["objectTypeId"] != "0-1":
            raise self._invalid(call, "There are MANUAL, SNAPSHOT and DYNAMIC lists of contacts (0-1) here.")
        if self.store.find("list", "name", [body["name"].lower()]):
            raise self._invalid(call, "List names must be unique.", "ILS.DUPLICATE_LIST_NAMES")
        record = self.store.make("list", {"name": body["name"], "processingType": body["processingType"]}, call.at)
        self.store.save([record])
        call.note("create", f"list/{record.id}", record.body)
        return JSONResponse({"list": self._list(record)})

    def _search_lists(self, call: Call) -> Response:
        body = call.json() if isinstance(call.json(), dict) else {}
        query, offset, size = str(body.get("query") or "").lower(), int(body.get("offset") or 0), min(int(body.get("count") or 20), 500)
        where = "lower(json_extract(body, '$.name')) like '%' || ? || '%'"
        lists, total = self.store.select("list", where, (query,), limit=size, offset=offset), self.store.count("list", where, (query,))
        shown = [{**self._list(one), "additionalProperties": {"hs_list_size": str(self.store.list_size(one.id))}} for one in lists]
        return JSONResponse({"lists": shown, "total": total, "offset": offset + len(lists), "hasMore": offset + len(lists) < total})

    def _list_by_name(self, call: Call) -> Response:
        found = self.store.find("list", "name", [call.path("list_name").lower()])
        if not found:
            raise RefusedError(self._error(call, 404, "The list does not exist.", "OBJECT_NOT_FOUND"))
        return JSONResponse({"list": self._list(next(iter(found.values()))[0])})

    def _read_list(self, call: Call) -> Response:
        return JSONResponse({"list": self._list(self._my_list(call))})

    def _delete_list(self, call: Call) -> Response:
        record = self._my_list(call)
        self.store.list_remove(record.id, [member for member, _ in self.store.list_page(record.id)])
        self.store.delete([record])
        call.note("delete", f"list/{record.id}")
        return Response(status_code=204)

    def _memberships(self, call: Call) -> Response:
        record, limit = self._my_list(call), self._limit(call, call.query("limit", "100"), 250)
        page = self.store.list_page(record.id, self._number(call, call.query("after") or "0"), limit + 1)
        results = [{"recordId": str(member), "membershipTimestamp": iso(at)} for member, at in page[:limit]]
        paging = {"paging": {"next": {"after": results[-1]["recordId"]}}} if len(page) > limit else {}
        return JSONResponse({"results": results, "total": self.store.list_size(record.id), **paging})

    def _empty_list(self, call: Call) -> Response:
        record = self._my_list(call)
        self._note_members(call, record, "remove", self.store.list_remove(record.id, [m for m, _ in self.store.list_page(record.id)]))
        return Response(status_code=204)

    def _add_and_remove(self, call: Call) -> Response:
        body = call.json() if isinstance(call.json(), dict) else {}
        return self._change_list(call, self._ids(call, body.get("recordIdsToAdd")), self._ids(call, body.get("recordIdsToRemove")))

    def _change_list(self, call: Call, add: Sequence[int], remove: Sequence[int]) -> Response:
        """Puts on and takes off a list; ids of nobody are told, ids that change nothing are not."""
        record = self._my_list(call)
        if record.body["processingType"] == "DYNAMIC":
            raise self._invalid(call, "The members of a DYNAMIC list can't be changed.")
        call.rows = len(add) + len(remove)
        known = self.store.get("contact", [*add, *remove])
        added = self.store.list_add(record.id, [member for member in add if member in known], call.at)
        removed = self.store.list_remove(record.id, remove)
        self._note_members(call, record, "add", added)
        self._note_members(call, record, "remove", removed)
        missing = dict.fromkeys(str(member) for member in (*add, *remove) if member not in known)
        told = {"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}
        return JSONResponse({name: [str(member) for member in members] for name, members in told.items()})

    def _note_members(self, call: Call, record: Record, op: str, members: Iterable[int]) -> None:
        for member in members:
            call.note(op, f"list/{record.id}/{member}")

    def _my_list(self, call: Call) -> Record:
        found = self.store.get("list", [self._number(call, call.path("list"))])
        if not found:
            raise RefusedError(self._error(call, 404, "The list does not exist.", "OBJECT_NOT_FOUND"))
        return next(iter(found.values()))

    def _list(self, record: Record) -> dict[str, Any]:
        facts = {"objectTypeId": "0-1", "processingStatus": "COMPLETE", "listVersion": 1, "size": self.store.list_size(record.id)}
        return {"listId": str(record.id), **record.body, **facts, "createdAt": iso(record.created_at), "updatedAt": iso(record.changed_at)}

    def _found(self, call: Call, name: str | None, keys: Iterable[str]) -> dict[str, Record]:
        """Contacts by the given key, lower-cased."""
        if name in {None, "", "hs_object_id"}:
            ids = [int(key) for key in keys if str(key).isdecimal()]
            return {str(record.id): record for record in self.store.get("contact", ids).values()}
        if name not in self._unique():
            raise self._invalid(call, f"{name} is not a unique property")
        return {key: records[0] for key, records in self.store.find("contact", str(name), [key.lower() for key in keys]).items()}

    def _inputs(self, call: Call, body: Any) -> list[dict[str, Any]]:
        inputs = body.get("inputs") if isinstance(body, dict) else None
        if not isinstance(inputs, list) or not all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in inputs):
            raise self._invalid(call, "Invalid input JSON: inputs with an id each are required.")
        if not inputs or len(inputs) > BATCH:
            raise self._invalid(call, f"A batch has 1 to {BATCH} inputs.")
        call.rows = len(inputs)
        return inputs

    def _ids(self, call: Call, ids: Any) -> list[int]:
        if not isinstance(ids, list) or not all(isinstance(one, str) and one.isdecimal() for one in ids) or len(ids) > LIST_CHANGE:
            raise self._invalid(call, f"Invalid input JSON: up to {LIST_CHANGE} record ids as strings are required.")
        return [int(one) for one in ids]

    def _unique(self) -> list[str]:
        return ["email", *(r.body["name"] for r in self._own if r.body["hasUniqueValue"])]

    def _property_names(self) -> dict[str, None]:
        return dict.fromkeys([*PROPERTIES, *(r.body["name"] for r in self._own)])

    def _limit(self, call: Call, value: Any, most: int) -> int:
        number = self._number(call, value)
        if not 1 <= number <= most:
            raise self._invalid(call, f"limit must be between 1 and {most}")
        return number

    def _number(self, call: Call, value: Any) -> int:
        try:
            return int(value)
        except (TypeError, ValueError):
            raise self._invalid(call, "A whole number is needed.") from None

    def _moment(self, call: Call, value: Any) -> int:
        text = str(value)
        at = int(text) if text.isdecimal() else instant(text)
        if at is None:
            raise self._invalid(call, "A point in time is needed.")
        return at

    def _batch(self, call: Call, results: list[dict[str, Any]], errors: list[dict[str, Any]]) -> Response:
        answer: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": iso(call.at), "completedAt": iso(call.at)}
        if not errors:
            return JSONResponse(answer)
        return JSONResponse(answer | {"numErrors": len(errors), "errors": errors}, 207)

    def _row_error(self, category: str, message: str, context: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        return {"status": "error", "category": category, "message": message, "context": context, "errors": [], "links": {}}

    def _invalid(self, call: Call, message: str, code: str = "VALIDATION_ERROR") -> RefusedError:
        return RefusedError(self._error(call, 400, message, "VALIDATION_ERROR", code))

    def _error(self, call: Call, status: int, message: str, category: str, code: str | None = None) -> Response:
        errors = {"errors": [{"message": message, "code": code}]} if code else {}
        return JSONResponse({"status": "error", "message": message, "correlationId": call.id, "category": category, **errors}, status)


def _contact(person: Person) -> dict[str, str]:
    told = {
        "email": person.email,
        "firstname": person.first_name,
        "lastname": person.last_name,
        "phone": person.phone,
        "city": person.city,
        "country": person.country,
        "hs_language": person.language,
        "date_of_birth": person.birth_date,
        "user_id": person.user_id,
        "lifecyclestage": "customer" if person.user_id else "lead",
    }
    return {name: value for name, value in told.items() if value}


def _shown(record: Record, wanted: Iterable[str] | None) -> dict[str, Any]:
    created, changed = iso(record.created_at), iso(record.changed_at)
    known = {**record.body, "createdate": created, "lastmodifieddate": changed, "hs_object_id": str(record.id)}
    properties = (
        known if wanted is None else {name: known[name] for name in (*wanted, *SHOWN[:1], "hs_object_id", "lastmodifieddate") if name in known}
    )
    gone = {"archivedAt": changed} if record.kind == "archived" else {}
    return {"id": str(record.id), "properties": properties, "createdAt": created, "updatedAt": changed, "archived": bool(gone), **gone}


def _order(emulation: HubSpot, call: Call, sort: Any) -> str:
    name = sort.get("propertyName", "") if isinstance(sort, dict) else str(sort)
    falling = sort.get("direction") == "DESCENDING" if isinstance(sort, dict) else name.startswith("-")
    return f"{emulation._column(call, name.lstrip('-'))[0]} {'desc' if falling else 'asc'}" if name else ""


def _property(name: str) -> dict[str, Any]:
    texts = {"name": name, "label": name, "description": "", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    return {**texts, "options": [], "hasUniqueValue": name == "email"}


def _list_row(record: Record, size: int) -> tuple[str, str, str]:
    return record.body["name"], record.body["processingType"], f"{size:,}"


EMULATION = HubSpot
