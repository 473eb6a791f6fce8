"""The stand-in for People Data Labs: enrichment of one person or a hundred, with credits that run out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b, sha256
from typing import Any, ClassVar

from starlette.responses import Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, iso, millis
from connectors.sandbox.faults import RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

API_KEY = "sandbox-pdl-key"
CREDITS = 10_000
"""Matches the account may still buy at first."""
MAX_REQUESTS = 100
KEYS = ("pdl_id", "email", "email_hash", "phone")
FAILURES = {
    400: ("invalid_request_error", "Request contained either missing or invalid parameters"),
    401: ("authentication_error", "Request contained a missing or invalid key"),
    402: ("payment_required", "You have reached your account maximum (all matches have been used)"),
    404: ("not_found", "No records were found matching your request"),
    405: ("invalid_request_error", "Method not allowed"),
    429: ("rate_limit_error", "An error occurred due to requests hitting the API too quickly"),
}


class PeopleDataLabs(Emulation):
    """One paid account."""

    name = "people_data_labs"
    title = "People Data Labs"
    source = "PDL's OpenAPI and docs (usage limits, errors) as of 2026-08-22"
    initial_tokens: ClassVar = (("key", API_KEY, "account"),)

    def make_windows(self) -> Mapping[str, Window]:
        return {"minute": Window(1000, 60)}

    def endpoints(self) -> Sequence[Endpoint]:
        return [
            Endpoint("GET", "/v5/person/enrich", self._enrich, ("minute",)),
            Endpoint("POST", "/v5/person/bulk", self._bulk, ("minute",)),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        emails = [one["address"] for one in body.get("emails", ())]
        hashes = [("email_hash", sha256(email.encode()).hexdigest()) for email in emails]
        names = [("name", body["full_name"].lower())] if body.get("full_name") else []
        phones = [("phone", phone) for phone in body.get("phone_numbers", ())]
        return [("pdl_id", body["id"]), *(("email", email) for email in emails), *hashes, *phones, *names]

    def admit(self, call: Call) -> None:
        if not self.tokens.holder("key", call.header("x-api-key") or call.query("api_key"), call.now):
            raise RefusedError(self.failure(call, 401))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return JSONResponse(_failed(status), status)

    def dress(self, call: Call, response: Response) -> None:
        response.headers["x-totallimit-remaining"] = str(self.credits_left())
        if not self.faults.dial.limits:
            return
        window = self.windows["minute"]
        left, reset = window.remaining(call.now), window.free_at(call.now) if window.remaining(call.now) <= 0 else call.now + 60
        told = {"x-ratelimit-limit": str({"minute": window.limit}), "x-ratelimit-remaining": str({"minute": max(left, 0)})}
        told["x-ratelimit-reset"] = iso(int(reset * 1000))
        response.headers.update(told)

    def credentials(self) -> Mapping[str, str]:
        return {"X-API-Key": API_KEY}

    def credits_left(self) -> int:
        """Matches that may still be bought."""
        spent = self.store.query("select coalesce(sum(value), 0) from numbers where name in ('spent', 'withdrawn')")[0][0]
        return CREDITS - spent

    def set_credits(self, left: int) -> None:
        """Leaves exactly this many matches to buy."""
        self._count("withdrawn", self.credits_left() - left)

    def seed(self, people: Sequence[Person]) -> None:
        known = [person for person in people if person.attributes]
        self.store.save([self.store.make("person", _profile(person), millis(person.created_at)) for person in known])

    def shelves(self) -> Sequence[Shelf]:
        columns = ("id", "first_name", "sex", "location_country", "job_title")
        some = self.store.select("person", limit=10)
        left = self.credits_left()
        return [
            Shelf("Profiles", self.store.count("person"), columns, [[str(p.body.get(c) or "") for c in columns] for p in some]),
            Shelf("Credits left", left, (), []),
        ]

    def _enrich(self, call: Call) -> Response:
        call.rows = 1
        found = self._match(call, dict(call.request.query_params), 0)
        response = JSONResponse(found, found["status"])
        self._charge(response, int(found["status"] == 200))
        return response

    def _bulk(self, call: Call) -> Response:
        body = call.object()
        requests = body.get("requests")
        if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_REQUESTS or not all(isinstance(one, dict) for one in requests):
            raise RefusedError(self.failure(call, 400))
        if self.credits_left() <= 0:
            raise RefusedError(self.failure(call, 402))
        call.rows, answers, spent = len(requests), [], 0
        shared = {name: value for name, value in body.items() if name != "requests"}
        for position, one in enumerate(requests):
            params = one.get("params")
            match = self._match(call, {**shared, **(params if isinstance(params, dict) else {})}, position, spent)
            spent += match["status"] == 200
            answers.append(match | ({"metadata": one["metadata"]} if "metadata" in one else {}))
        response = JSONResponse(answers)
        self._charge(response, spent)
        return response

    def _match(self, call: Call, params: Mapping[str, Any], position: int, spent: int = 0) -> dict[str, Any]:
        """The answer to one question: a person, or why there is none."""
        key = next(((name, str(params[name])) for name in KEYS if params.get(name)), None)
        name = params.get("name") or " ".join(str(params[part]) for part in ("first_name", "last_name") if params.get(part))
        where = params.get("location") or params.get("locality") or params.get("country")
        if key is None and not (name and where):
            return _failed(400)
        fault = self.row_fault(call, key[1] if key else str(name), position)
        if fault:
            return _failed(400 if fault is RowFault.REJECTED else 500)
        if self.credits_left() - spent <= 0:
            return _failed(402)
        record, likelihood = self._by_key(*key) if key else self._by_name(str(name), str(where))
        wanted = str(params.get("required") or "").replace(" OR ", " ").replace(" AND ", " ").replace("(", " ").replace(")", " ").split()
        if record is None or likelihood < int(params.get("min_likelihood") or 2) or not _has(record.body, wanted, params.get("required")):
            return _failed(404)
        return {"status": 200, "likelihood": likelihood, "data": _chosen(record.body, str(params.get("data_include") or ""))}

    def _by_key(self, name: str, value: str) -> tuple[Record | None, int]:
        found = self.store.find("person", name, [value.strip().lower()])
        return (next(iter(found.values()))[0], 10 if name == "pdl_id" else 9) if found else (None, 0)

    def _by_name(self, name: str, where: str) -> tuple[Record | None, int]:
        """A person of this name there; less sure where several are."""
        found = [one for records in self.store.find("person", "name", [name.strip().lower()]).values() for one in records]
        places = ("location_locality", "location_country")
        there = [one for one in found if any(str(one.body.get(place) or "-") in where.lower() for place in places)]
        return (there[0], 6 if len(there) == 1 else 3) if there else (None, 0)

    def _charge(self, response: Response, spent: int) -> None:
        self._count("spent", spent)
        response.headers.update({"x-call-credits-spent": str(spent), "x-call-credits-type": "enrich"})

    def _count(self, name: str, more: int) -> None:
        self.store.query("insert into numbers values (?, ?) on conflict(name) do update set value = value + excluded.value", (name, more))


def _profile(person: Person) -> dict[str, Any]:
    """What the vendor knows of a person, unknown fields left out; age and sex come from the shop's enrichment, mostly right."""
    first, last = person.first_name.lower(), person.last_name.lower()
    age = person.attributes.get("age", "")
    sex = {"f": "female", "m": "male"}.get(person.attributes.get("gender", "").lower()[:1])
    titles = ("software engineer", "teacher", "nurse", "sales manager", "accountant", "designer")
    pick = int(blake2b(person.email.encode(), digest_size=2).hexdigest(), 16)
    profile = {
        "id": f"{blake2b(person.email.encode(), digest_size=16).hexdigest()}_0000",
        "full_name": f"{first} {last}".strip() or None,
        "first_name": first or None,
        "last_name": last or None,
        "sex": sex,
        "birth_year": person.created_at.year - int(age) if age.isdecimal() else None,
        "emails": [{"address": person.email, "type": "personal"}],
        "personal_emails": [person.email],
        "phone_numbers": [person.phone] if person.phone else [],
        "mobile_phone": person.phone or None,
        "location_country": {"DE": "germany", "AT": "austria", "GB": "united kingdom", "ES": "spain", "IT": "italy"}.get(person.country),
        "location_locality": person.city.lower() or None,
        "job_title": titles[pick % len(titles)],
        "industry": "retail" if pick % 2 else "education management",
    }
    return {name: value for name, value in profile.items() if value is not None}


def _has(body: Mapping[str, Any], wanted: Sequence[str], expression: Any) -> bool:
    """Whether what is required is there: `a AND b` needs all, `a OR b` one."""
    have = [bool(body.get(name)) for name in wanted]
    return not have or (any(have) if " OR " in str(expression) else all(have))


def _chosen(body: Mapping[str, Any], include: str) -> dict[str, Any]:
    """All fields, or those named, or (`-` first) all but those named."""
    if not include:
        return dict(body)
    names = {name.strip() for name in include.lstrip("-").split(",")}
    return {name: value for name, value in body.items() if (name in names) != include.startswith("-")}


def _failed(status: int) -> dict[str, Any]:
    kind, message = FAILURES.get(status, ("api_error", "An error occurred on the server"))
    return {"status": status, "error": {"type": kind, "message": message}}


EMULATION = PeopleDataLabs
