"""Contacts of the HubSpot stand-in: pages, search, batches, archive and erasure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from connectors.hubspot.emulation_words import batch, error, inputs_of, invalid, moment, number, page_size, row_error
from connectors.sandbox.emulation import Call, Endpoint, JSONResponse, RefusedError, iso
from connectors.sandbox.faults import RowFault
from connectors.sandbox.store import Record

if TYPE_CHECKING:
    from connectors.hubspot.emulation import HubSpot

SEARCH_PAGE, PAGE, SEARCH_CEILING = 200, 100, 10_000
MERGED = "hs_merged_object_ids"
SHOWN = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
"""Properties in an answer when none are asked for."""
ALWAYS_SHOWN = ("createdate", "hs_object_id", "lastmodifieddate")
COMPARISONS = {"EQ": "=", "NEQ": "is not", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


class Contacts:
    """The endpoints under `/crm/objects/contacts`."""

    def __init__(self, account: HubSpot) -> None:
        self._account, self._store = account, account.store

    def endpoints(self, counted: Sequence[str]) -> list[Endpoint]:
        found = []
        for base in ("/crm/v3/objects/contacts", "/crm/objects/{version}/contacts"):
            found += [
                Endpoint("POST", f"{base}/batch/upsert", lambda call: self._write(call, create=True), counted),
                Endpoint("POST", f"{base}/batch/update", lambda call: self._write(call, create=False), counted),
                Endpoint("POST", f"{base}/batch/read", self._batch_read, counted),
                Endpoint("POST", f"{base}/batch/archive", self._batch_archive, counted),
                Endpoint("POST", f"{base}/gdpr-delete", self._gdpr_delete, counted),
                Endpoint("POST", f"{base}/merge", self._merge, counted),
                Endpoint("POST", f"{base}/search", self._search, (*counted, "search")),
                Endpoint("GET", base, self._page, counted),
                Endpoint("GET", f"{base}/{{id}}", self._read, counted),
                Endpoint("DELETE", f"{base}/{{id}}", self._archive, counted),
            ]
        return found

    def _page(self, call: Call) -> Response:
        limit, kind = page_size(call, call.query("limit", "10"), PAGE), "archived" if call.query("archived") == "true" else "contact"
        records = self._store.select(kind, "id > ?", (number(call, call.query("after") or "0"),), limit=limit + 1)
        wanted = [name for name in call.query("properties").split(",") if name] or SHOWN
        answer: dict[str, Any] = {"results": [_shown(record, wanted) for record in records[:limit]]}
        if len(records) > limit:
            after = str(records[limit - 1].id)
            answer["paging"] = {"next": {"after": after, "link": str(call.request.url.include_query_params(after=after))}}
        return JSONResponse(answer)

    def _read(self, call: Call) -> Response:
        found = self._found(call, call.query("idProperty"), [call.path("id")])
        if not found:
            raise RefusedError(error(call, 404, "resource not found", "OBJECT_NOT_FOUND"))
        return JSONResponse(_shown(next(iter(found.values())), call.query("properties").split(",") if call.query("properties") else SHOWN))

    def _search(self, call: Call) -> Response:
        body = call.object()
        groups, limit = body.get("filterGroups", []), page_size(call, body.get("limit", 10), SEARCH_PAGE)
        after = number(call, body.get("after") or "0")
        if after + limit > SEARCH_CEILING:
            raise invalid(call, f"Paging reaches the first {SEARCH_CEILING} results only.")
        if not isinstance(groups, list) or not all(isinstance(one, dict) and isinstance(one.get("filters"), list) for one in groups):
            raise invalid(call, "filterGroups must be a list of groups of filters.")
        if len(groups) > 5 or sum(len(group["filters"]) for group in groups) > 25:
            raise invalid(call, "Too many filter groups or filters.")
        alternatives, parameters = [], []
        for group in groups:
            parts = [self._condition(call, one) for one in group["filters"]]
            alternatives.append(" and ".join(f"({sql})" for sql, _ in parts) or "true")
            parameters += [value for _, values in parts for value in values]
        where = " or ".join(f"({one})" for one in alternatives) or "true"
        order = ", ".join(filter(None, (_order(self, call, one) for one in body.get("sorts", [])))) or "id"
        total = self._store.count("contact", where, parameters)
        records = self._store.select("contact", where, parameters, order=order, limit=limit, offset=after)
        answer: dict[str, Any] = {"total": total, "results": [_shown(r, body.get("properties") or SHOWN) for r in records]}
        if after + limit < total:
            answer["paging"] = {"next": {"after": str(after + limit)}}
        return JSONResponse(answer)

    def _condition(self, call: Call, filter: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """A filter as SQL and its parameters."""
        operator, name = filter.get("operator"), str(filter.get("propertyName"))
        column, convert = self.column(call, name)
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
        raise invalid(call, f"The filter on {name} is not understood.")

    def column(self, call: Call, name: str) -> tuple[str, Callable[[Any], Any]]:
        """A property as SQL, and how a filter's value becomes comparable."""
        if name == "hs_object_id":
            return "id", lambda value: number(call, value)
        if name in {"lastmodifieddate", "hs_lastmodifieddate", "createdate"}:
            return "created_at" if name == "createdate" else "changed_at", lambda value: moment(call, value)
        if name not in self._account.property_names:
            raise invalid(call, f"There was a problem with the request: property {name} does not exist")
        return f"lower(json_extract(body, '$.{name}'))", lambda value: str(value).lower()

    def _batch_read(self, call: Call) -> Response:
        body = call.object()
        ids = [str(one["id"]) for one in inputs_of(call, body)]
        found = self._found(call, body.get("idProperty"), ids)
        results = [_shown(found[key.lower()], body.get("properties") or SHOWN) for key in dict.fromkeys(ids) if key.lower() in found]
        missing = [key for key in ids if key.lower() not in found]
        error = row_error("OBJECT_NOT_FOUND", "Could not get some CONTACT objects, they may be deleted or not exist.", {"ids": missing})
        return batch(call, results, [error] if missing else [])

    def _write(self, call: Call, *, create: bool) -> Response:
        """Creates or changes contacts: what is wrong with one row stands in a 207, what is wrong with the batch refuses it all."""
        inputs = inputs_of(call, call.json())
        names = {one.get("idProperty") or "hs_object_id" for one in inputs}
        keys = [str(one["id"]).lower() for one in inputs]
        if len(names) > 1 or (create and names == {"hs_object_id"}):
            raise invalid(call, "All inputs need the same unique idProperty.")
        if len(set(keys)) < len(keys):
            raise invalid(call, "Duplicate IDs found in batch input. IDs must be unique.")
        self._check_properties(call, inputs)
        name = names.pop()
        found = self._found(call, name, keys)
        emails = [one["properties"].get("email", key if name == "email" else "").lower() for key, one in zip(keys, inputs, strict=True)]
        self._check_conflicts(call, name, dict(zip(keys, emails, strict=True)), found)
        blocked = self._store.find("blocked", "email", [*emails, *keys]) if self._store.count("blocked") else {}
        changed, results, errors = [], [], []
        for position, (key, one) in enumerate(zip(keys, inputs, strict=True)):
            trouble = self._row_trouble(call, name, key, one, position, known=key in found or create, blocked=blocked)
            if trouble:
                errors.append(trouble)
                continue
            record = found.get(key)
            new = record is None
            if record is None:
                record = self._store.make("contact", {name: one["id"], **one["properties"]}, call.at)
                changed.append(record)
                call.made(f"contact/{record.id}")
            elif (wanted := {**record.body, **one["properties"]}) != record.body:
                record.body, record.changed_at = wanted, call.at
                changed.append(record)
                call.note("update", f"contact/{record.id}", wanted)
            result = _shown(record, None)
            if "objectWriteTraceId" in one:
                result["objectWriteTraceId"] = one["objectWriteTraceId"]
            if create:
                result["new"] = new
            results.append(result)
        self._store.save(changed)
        return batch(call, results, errors)

    def _row_trouble(
        self, call: Call, name: str, key: str, one: Mapping[str, Any], position: int, *, known: bool, blocked: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        email = one["properties"].get("email", key if name == "email" else None)
        if not known:
            return _refused(one, "OBJECT_NOT_FOUND", "resource not found")
        if email is not None and ("@" not in email[1:-1] or " " in email):
            return _refused(one, "VALIDATION_ERROR", "Property values were not valid: email is invalid")
        for numeric in self._account.numbers:
            if not _is_number(one["properties"].get(numeric, "")):
                return _refused(one, "VALIDATION_ERROR", f"Property values were not valid: {numeric} was not a valid number.")
        if blocked and (key in blocked or (email or "").lower() in blocked):
            return _refused(one, "VALIDATION_ERROR", "The address was erased and can't be used again.")
        match self._account.row_fault(call, key, position):
            case RowFault.REJECTED:
                return _refused(one, "VALIDATION_ERROR", "Property values were not valid")
            case RowFault.BUSY:
                return _refused(one, "INTERNAL_ERROR", "The record is being written by somebody else.")
        return None

    def _check_properties(self, call: Call, inputs: Sequence[Mapping[str, Any]]) -> None:
        known = self._account.property_names
        for one in inputs:
            properties = one.get("properties")
            if not isinstance(properties, dict):
                raise invalid(call, "Invalid input JSON: properties must be an object of strings.")
            for name, value in properties.items():
                if not isinstance(value, str):
                    raise invalid(call, "Invalid input JSON: properties must be an object of strings.")
                if name not in known:
                    raise invalid(call, f"Property values were not valid: {name} does not exist", "PROPERTY_DOESNT_EXIST")

    def _check_conflicts(self, call: Call, name: str, emails: Mapping[str, str], found: Mapping[str, Record]) -> None:
        """An address that belongs to another contact, or that two inputs want, refuses the whole batch."""
        given = [email for email in emails.values() if email]
        if len(set(given)) < len(given):
            raise RefusedError(error(call, 409, "Two inputs have the same email.", "CONFLICT"))
        moved = {email: key for key, email in emails.items() if email and (name != "email" or email != key)}
        for email, owners in self._store.find("contact", "email", moved).items():
            mine = found.get(moved[email])
            if mine is None or owners[0].id != mine.id:
                raise RefusedError(error(call, 409, f"Contact already exists. Existing ID: {owners[0].id}", "CONFLICT"))

    def _batch_archive(self, call: Call) -> Response:
        ids = [str(one["id"]) for one in inputs_of(call, call.json())]
        self._to_archive(call, list(self._found(call, None, ids).values()))
        return Response(status_code=204)

    def _archive(self, call: Call) -> Response:
        self._to_archive(call, list(self._found(call, None, [call.path("id")]).values()))
        return Response(status_code=204)

    def _to_archive(self, call: Call, records: Sequence[Record]) -> None:
        self._store.delete(records)
        for record in records:
            record.kind, record.changed_at = "archived", call.at
            call.note("archive", f"contact/{record.id}")
        self._store.save(records)

    def _merge(self, call: Call) -> Response:
        """Two contacts become a new one, which names both; they are gone without being archived."""
        body = call.object()
        ids = [body.get("objectIdToMerge"), body.get("primaryObjectId")]
        found = self._found(call, None, [str(id) for id in ids])
        if len(found) < 2:
            raise RefusedError(error(call, 404, "resource not found", "OBJECT_NOT_FOUND"))
        merged, primary = (found[str(id)] for id in ids)
        before = ";".join(filter(None, [merged.body.get(MERGED), primary.body.get(MERGED), str(primary.id), str(merged.id)]))
        record = self._store.make("contact", {**merged.body, **primary.body, MERGED: before}, call.at)
        for list_id in dict.fromkeys(list_id for lists in self._store.lists_of([merged.id, primary.id]).values() for list_id, _ in lists):
            self._store.list_add(list_id, [record.id], call.at)
        self._store.delete([merged, primary])
        self._store.save([record])
        call.note("merge", f"contact/{record.id}", ids)
        return JSONResponse(_shown(record, None))

    def _gdpr_delete(self, call: Call) -> Response:
        body = call.object()
        if not isinstance(body.get("objectId"), str):
            raise invalid(call, "objectId is required")
        found = list(self._found(call, body.get("idProperty"), [body["objectId"]]).values())
        if not found and body.get("idProperty") != "email":
            raise RefusedError(error(call, 404, "resource not found", "OBJECT_NOT_FOUND"))
        for email in [record.body.get("email") for record in found] or [body["objectId"]]:
            if email and not self._store.find("blocked", "email", [email.lower()]):
                self._store.save([self._store.make("blocked", {"email": email}, call.at)])
        self._store.delete(found)
        for record in found:
            call.note("erase", f"contact/{record.id}")
        return Response(status_code=204)

    def _found(self, call: Call, name: str | None, keys: Iterable[str]) -> dict[str, Record]:
        """Contacts by the given key, lower-cased."""
        if name in (None, "", "hs_object_id"):
            ids = [int(key) for key in keys if str(key).isdecimal()]
            return {str(record.id): record for record in self._store.get("contact", ids).values()}
        if name not in self._account.unique:
            raise invalid(call, f"{name} is not a unique property")
        return {key: records[0] for key, records in self._store.find("contact", str(name), [key.lower() for key in keys]).items()}


def _is_number(text: str) -> bool:
    try:
        return not text or isfinite(float(text))
    except ValueError:
        return False


def _refused(one: Mapping[str, Any], category: str, message: str) -> dict[str, Any]:
    """What was wrong with one input."""
    trace = {"objectWriteTraceId": [one["objectWriteTraceId"]]} if "objectWriteTraceId" in one else {}
    return row_error(category, message, {"id": [str(one["id"])], **trace})


def _shown(record: Record, wanted: Iterable[str] | None) -> dict[str, Any]:
    created, changed, id = iso(record.created_at), iso(record.changed_at), str(record.id)
    known = {**record.body, "createdate": created, "lastmodifieddate": changed, "hs_object_id": id}
    properties = known if wanted is None else {name: known[name] for name in (*wanted, *ALWAYS_SHOWN) if name in known}
    shown = {"id": id, "properties": properties, "createdAt": created, "updatedAt": changed, "archived": record.kind == "archived"}
    if shown["archived"]:
        shown["archivedAt"] = changed
    return shown


def _order(contacts: Contacts, call: Call, sort: Any) -> str:
    name = sort.get("propertyName", "") if isinstance(sort, dict) else str(sort)
    falling = sort.get("direction") == "DESCENDING" if isinstance(sort, dict) else name.startswith("-")
    return f"{contacts.column(call, name.lstrip('-'))[0]} {'desc' if falling else 'asc'}" if name else ""
