"""Connectors to Acme, one of each kind, that keep every law."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, SecretStr

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
    check_reply,
    deliver_rows,
)

MAX_BYTES = 2_000
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
        "archive": {"method": "POST", "path": "/archive", "idempotency": "A", "success_when": {"json": {"$.erased": {"present": True}}}},
        "jobs": {"method": "POST", "path": "/jobs", "idempotency": "A", "success_when": {"json": {"$.id": {"present": True}}}},
        "job": {"path": "/job", "success_when": {"json": {"$.done": {"present": True}}}},
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
    meta: ClassVar[ConnectorMeta] = meta(capabilities=frozenset(Capability))

    def objects(self) -> Sequence[ObjectDef]:
        return [ObjectDef("members", "email", 20, max_bytes=MAX_BYTES, concurrency=2, max_job=1_000)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for audience in dict.fromkeys(one.audience for one in batch):
            rows = [self.row(one) for one in batch if one.audience == audience]
            outcomes |= deliver_rows(self.api, "members", rows, context, envelope=(f'{{"list":{json.dumps(audience)},"inputs":[', "]}"))
        return outcomes

    def check(self, context: Context) -> None:
        check_reply("Acme", self.api.call("read", context, json={"list": "", "emails": []}))

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

    def archive(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        return {key: as_outcome(self.api.call("archive", context, json={"email": key})) for key in keys}

    def submit(self, object: str, job: str, batch: Sequence[Operation], context: Context) -> str:
        audiences = dict.fromkeys(one.audience for one in batch)
        batches = [{"list": name, "inputs": [json.loads(self.row(one).text) for one in batch if one.audience == name]} for name in audiences]
        return self.api.read("jobs", context, json={"name": job, "batches": batches}).json["id"]

    def poll(self, object: str, reference: str, context: Context) -> Mapping[str, Outcome] | None:
        told = self.api.read("job", context, query={"id": reference}).json
        if not told["done"]:
            return None
        refused = {one["id"]: Outcome(Verdict.REJECTED, one["code"]) for one in told["errors"]}
        return {one["id"]: ACKED for one in told["results"]} | refused


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
