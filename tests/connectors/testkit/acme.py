"""Acme, a made-up vendor with everything: members, contacts, enrichment, consents, tokens. And connectors to it that keep every law."""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from seg_assets.sdk import (
    Action,
    Api,
    Capability,
    Config,
    ConnectorError,
    ConnectorMeta,
    Consent,
    ConsentChange,
    Container,
    Context,
    Decision,
    Enrichment,
    FieldDef,
    HttpSpec,
    Landing,
    Limit,
    Match,
    ObjectDef,
    Operation,
    OpKind,
    Outcome,
    Page,
    PiiClass,
    Quote,
    RemoteRow,
    Row,
    StreamDef,
    Subject,
    Verdict,
    as_outcome,
    deliver_rows,
)

PAGE = 3
MAX_BYTES = 2_000
SECRETS = {"client_id": "acme-client", "client_secret": "canary client secret", "refresh_token": "canary refresh token"}


class Acme:
    """The vendor. Everything it holds is in plain attributes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.lists: dict[str, dict[str, dict[str, Any]]] = {}
        self.refused: set[str] = set()
        self.contacts = [{"id": n, "email": f"canary-{n}@example.org", "changed": n // 2} for n in range(10)]
        self.people = {f"canary-{n}@example.org": {"city": f"City {n}", "age": 20 + n} for n in range(4)}
        self.charged = 0
        self.consents = [
            {"seq": n, "email": f"canary-{n % 4}@example.org", "purpose": ("ads", "mail")[n % 2], "choice": ("yes", "no")[n % 3 == 0]}
            for n in range(8)
        ]
        self.tokens = 0
        self.url: str | None = None

    @contextmanager
    def running(self) -> Iterator[Acme]:
        server = _server()
        server.clear()
        server.expect_request("/token").respond_with_handler(self._token)
        for path, handle in {
            "/members": self._members,
            "/lists": self._lists,
            "/read": self._read,
            "/erase": self._erase,
            "/contacts": self._contacts,
            "/enrich": self._enrich,
            "/decide": self._decide,
            "/changes": self._changes,
        }.items():
            server.expect_request(path).respond_with_handler(lambda request, handle=handle: self._admitted(request, handle))
        self.url = server.url_for("")
        yield self

    def _token(self, request: Request) -> Response:
        request.get_data()
        self.tokens += 1
        return _json({"access_token": f"canary token {self.tokens}", "expires_in": 10_000_000})

    def _admitted(self, request: Request, handle: Any) -> Response:
        body = request.get_data()
        if request.headers.get("Authorization") != f"Bearer canary token {self.tokens}":
            return _json({"error": "token"}, 401)
        with self.lock:
            return _json(handle(json.loads(body) if body else request.args))

    def _members(self, body: Any) -> Any:
        held, done, errors = self.lists.setdefault(body["list"], {}), [], []
        for row in body["inputs"]:
            if row["email"] in self.refused:
                errors.append({"id": row["id"], "code": "REFUSED"})
                continue
            if row["op"] == "remove":
                held.pop(row["email"], None)
            else:
                held[row["email"]] = row["fields"]
            done.append({"id": row["id"]})
        return {"accepted": len(done), "results": done, "errors": errors}

    def _lists(self, body: Any) -> Any:
        created = body["name"] not in self.lists
        self.lists.setdefault(body["name"], {})
        return {"id": f"list-{body['name']}", "created": created}

    def _read(self, body: Any) -> Any:
        held = self.lists.get(body["list"], {})
        return {"members": [{"email": email, "fields": held[email]} for email in body["emails"] if email in held]}

    def _erase(self, body: Any) -> Any:
        for held in self.lists.values():
            held.pop(body["email"], None)
        return {"erased": body["email"]}

    def _contacts(self, query: Any) -> Any:
        """By (changed, id), after a pair of them."""
        after = tuple(map(int, query["after"].split("."))) if query.get("after") else (-1, -1)
        rows = sorted((row for row in self.contacts if (row["changed"], row["id"]) > after), key=lambda row: (row["changed"], row["id"]))
        page = rows[:PAGE]
        more = f"{page[-1]['changed']}.{page[-1]['id']}" if len(rows) > PAGE else None
        return {"rows": page, "next": more}

    def _enrich(self, body: Any) -> Any:
        found = [{"ref": one["ref"], **self.people[one["email"]]} for one in body["people"] if one["email"] in self.people]
        self.charged += len(found)
        return {"matches": found, "asked": [one["ref"] for one in body["people"]]}

    def _decide(self, body: Any) -> Any:
        newest = {(one["email"], one["purpose"]): one["choice"] for one in self.consents}
        choices = [{"ref": one["ref"], "choice": newest.get((one["email"], body["purpose"]))} for one in body["people"]]
        return {"decisions": [one for one in choices if one["choice"]]}

    def _changes(self, query: Any) -> Any:
        rows = [one for one in self.consents if one["seq"] > int(query.get("after", -1))][:PAGE]
        return {"changes": rows}


@cache
def _server() -> HTTPServer:
    """One for all: stopping one takes half a second."""
    server = HTTPServer()
    server.start()
    atexit.register(server.stop)
    return server


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json")


SPEC = {
    "source": "https://docs.acme.example/limits",
    "read_on": "2026-11-22",
    "auth": {"type": "oauth2_refresh", "token_url": "/token"},
    "timeout": 10,
    "rules": [{"status": 401, "do": "REFRESH_TOKEN", "say": "the token is refused"}],
    "endpoints": {
        "members": {
            "method": "POST",
            "path": "/members",
            "idempotency": "A",
            "max_rows": 5,
            "max_bytes": MAX_BYTES,
            "success_when": {"json": {"$.accepted": {"present": True}}},
            "rows": [
                {"each": "$.results[*]", "verdict": "acked", "key": "@.id"},
                {"each": "$.errors[*]", "verdict": "rejected", "key": "@.id", "code": "@.code"},
            ],
        },
        "lists": {"method": "POST", "path": "/lists", "idempotency": "A"},
        "read": {"method": "POST", "path": "/read", "idempotency": "A", "success_when": {"json": {"$.members": {"present": True}}}},
        "erase": {"method": "POST", "path": "/erase", "idempotency": "A", "success_when": {"json": {"$.erased": {"present": True}}}},
        "contacts": {
            "path": "/contacts",
            "success_when": {"json": {"$.rows": {"present": True}}},
            "paging": {"type": "cursor", "next": "$.next", "param": "after", "items": "$.rows"},
        },
        "newest": {"path": "/contacts", "success_when": {"json": {"$.rows": {"present": True}}}},
        "enrich": {"method": "POST", "path": "/enrich", "idempotency": "D", "success_when": {"json": {"$.asked": {"present": True}}}},
        "decide": {"method": "POST", "path": "/decide", "idempotency": "A", "success_when": {"json": {"$.decisions": {"present": True}}}},
        "changes": {"path": "/changes", "success_when": {"json": {"$.changes": {"present": True}}}},
    },
}


class AcmeConfig(Config):
    """An account."""

    url: str = Field(description="Address.")
    client_secret: SecretStr = Field(description="Of the app.")
    refresh_token: SecretStr = Field(description="Of the account.")


def meta(**more: Any) -> ConnectorMeta:
    limits = (Limit("rows per request", 5, "https://docs.acme.example/limits", date(2026, 11, 22)),)
    return ConnectorMeta("acme", "Acme", "A made-up vendor.", api=">=1,<2", limits=limits, **more)


class _Connector:
    config_model: ClassVar[type[Config]] = AcmeConfig
    spec: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: AcmeConfig) -> None:
        self._config = config

    @cached_property
    def api(self) -> Api:
        spec = HttpSpec.model_validate({**SPEC, "base_url": self._config.url}).with_overrides(self.spec)
        return Api(spec, {"client_id": "acme-client"} | {n: getattr(self._config, n).get_secret_value() for n in ("client_secret", "refresh_token")})


class AcmeDestination(_Connector):
    meta: ClassVar[ConnectorMeta] = meta(capabilities=frozenset({Capability.CONTAINERS, Capability.READ_BACK, Capability.ERASE}))

    def objects(self) -> Sequence[ObjectDef]:
        return [ObjectDef("members", "email", 20, max_bytes=MAX_BYTES)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for audience in dict.fromkeys(one.audience for one in batch):
            rows = [self.row(one) for one in batch if one.audience == audience]
            outcomes |= deliver_rows(self.api, "members", rows, context, envelope=(f'{{"list":{json.dumps(audience)},"inputs":[', "]}"))
        return outcomes

    def row(self, one: Operation) -> Row:
        op = "remove" if one.kind is OpKind.REMOVE else "set"
        text = json.dumps({"id": one.op_id, "email": one.key, "op": op, "fields": dict(one.fields)}, ensure_ascii=False)
        return Row(one.op_id, text, key=one.op_id, unique=one.key, person=one.key)

    def ensure_container(self, object: str, audience: str, context: Context) -> Container:
        made = self.api.read("lists", context, json={"name": audience}).json
        return Container(made["id"], made["created"])

    def read_back(self, object: str, audience: str, keys: Sequence[str], context: Context) -> Iterator[RemoteRow]:
        found = {one["email"]: one["fields"] for one in self.api.read("read", context, json={"list": audience, "emails": list(keys)}).json["members"]}
        return (RemoteRow(key, key in found, found.get(key, {})) for key in keys)

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        return {key: as_outcome(self.api.call("erase", context, json={"email": key})) for key in keys}


class AcmeSource(_Connector):
    meta: ClassVar[ConnectorMeta] = meta()

    def streams(self, context: Context) -> Sequence[StreamDef]:
        pii = {"email": PiiClass.IDENTIFIER}
        return [StreamDef("contacts", landing=Landing.APPEND, keys=("id",), cursor="changed", pii=pii, schema=SCHEMA)]

    def watermark(self, stream: str, context: Context) -> str:
        last = ""
        for rows, _ in self.api.pages("contacts", context):
            last = after(rows) if rows else last
        return last

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        for rows, _ in self.api.pages("contacts", context, query={"after": (cursor or {}).get("after")}):
            if rows:
                yield Page(f"until {after(rows)}", pa.Table.from_pylist(list(rows), schema=SCHEMA), cursor={"after": after(rows)})


SCHEMA = pa.schema([("id", pa.int64()), ("email", pa.string()), ("changed", pa.int64())])


def after(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{rows[-1]['changed']}.{rows[-1]['id']}"


class AcmeEnricher(_Connector):
    meta: ClassVar[ConnectorMeta] = meta()

    def fields(self) -> Sequence[FieldDef]:
        return [FieldDef("city", "Where they live."), FieldDef("age", "In years.")]

    def quote(self, subjects: int, fields: Sequence[str], context: Context) -> Quote:
        return Quote(Decimal(subjects), "credits", 1 if subjects else 0)

    def enrich(self, subjects: Sequence[Subject], fields: Sequence[str], context: Context) -> Iterator[Enrichment]:
        if not subjects:
            return
        people = [{"ref": one.ref, "email": one.identifiers["email"]} for one in subjects]
        reply = self.api.call("enrich", context, json={"people": people})
        if reply.action is not Action.OK:
            match = {Action.RETRY: Match.RETRY, Action.IN_DOUBT: Match.IN_DOUBT}.get(reply.action, Match.ERROR)
            yield from (Enrichment(one.ref, match, reason=reply.reason) for one in subjects)
            return
        found = {one["ref"]: one for one in reply.json["matches"]}
        for one in subjects:
            values = {name: found[one.ref][name] for name in fields} if one.ref in found else {}
            yield Enrichment(one.ref, Match.MATCH if values else Match.NO_MATCH, values, cost=Decimal(len(values) > 0))

    def purge(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Outcome]:
        return {one.ref: as_outcome(self.api.call("erase", context, json={"email": one.identifiers["email"]})) for one in subjects}


class AcmeConsents(_Connector):
    meta: ClassVar[ConnectorMeta] = meta()
    words: ClassVar[Mapping[str, Consent]] = {"yes": Consent.ALLOW, "no": Consent.DENY}

    def purposes(self, context: Context) -> Sequence[str]:
        return ["ads", "mail"]

    def decide(self, subjects: Sequence[Subject], purpose: str, context: Context) -> Mapping[str, Decision]:
        people = [{"ref": one.ref, "email": one.identifiers["email"]} for one in subjects]
        given = self.api.read("decide", context, json={"people": people, "purpose": purpose}).json["decisions"]
        return {one["ref"]: Decision(self.words[one["choice"]]) for one in given}

    def changes(self, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[tuple[Sequence[ConsentChange], Mapping[str, Any]]]:
        last = (cursor or {}).get("after", -1)
        while rows := self.api.read("changes", context, query={"after": last}).json["changes"]:
            if rows[-1]["seq"] <= last:
                raise ConnectorError("the vendor leads in a circle")
            last = rows[-1]["seq"]
            changes = [ConsentChange({"email": one["email"]}, one["purpose"], Decision(self.words[one["choice"]])) for one in rows]
            yield changes, {"after": last}


ACKED = Outcome(Verdict.ACKED)
