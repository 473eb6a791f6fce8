"""The stand-in for OneTrust's consent and preference management: receipts in, data subjects and their purposes out."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from starlette.responses import Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, instant, iso, millis
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

CLIENT, SECRET, COLLECTION_POINT = "sandbox-onetrust-client", "sandbox-onetrust-secret", "sandbox-collection-point"
ACCESS_SECONDS = 3600
PAGE, PROFILE_DAYS, SUBJECT_DAYS = 50, 30, 7
PURPOSES = {str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:{name}")): name for name in ("marketing_email", "marketing_sms", "advertising", "profiling")}
"""Purpose ids and names."""
STATUS_AFTER = {
    "PENDING": "PENDING",
    "CONFIRMED": "ACTIVE",
    "WITHDRAWN": "WITHDRAWN",
    "EXPIRED": "EXPIRED",
    "NOTGIVEN": "NO_CONSENT",
    "EXTEND": "EXTEND",
    "OPT_OUT": "OPT_OUT",
    "HARD_OPT_OUT": "HARD_OPT_OUT",
    "NO_CHOICE": "NO_CONSENT",
    "CHANGE_PREFERENCES": "CHANGE_PREFERENCES",
    "CANCEL": "WITHDRAWN",
    "IMPLICIT": "IMPLICIT",
}
"""What a transaction makes of a purpose's status; the pairing is ours, both lists are the vendor's."""
CONSENTING = ("ACTIVE", "EXTEND", "IMPLICIT")
STATED = {"granted": "CONFIRMED", "denied": "NOTGIVEN", "withdrawn": "WITHDRAWN"}


class OneTrust(Emulation):
    """One OneTrust tenant with one collection point."""

    name = "onetrust"
    title = "OneTrust"
    source = "OneTrust's OpenAPI of 2026-07-01 and docs as of 2026-11-22"
    initial_tokens: ClassVar = ()

    def make_windows(self) -> Mapping[str, Window]:
        return {"minute": Window(20_000, 60, "MINUTE"), "hour": Window(200_000, 3600, "HOUR")}

    def endpoints(self) -> Sequence[Endpoint]:
        counted, v4 = ("minute", "hour"), "/rest/api/consent/v4/datasubjects"
        return [
            Endpoint("POST", "/api/access/v1/oauth/token", self._token, open=True),
            Endpoint("GET", f"{v4}/profiles", lambda call: self._profiles(call, "changed_at"), counted),
            Endpoint("GET", f"{v4}/profiles/unordered", lambda call: self._profiles(call, "json_extract(body, '$.identifier')"), counted),
            Endpoint("GET", f"{v4}/profiles/{{purpose}}", self._profile, counted),
            Endpoint("GET", f"{v4}/details", self._details, counted),
            Endpoint("GET", v4, self._subjects, counted),
            Endpoint("POST", "/request/v1/consentreceipts", self._receipt, counted, open=True),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return [("identifier", body["identifier"].lower())]

    def admit(self, call: Call) -> None:
        if not self.tokens.holder("access", call.bearer, call.now):
            raise RefusedError(self.failure(call, 401))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        if status == 429:
            return self.limited(call, self.windows["minute"])
        return JSONResponse({401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}.get(status, f"HTTP {status}"), status)

    def limited(self, call: Call, window: Window) -> Response:
        wait = max(int(window.free_at(call.now) - call.now + 0.999), 1)
        made = window.limit - window.remaining(call.now)
        told = {"ot-period": window.label, "ot-requests-allowed": window.limit, "ot-request-made": made, "ot-ratelimit-event-id": call.id}
        return JSONResponse("Too Many Requests", 429, {"Retry-After": str(wait), **{name: str(value) for name, value in told.items()}})

    def credentials(self) -> Mapping[str, str]:
        purposes = {f"purpose {name}": key for key, name in PURPOSES.items()}
        return {"client_id": CLIENT, "client_secret": SECRET, "collection point": COLLECTION_POINT, **purposes}

    def seed(self, people: Sequence[Person]) -> None:
        ids = {name: key for key, name in PURPOSES.items()}
        records = []
        for person in people:
            stated = {name: one for name, one in person.consents.items() if name in ids}
            if not stated:
                continue
            subject = self.store.make("subject", {"identifier": person.email, "language": person.language}, millis(person.created_at))
            subject.changed_at = max(millis(one.at) for one in stated.values())
            records.append(subject)
            for name, one in stated.items():
                until = iso(millis(one.until)) if one.until else None
                records.append(self._stated(None, person.email, ids[name], STATED[one.state], millis(one.at), until))
        self.store.save(records)

    def shelves(self) -> Sequence[Shelf]:
        sql = "select json_extract(body, '$.purposeId'), json_extract(body, '$.status'), count(*) from records where kind = 'profile' group by 1, 2"
        consents = sorted((PURPOSES[purpose], status, f"{n:,}") for purpose, status, n in self.store.query(sql))
        columns = ("identifier", "purpose", "status", "since")
        latest = self.store.select("profile", order="changed_at desc, id desc", limit=10)
        rows = [(p.body["identifier"], PURPOSES[p.body["purposeId"]], p.body["status"], iso(p.changed_at)[:10]) for p in latest]
        return [
            Shelf("Data subjects", self.store.count("subject"), (), []),
            Shelf("Consents by purpose", len(consents), ("purpose", "status", "data subjects"), consents),
            Shelf("Latest consents", self.store.count("profile"), columns, rows),
        ]

    def _token(self, call: Call) -> Response:
        form = call.form()
        if (form.get("client_id"), form.get("client_secret"), form.get("grant_type")) != (CLIENT, SECRET, "client_credentials"):
            raise RefusedError(JSONResponse({"error": "invalid_client"}, 401))
        access = self.tokens.issue("access", CLIENT, call.now + ACCESS_SECONDS)
        return JSONResponse({"access_token": access, "token_type": "bearer", "expires_in": ACCESS_SECONDS, "scope": "CONSENT"})

    def _profiles(self, call: Call, order: str) -> Response:
        """Purposes of all data subjects whose status was set within a period, page by page."""
        since, until = self._period(call, "updatedSince", "updatedUntil", PROFILE_DAYS)
        where, parameters = ["changed_at between ? and ?"], list[Any]((since, until))
        for name in ("purposeId", "status"):
            if call.query(name):
                where.append(f"json_extract(body, '$.{name}') = ?")
                parameters.append(call.query(name))
        falling = call.query("sort").endswith(",desc")
        return self._page(call, "profile", " and ".join(where), parameters, order, self._shown, falling=falling)

    def _subjects(self, call: Call) -> Response:
        since, until = self._period(call, "fromDate", "toDate", SUBJECT_DAYS)
        return self._page(call, "subject", "changed_at between ? and ?", [since, until], "changed_at", _subject)

    def _page(
        self, call: Call, kind: str, where: str, parameters: list[Any], column: str, show: Callable[[Record], Any], *, falling: bool = False
    ) -> Response:
        """One page by a column and id, and the token for the next: where this one ended, good for the same question only."""
        size, question = call.query("size", "20"), [kind, where, parameters, column, falling]
        if not size.isdecimal() or not 1 <= int(size) <= PAGE:
            raise RefusedError(JSONResponse(f"size must be 1 to {PAGE}", 400))
        start = _opened(call.header("requestContinuation"), question)
        if start is None:
            raise RefusedError(JSONResponse("requestContinuation is not valid", 400))
        rest = f"({where}) and ({column}, id) {'<' if falling else '>'} (?, ?)" if start else where
        direction = "desc" if falling else "asc"
        found = self.store.select(kind, rest, [*parameters, *start], order=f"{column} {direction}, id {direction}", limit=int(size) + 1)
        shown, last = [show(record) for record in found[: int(size)]], len(found) <= int(size)
        told = {"content": shown, "size": int(size), "numberOfElements": len(shown), "empty": not shown, "first": not start, "last": last}
        return JSONResponse(told | ({} if last else {"requestContinuation": _sealed(found[int(size) - 1], column, question)}))

    def _period(self, call: Call, since: str, until: str, days: int) -> tuple[int, int]:
        start, end = instant(call.query(since)), instant(call.query(until))
        if start is None or end is None or start > end or end - start > timedelta(days=days) // timedelta(milliseconds=1):
            raise RefusedError(JSONResponse(f"{since} and {until} are required, at most {days} days apart", 400))
        return start, end

    def _profile(self, call: Call) -> Response:
        mine = [one for one in self._of(call) if one.body["purposeId"] == call.path("purpose")]
        if not mine:
            raise RefusedError(self.failure(call, 404))
        return JSONResponse(self._shown(mine[0]))

    def _details(self, call: Call) -> Response:
        identifier = call.header("identifier").lower()
        subject = self.store.find("subject", "identifier", [identifier])
        if not subject:
            raise RefusedError(self.failure(call, 404))
        elements = [{"name": "Email", "value": {"value": identifier}, "doNotCall": False, "linked": False}]
        return JSONResponse({**_subject(subject[identifier][0]), "dataElements": elements, "profiles": [self._shown(one) for one in self._of(call)]})

    def _of(self, call: Call) -> list[Record]:
        identifier = call.header("identifier").lower()
        return self.store.find("profile", "identifier", [identifier]).get(identifier, [])

    def _receipt(self, call: Call) -> Response:
        """Takes down what a data subject decided, purpose by purpose, all or nothing."""
        body = call.object()
        purposes, identifier = body.get("purposes"), body.get("identifier")
        if not isinstance(identifier, str) or not identifier or body.get("requestInformation") != COLLECTION_POINT or not isinstance(purposes, list):
            raise RefusedError(JSONResponse("identifier, purposes and a valid requestInformation are required", 400))
        if not all(one.get("Id") in PURPOSES and one.get("TransactionType") in STATUS_AFTER for one in purposes) or self.faults.refuses(identifier):
            raise RefusedError(JSONResponse("a purpose or its TransactionType is not known", 400))
        call.rows = len(purposes)
        known = {one.body["purposeId"]: one for one in self.store.find("profile", "identifier", [identifier.lower()]).get(identifier.lower(), [])}
        records = self.store.find("subject", "identifier", [identifier.lower()]).get(identifier.lower())
        subject = (
            records[0] if records else self.store.make("subject", {"identifier": identifier.lower(), "language": body.get("language", "")}, call.at)
        )
        subject.changed_at, changed = call.at, [subject]
        for one in purposes:
            until = one.get("ExpiryDate")
            changed.append(self._stated(known.get(one["Id"]), identifier.lower(), one["Id"], one["TransactionType"], call.at, until))
            call.note("consent", f"{subject.id}/{one['Id']}/{one['TransactionType']}/{self.store.next_number('receipts')}")
        self.store.save(changed)
        claims = {"jti": call.id, "sub": "Consent Receipt", "iat": int(call.now)}
        return JSONResponse({"receipt": ".".join(_encoded(part) for part in ({"alg": "none"}, claims, {}))})

    def _stated(self, profile: Record | None, identifier: str, purpose: str, transaction: str, at: int, until: str | None) -> Record:
        """A profile after a transaction."""
        profile = profile or self.store.make("profile", {"identifier": identifier, "purposeId": purpose, "count": 0, "firstAt": at}, at)
        dates = {"consentDate": iso(at)} if STATUS_AFTER[transaction] in CONSENTING else {}
        dates |= {"withdrawalDate": iso(at)} if STATUS_AFTER[transaction] == "WITHDRAWN" else {}
        profile.body |= {"status": STATUS_AFTER[transaction], "count": profile.body["count"] + 1, "expiryDate": until, **dates}
        profile.changed_at = at
        return profile

    def _shown(self, profile: Record) -> dict[str, Any]:
        body = profile.body
        over = body["status"] in CONSENTING and body["expiryDate"] and (instant(body["expiryDate"]) or 0) <= self.clock() * 1000
        dates = {name: body[name] for name in ("consentDate", "withdrawalDate", "expiryDate") if body.get(name)}
        return {
            "id": body["purposeId"],
            "identifier": body["identifier"],
            "name": PURPOSES[body["purposeId"]],
            "version": 1,
            "status": "EXPIRED" if over else body["status"],
            "firstTransactionDate": iso(body["firstAt"]),
            "lastTransactionDate": iso(profile.changed_at),
            "lastUpdatedDate": iso(profile.changed_at),
            "lastInteractionDate": iso(profile.changed_at),
            "totalTransactionCount": body["count"],
            "topics": [],
            "customPreferences": [],
            "attributes": {},
            **dates,
        }


def _subject(record: Record) -> dict[str, Any]:
    times = {"createdDate": iso(record.created_at), "lastTransactionDate": iso(record.changed_at), "lastUpdatedDate": iso(record.changed_at)}
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:subject:{record.id}"))
    return {"id": key, "identifier": record.body["identifier"], "identifierType": "Email", "language": record.body["language"], **times}


def _encoded(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _sealed(last: Record, column: str, question: Any) -> str:
    """The token that leads on from a record: where it stood when it was given out, whatever becomes of it."""
    place = [last.changed_at if column == "changed_at" else last.body["identifier"], last.id]
    return json.dumps({"compositeToken": base64.b64encode(json.dumps([place, question]).encode()).decode()})


def _opened(token: str, question: Any) -> list[Any] | None:
    """Where a page starts, [] at the beginning; None for a token that is not one of this question's."""
    if not token:
        return []
    try:
        place, asked = json.loads(base64.b64decode(json.loads(token)["compositeToken"]))
    except (ValueError, KeyError, TypeError):
        return None
    return place if asked == question else None


EMULATION = OneTrust
