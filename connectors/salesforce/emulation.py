"""The stand-in for Salesforce's REST API: sign-in, SOQL, collections, limits. Bulk API 2.0 is in `emulation_bulk`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from connectors.salesforce.emulation_bulk import Bulk
from connectors.salesforce.emulation_objects import OBJECTS, Fault, fault_of, record_id, record_number
from connectors.salesforce.emulation_soql import Query, SoqlError, parsed
from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, iso, millis
from connectors.sandbox.faults import RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

CLIENT, SECRET, USER = "sandbox-salesforce-consumer-key", "sandbox-salesforce-consumer-secret", "integration@sandbox.example"
SESSION_SECONDS = 7200
COLLECTION, PAGE, SMALLEST_PAGE = 200, 2000, 200
VERSIONS = range(31, 71)
NO_FIELDS = frozenset({"attributes", "Id"})
"""What a row holds besides fields."""
ID_NAMES = frozenset({"id", "Id", "iD", "ID"})
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CODES = {
    400: "MALFORMED_QUERY",
    401: "INVALID_SESSION_ID",
    403: "INSUFFICIENT_ACCESS",
    404: "NOT_FOUND",
    413: "REQUEST_TOO_LARGE",
    503: "SERVER_UNAVAILABLE",
}


class Salesforce(Emulation):
    """One Salesforce org (Enterprise) with an external client app."""

    name = "salesforce"
    title = "Salesforce"
    source = "Salesforce's REST and Bulk 2.0 docs and official Postman collection as of 2026-11-22"
    initial_tokens: ClassVar = ()

    def make_windows(self) -> Mapping[str, Window]:
        return {"day": Window(100_000, 86_400)}

    def endpoints(self) -> Sequence[Endpoint]:
        data, day = "/services/data/v{version}", ("day",)
        return [
            Endpoint("POST", "/services/oauth2/token", self._token, open=True),
            Endpoint("GET", f"{data}/query", lambda call: self._query(call, everything=False), day),
            Endpoint("GET", f"{data}/queryAll", lambda call: self._query(call, everything=True), day),
            Endpoint("GET", f"{data}/query/{{locator}}", self._more, day),
            Endpoint("GET", f"{data}/limits", self._limits, day),
            Endpoint("GET", f"{data}/sobjects/{{object}}/describe", self._describe, day),
            Endpoint("POST", f"{data}/composite/sobjects", lambda call: self._collection(call, "create"), day),
            Endpoint("PATCH", f"{data}/composite/sobjects", lambda call: self._collection(call, "update"), day),
            Endpoint("DELETE", f"{data}/composite/sobjects", self._delete, day),
            Endpoint("PATCH", f"{data}/composite/sobjects/{{object}}/{{external}}", lambda call: self._collection(call, "upsert"), day),
            *Bulk(self).endpoints(data, day),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if kind not in OBJECTS or body["IsDeleted"]:
            return ()
        if OBJECTS[kind].pair:
            return [("pair", _pair(kind, body))]
        return [(name, str(body[name]).lower()) for name in OBJECTS[kind].external if body.get(name)]

    def admit(self, call: Call) -> None:
        if not self.tokens.holder("access", call.bearer, call.now):
            raise RefusedError(self.error(401, "Session expired or invalid"))
        if not re.fullmatch(r"\d\d\.0", call.path("version")) or int(call.path("version")[:2]) not in VERSIONS:
            raise RefusedError(self.error(404, "The requested resource does not exist"))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        if status == 429:
            return self.limited(call, self.windows["day"])
        return self.error(status, f"The request failed with status {status}.")

    def limited(self, call: Call, window: Window) -> Response:
        return self.error(403, "TotalRequests Limit exceeded.", "REQUEST_LIMIT_EXCEEDED")

    def error(self, status: int, message: str, code: str = "") -> Response:
        """Salesforce's list of one error."""
        return JSONResponse([{"message": message, "errorCode": code or CODES.get(status, "UNKNOWN_EXCEPTION")}], status)

    def dress(self, call: Call, response: Response) -> None:
        day = self.windows["day"]
        if call.endpoint.windows:
            response.headers["Sforce-Limit-Info"] = f"api-usage={day.limit - day.remaining(call.now)}/{day.limit}"

    def credentials(self) -> Mapping[str, str]:
        return {"client_id": CLIENT, "client_secret": SECRET, "username (for JWT)": USER, "private key (for JWT)": self._key()}

    def seed(self, people: Sequence[Person]) -> None:
        contacts = []
        for person in people:
            told = {"FirstName": person.first_name, "LastName": person.last_name or "Unknown", "Email": person.email, "MobilePhone": person.phone}
            more = {"MailingCity": person.city, "MailingCountry": person.country, "Birthdate": person.birth_date[:10]}
            stated = person.consents.get("marketing_email")
            fields: dict[str, Any] = {name: value for name, value in (told | more).items() if value}
            fields["HasOptedOutOfEmail"] = stated is not None and stated.state != "granted"
            if fault_of(OBJECTS["Contact"], fields, None):
                del fields["Birthdate"]
            contacts.append(self.new("Contact", fields, millis(person.created_at)))
        self.store.save(contacts)

    def shelves(self) -> Sequence[Shelf]:
        columns = ("Email", "FirstName", "LastName", "MailingCity", "Seg_Audiences__c")
        contacts = self.store.select("Contact", "not json_extract(body, '$.IsDeleted')", order="changed_at desc, id desc", limit=10)
        campaigns = self.store.select("Campaign")
        members = dict(self.store.query("select json_extract(body, '$.CampaignId'), count(*) from records where kind = 'CampaignMember' group by 1"))
        jobs = self.store.select("job", order="id desc", limit=8)
        return [
            Shelf("Contacts", self.store.count("Contact"), columns, [[str(c.body.get(name) or "") for name in columns] for c in contacts]),
            Shelf("Campaigns", len(campaigns), ("name", "members"), [(c.body["Name"], str(members.get(c.body["Id"], 0))) for c in campaigns]),
            Shelf(
                "Bulk jobs",
                self.store.count("job"),
                ("id", "operation", "state"),
                [(j.body["id"], j.body["operation"], j.body["state"]) for j in jobs],
            ),
        ]

    def new(self, kind: str, fields: Mapping[str, Any], at: int) -> Record:
        """A record with its id; times are whole seconds."""
        record = self.store.make(kind, {}, at // 1000 * 1000)
        record.body = {"Id": record_id(OBJECTS[kind].prefix, record.id), "IsDeleted": False, **fields}
        return record

    def run(self, text: str, *, everything: bool) -> tuple[Query, list[Record]]:
        """The records a query finds."""
        try:
            query = parsed(text)
        except SoqlError as error:
            raise RefusedError(self.error(400, str(error), error.code)) from None
        where = query.where if everything else f"({query.where}) and not json_extract(body, '$.IsDeleted')"
        return query, self.store.select(query.object, where, query.parameters, order=query.order, limit=query.limit, offset=query.offset)

    def shown(self, record: Record, fields: Iterable[str]) -> dict[str, Any]:
        """Fields of a record as a query shows them."""
        stamp = {"CreatedDate": record.created_at, "LastModifiedDate": record.changed_at, "SystemModstamp": record.changed_at}
        times = {name: iso(at).replace("Z", "+0000") for name, at in stamp.items()}
        return {name: times[name] if name in times else record.body.get(name) for name in fields}

    def write(
        self, call: Call, kind: str, operation: str, rows: Sequence[Mapping[str, Any]], external: str = ""
    ) -> list[tuple[str, bool, Fault | None]]:
        """Creates, updates or upserts rows: id ("" if none), whether it is new, and what was wrong, per row."""
        found, seen = self._known(kind, operation, rows, external), set[str]()
        name, at, outcomes = "Id" if operation == "update" else external, call.at // 1000 * 1000, list[tuple[str, bool, Fault | None]]()
        changed: list[Record] = []
        pairs = [_pair(kind, row) for row in rows] if OBJECTS[kind].pair else [""] * len(rows)
        taken = set(self.store.ids_by(kind, "pair", pairs)) if any(pairs) else set[str]()
        for position, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
            key = str(row.get(name) or "").lower() if operation != "create" else ""
            fields = {field: value for field, value in row.items() if field not in NO_FIELDS}
            record = found.get(key)
            fault = self._row_fault(call, kind, operation, key, fields, record, position, taken=pair != "" and pair in taken)
            if key and key in seen:
                fault = fault or Fault("DUPLICATE_VALUE", "Duplicate external id specified", (external or "Id",))
            seen.add(key)
            if fault:
                outcomes.append(("", False, fault))
                continue
            new = record is None
            if record is None:
                record = self.new(kind, fields, at)
                changed.append(record)
                call.made(f"{kind}/{record.body['Id']}")
            elif (wanted := record.body | fields) != record.body:
                record.body, record.changed_at = wanted, at
                changed.append(record)
                call.note("update", f"{kind}/{wanted['Id']}", wanted)
            taken.add(pair)
            outcomes.append((record.body["Id"], new, None))
        self.store.save(changed)
        return outcomes

    def remove(self, call: Call, ids: Sequence[str], *, hard: bool) -> list[Fault | None]:
        """Deletes records by id, softly or for good: what was wrong, per id."""
        outcomes: list[Fault | None] = []
        kinds = {kind.prefix: name for name, kind in OBJECTS.items()}
        for position, id in enumerate(ids):
            kind = kinds.get(str(id)[:3], "")
            record = self.store.get(kind, [record_number(id)]).get(record_number(id))
            if record is None or (record.body["IsDeleted"] and not hard):
                outcomes.append(Fault("ENTITY_IS_DELETED" if record else "INVALID_CROSS_REFERENCE_KEY", "entity is deleted or unknown"))
            elif self.row_fault(call, str(id), position):
                outcomes.append(Fault("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"))
            else:
                outcomes.append(None)
                record.body["IsDeleted"], record.changed_at = True, call.at // 1000 * 1000
                call.note("erase" if hard else "delete", f"{kind}/{record.body['Id']}")
                if hard:
                    self.store.delete([record])
                else:
                    self.store.save([record])
        return outcomes

    def _known(self, kind: str, operation: str, rows: Sequence[Mapping[str, Any]], external: str) -> dict[str, Record]:
        """Records the rows are about, by lower-cased key."""
        if operation == "update":
            records = self.store.get(kind, [record_number(row.get("Id")) for row in rows])
            asked = {str(row.get("Id") or "").lower(): records.get(record_number(row.get("Id"))) for row in rows}
            return {key: record for key, record in asked.items() if record and not record.body["IsDeleted"]}
        if operation == "upsert":
            keys = [str(row[external]).lower() for row in rows if row.get(external)]
            return {key: records[0] for key, records in self.store.find(kind, external, keys).items()}
        return {}

    def _row_fault(
        self, call: Call, kind: str, operation: str, key: str, fields: Mapping[str, Any], record: Record | None, position: int, *, taken: bool
    ) -> Fault | None:
        if operation == "update" and record is None:
            return Fault("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if operation == "upsert" and not key:
            return Fault("MISSING_ARGUMENT", "External id is not specified")
        if fault := fault_of(OBJECTS[kind], fields, record.body if record else None):
            return fault
        if taken and record is None:
            return Fault("DUPLICATE_VALUE", "Already a campaign member.")
        match self.row_fault(call, key or str(fields.get("Email")), position):
            case RowFault.REJECTED:
                return Fault("FIELD_CUSTOM_VALIDATION_EXCEPTION", "The record was refused by a validation rule.")
            case RowFault.BUSY:
                return Fault("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        return None

    def _token(self, call: Call) -> Response:
        form = call.form()
        grant = form.get("grant_type")
        if grant == JWT_BEARER:
            fault = self._assertion_fault(call, form.get("assertion", ""))
        elif grant == "client_credentials":
            fault = "" if (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET) else "invalid_client"
        else:
            fault = "unsupported_grant_type"
        if fault:
            raise RefusedError(JSONResponse({"error": fault, "error_description": "sign-in failed"}, 401 if fault == "invalid_client" else 400))
        access = self.tokens.issue("access", USER, call.now + SESSION_SECONDS)
        told = {"access_token": access, "instance_url": call.base, "token_type": "Bearer", "issued_at": str(call.at), "scope": "api"}
        return JSONResponse(told | {"id": f"{call.base}/id/00D/005", "signature": "sandbox"})

    def _assertion_fault(self, call: Call, assertion: str) -> str:
        """Why a JWT is not believed, or ""."""
        import jwt

        options: Any = {"require": ["iss", "sub", "aud", "exp"], "verify_exp": False, "verify_aud": False, "verify_iat": False}
        try:
            claims = jwt.decode(assertion, self._public_key(), algorithms=["RS256"], options=options)
        except jwt.PyJWTError:
            return "invalid_grant"
        if claims["aud"] not in {call.base, "https://login.salesforce.com"} or (claims["iss"], claims["sub"]) != (CLIENT, USER):
            return "invalid_grant"
        return "" if call.now < claims["exp"] <= call.now + 300 else "invalid_grant"

    def _key(self) -> str:
        """The private key whose JWTs are believed, made on first use."""
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        kept = self.store.select("key")
        if not kept:
            made = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            kept = [self.store.make("key", {"pem": made.decode()}, 0)]
            self.store.save(kept)
        return kept[0].body["pem"]

    def _public_key(self) -> Any:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        return load_pem_private_key(self._key().encode(), None).public_key()

    def _query(self, call: Call, *, everything: bool) -> Response:
        """The first page of a query; the rest is kept as it is now for `_more`."""
        query, records = self.run(call.query("q"), everything=everything)
        if not query.fields:
            return JSONResponse({"totalSize": len(records), "done": True, "records": []})
        asked = re.fullmatch(r"batchSize=(\d+)", call.header("sforce-query-options"))
        size = min(max(int(asked[1]), SMALLEST_PAGE), PAGE) if asked else PAGE
        cursor = self.store.make("cursor", {"object": query.object, "fields": query.fields, "ids": [r.id for r in records], "size": size}, call.at)
        if len(records) > size:
            self.store.save([cursor])
        return self._page(call, cursor, 0)

    def _more(self, call: Call) -> Response:
        id, _, start = call.path("locator").partition("-")
        cursor = self.store.get("cursor", [record_number(id)]).get(record_number(id))
        if cursor is None or not start.isdecimal():
            raise RefusedError(self.error(400, "invalid query locator", "INVALID_QUERY_LOCATOR"))
        return self._page(call, cursor, int(start))

    def _page(self, call: Call, cursor: Record, start: int) -> Response:
        body, data = cursor.body, f"/services/data/v{call.path('version')}"
        end = start + body["size"]
        found = self.store.get(body["object"], body["ids"][start:end])
        records = []
        for number in body["ids"][start:end]:
            if number in found:
                url = f"{data}/sobjects/{body['object']}/{found[number].body['Id']}"
                records.append({"attributes": {"type": body["object"], "url": url}, **self.shown(found[number], body["fields"])})
        done = end >= len(body["ids"])
        more = {} if done else {"nextRecordsUrl": f"{data}/query/{record_id('01g', cursor.id)}-{end}"}
        return JSONResponse({"totalSize": len(body["ids"]), "done": done, **more, "records": records})

    def _limits(self, call: Call) -> Response:
        day = self.windows["day"]
        return JSONResponse({"DailyApiRequests": {"Max": day.limit, "Remaining": day.remaining(call.now)}})

    def _describe(self, call: Call) -> Response:
        name = call.path("object")
        if name not in OBJECTS:
            raise RefusedError(self.error(404, "The requested resource does not exist"))
        kind = OBJECTS[name]
        fields = [
            {
                "name": one,
                "type": type,
                "externalId": one in kind.external,
                "idLookup": one in {*kind.external, "Id"},
                "nillable": one not in kind.required,
            }
            for one, type in kind.all.items()
        ]
        return JSONResponse({"name": name, "keyPrefix": kind.prefix, "fields": fields})

    def _collection(self, call: Call, operation: str) -> Response:
        """Up to 200 rows, each with its own outcome in the order they came; all or none where that is asked for."""
        body = call.object()
        rows = body.get("records")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise RefusedError(self.error(400, "records are required", "JSON_PARSER_ERROR"))
        if len(rows) > COLLECTION:
            raise RefusedError(
                self.error(400, f"record limit reached. cannot submit more than {COLLECTION} records in this request", "EXCEEDED_ID_LIMIT")
            )
        kinds = {str(row["attributes"].get("type")) if isinstance(row.get("attributes"), dict) else "" for row in rows}
        kind, external = call.request.path_params.get("object") or next(iter(kinds)), call.request.path_params.get("external", "")
        if kinds != {kind} or kind not in OBJECTS:
            raise RefusedError(self.error(400, "all records must be of one known type, named in attributes", "INVALID_TYPE"))
        if external and external not in OBJECTS[kind].external:
            raise RefusedError(self.error(404, f"Provided external ID field does not exist or is not accessible: {external}"))
        if operation == "upsert" and not all(ID_NAMES.isdisjoint(row) for row in rows):
            raise RefusedError(self.error(400, "The Id field should not be specified in the sobject data.", "INVALID_FIELD"))
        call.rows = len(rows)
        rows = [row if "id" not in row else {("Id" if name == "id" else name): value for name, value in row.items()} for row in rows]
        outcomes = self.write(call, kind, operation, rows, external)
        if body.get("allOrNone") and any(fault for _, _, fault in outcomes):
            rest = Fault(
                "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and the request was using AllOrNone"
            )
            raise RefusedError(JSONResponse([_saved("", fault or rest) for _, _, fault in outcomes]))
        if operation == "upsert":
            return JSONResponse(
                [_saved(id, fault) if fault else {"id": id, "success": True, "errors": [], "created": new} for id, new, fault in outcomes]
            )
        return JSONResponse([_saved(id, fault) for id, _, fault in outcomes])

    def _delete(self, call: Call) -> Response:
        ids = [id for id in call.query("ids").split(",") if id]
        if not 1 <= len(ids) <= COLLECTION:
            raise RefusedError(self.error(400, f"ids must hold 1 to {COLLECTION} ids", "EXCEEDED_ID_LIMIT"))
        call.rows = len(ids)
        faults = self.remove(call, ids, hard=False)
        return JSONResponse([_saved("" if fault else id, fault) for id, fault in zip(ids, faults, strict=True)])


def _pair(kind: str, fields: Mapping[str, Any]) -> str:
    """The values that together are unique, as one text."""
    return "|".join(map(str, map(fields.get, OBJECTS[kind].pair)))


def _saved(id: str, fault: Fault | None) -> dict[str, Any]:
    if fault is None:
        return {"id": id, "success": True, "errors": []}
    error = {"statusCode": fault.code, "message": fault.message, "fields": list(fault.fields)}
    return {**({"id": id} if id else {}), "success": False, "errors": [error]}


EMULATION = Salesforce
