"""The stand-in for a HubSpot account: sign-in, limits, properties. Contacts and lists are in modules of their own. Paths from v3 to 2026-09."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from connectors.hubspot.emulation_contacts import Contacts
from connectors.hubspot.emulation_lists import Lists
from connectors.hubspot.emulation_words import error, invalid
from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, millis
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

PRIVATE_APP_TOKEN = "pat-sandbox-hubspot"
CLIENT, SECRET, REFRESH_TOKEN = "sandbox-hubspot-app", "sandbox-hubspot-secret", "sandbox-hubspot-first-refresh-token"
ACCESS_SECONDS = 1800
VERSIONS = ("2025-09", "2026-03", "2026-09")
PROPERTIES = ("email", "firstname", "lastname", "phone", "city", "country", "hs_language", "gender", "date_of_birth", "lifecyclestage", "user_id")
KEYS = {"list": ("name",), "property": ("name",), "blocked": ("email",)}
"""What things besides contacts can be found by."""
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
    own: Sequence[Record] = ()
    """The account's own properties, read anew with each request."""
    unique: Sequence[str] = ("email",)
    """Names of properties contacts can be found by."""
    property_names: Mapping[str, None] = dict.fromkeys(PROPERTIES)
    numbers: Sequence[str] = ()
    """Names of the account's own properties that hold numbers."""

    def make_windows(self) -> Mapping[str, Window]:
        return {"burst": Window(190, 10, "TEN_SECONDLY_ROLLING"), "day": Window(625_000, 86_400, "DAILY"), "search": Window(5, 1, "SECONDLY")}

    def endpoints(self) -> Sequence[Endpoint]:
        counted = ("burst", "day")
        properties = [
            Endpoint(method, f"{base}/contacts", handle, counted)
            for base in ("/crm/v3/properties", "/crm/properties/{version}")
            for method, handle in (("GET", self._properties), ("POST", self._add_property))
        ]
        tokens = [Endpoint("POST", path, self._token, open=True) for path in ("/oauth/v1/token", "/oauth/v3/token", "/oauth/{version}/token")]
        return [*Contacts(self).endpoints(counted), *Lists(self).endpoints(counted), *properties, *tokens]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        names = self.unique if kind == "contact" else KEYS.get(kind, ())
        return [(name, body[name].lower()) for name in names if body.get(name)]

    def admit(self, call: Call) -> None:
        self._learn_properties()
        token = call.bearer
        if not (self.tokens.holder("key", token, call.now) or self.tokens.holder("access", token, call.now)):
            known = token.startswith("sandbox-hubspot-access")
            words = "The OAuth token used to make this call expired." if known else "Authentication credentials not found."
            raise RefusedError(error(call, 401, words, "EXPIRED_AUTHENTICATION" if known else "INVALID_AUTHENTICATION"))
        if call.request.path_params.get("version", VERSIONS[0]) not in VERSIONS:
            raise RefusedError(self.failure(call, 404))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        if status == 429:
            return self.limited(call, self.windows["burst"])
        return error(call, status, f"The request failed with status {status}.", FAILURES.get(status, "INTERNAL_ERROR"))

    def limited(self, call: Call, window: Window) -> Response:
        words = {"message": f"You have reached your {window.label.lower()} limit.", "errorType": "RATE_LIMIT", "policyName": window.label}
        return JSONResponse({"status": "error", **words, "category": "RATE_LIMITS", "correlationId": call.id}, 429)

    def dress(self, call: Call, response: Response) -> None:
        response.headers["X-HubSpot-Correlation-Id"] = call.id
        if not self.faults.dial.limits or "burst" not in call.endpoint.windows or "search" in call.endpoint.windows:
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
            raise RefusedError(error(call, 401, "The client is unknown.", "INVALID_AUTHENTICATION"))
        granted = self.tokens.refresh(form.get("refresh_token", ""), call.now, single_use=self.faults.dial.single_use_refresh)
        if form.get("grant_type") != "refresh_token" or granted is None:
            raise RefusedError(error(call, 400, "missing or invalid refresh token", "BAD_REFRESH_TOKEN"))
        client, refresh = granted
        access = self.tokens.issue("access", client, call.now + ACCESS_SECONDS)
        scopes = ["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.lists.read", "crm.lists.write", "oauth"]
        answer = {"access_token": access, "refresh_token": refresh, "expires_in": ACCESS_SECONDS, "token_type": "bearer", "token_use": "access_token"}
        return JSONResponse({**answer, "hub_id": 1, "user_id": 1, "scopes": scopes})

    def _properties(self, call: Call) -> Response:
        own = {r.body["name"]: r.body for r in self.own}
        return JSONResponse({"results": [own.get(name) or _property(name) for name in self.property_names]})

    def _add_property(self, call: Call) -> Response:
        body = call.object()
        if not isinstance(body.get("name"), str) or not body["name"].isidentifier():
            raise invalid(call, "name is required")
        if body["name"] in self.property_names:
            raise RefusedError(error(call, 409, "The property exists already.", "CONFLICT"))
        told = {name: body[name] for name in ("label", "type", "fieldType", "groupName", "hasUniqueValue", "description") if name in body}
        record = self.store.make("property", _property(body["name"]) | told, call.at)
        self.store.save([record])
        call.made(f"property/{body['name']}")
        return JSONResponse(record.body, 201)

    def _learn_properties(self) -> None:
        self.own = self.store.select("property")
        self.unique = ["email", *(r.body["name"] for r in self.own if r.body["hasUniqueValue"])]
        self.property_names = dict.fromkeys([*PROPERTIES, *(r.body["name"] for r in self.own)])
        self.numbers = [r.body["name"] for r in self.own if r.body["type"] == "number"]


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


def _property(name: str) -> dict[str, Any]:
    texts = {"name": name, "label": name, "description": "", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    return {**texts, "options": [], "hasUniqueValue": name == "email"}


def _list_row(record: Record, size: int) -> tuple[str, str, str]:
    return record.body["name"], record.body["processingType"], f"{size:,}"


EMULATION = HubSpot
