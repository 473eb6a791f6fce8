"""The `customerio` destination: people with their attributes, and membership of a manual segment per audience.

People are identified first, then put into the segment: the segment passes over whoever it does not know. Who leaves is taken out of the segment and stays a
person; only `erase` deletes, and keeps the person from being made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.http import (
    Action,
    Api,
    Containers,
    Row,
    as_outcome,
    check_object,
    check_reply,
    deliver_rows,
    deliver_turns,
    load_spec,
    row_text,
    rows_of,
)
from connectors.http.client import checked_url
from connectors.types import (
    Capability,
    Config,
    ConnectorMeta,
    Container,
    Context,
    Granularity,
    Idempotency,
    ObjectDef,
    Operation,
    OpKind,
    Outcome,
    Verdict,
)

PEOPLE = "people"
FOLDER = Path(__file__).parent
ENVELOPE = ('{"batch":[', "]}")
GONE = "the segment is gone"


class CustomerIoConfig(Config):
    """A workspace."""

    site_id: str = Field(description="Site id of the Track API.")
    track_api_key: SecretStr = Field(description="Key of the Track API.")
    app_api_key: SecretStr = Field(description="Key of the App API, which makes segments.")
    match_key: Literal["user_id", "email"] = Field("user_id", description="Identifier Customer.io knows people by; user_id is its id.")
    segment_prefix: str = Field("", max_length=100, description="Written before an audience's name to make its segment's name.")
    track_url: str = Field("https://track.customer.io", description="Address of the Track API; https://track-eu.customer.io in the EU.")
    app_url: str = Field("https://api.customer.io", description="Address of the App API; https://api-eu.customer.io in the EU.")

    @field_validator("track_url", "app_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)


class CustomerIoDestination:
    """Delivers audiences as people in manual segments."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="customerio",
        title="Customer.io",
        description="Creates and updates people and keeps a manual segment per audience.",
        kinds=("customerio",),
        api=">=1,<2",
        docs_url="https://docs.customer.io/api/track/",
        limits=(*load_spec(FOLDER / "http.yaml").limits, *load_spec(FOLDER / "app.yaml").limits),
        capabilities=frozenset({Capability.CONTAINERS, Capability.ERASE}),
    )
    config_model: ClassVar[type[Config]] = CustomerIoConfig

    def __init__(self, config: CustomerIoConfig) -> None:
        self._config = config
        self._segments = Containers()

    def objects(self) -> Sequence[ObjectDef]:
        about = "People in the segment of an audience; fields are attributes."
        spec = self._track.spec
        limits = {"max_bytes": spec.endpoints["people"].max_bytes, "granularity": Granularity.FAILURES, "concurrency": spec.at_once.n}
        return [ObjectDef(PEOPLE, self._config.match_key, 1_000, about, idempotency=Idempotency.ABSOLUTE, **limits)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        check_object("Customer.io", object, PEOPLE)
        return deliver_turns(batch, lambda audience, operations: self._turn(audience, operations, context))

    def ensure_container(self, object: str, audience: str, context: Context) -> Container:
        check_object("Customer.io", object, PEOPLE)
        name = f"{self._config.segment_prefix}{audience}"
        listed = self._app.call("segments", context)
        check_reply("Customer.io", listed)
        same = [one["id"] for one in listed.json["segments"] if one.get("name") == name and one.get("type", "manual") == "manual"]
        if same:
            return Container(str(min(same)), created=False)
        made = self._app.call(
            "make_segment", context, json={"segment": {"name": name, "description": "An audience; its members are kept from outside."}}
        )
        check_reply("Customer.io", made)
        return Container(str(made.json["segment"]["id"]), created=True)

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        check_object("Customer.io", object, PEOPLE)
        rows = [self._row(key, "suppress", key) for key in dict.fromkeys(keys)]
        return deliver_rows(self._track, "people", rows, context, envelope=ENVELOPE)

    def check(self, context: Context) -> None:
        check_reply("Customer.io", self._app.call("segments", context))
        check_reply("Customer.io", self._track.call("region", context))

    @cached_property
    def _track(self) -> Api:
        secrets = {"username": self._config.site_id, "password": self._config.track_api_key.get_secret_value()}
        return Api(load_spec(FOLDER / "http.yaml", base_url=self._config.track_url), secrets, name="Customer.io")

    @cached_property
    def _app(self) -> Api:
        secrets = {"token": self._config.app_api_key.get_secret_value()}
        return Api(load_spec(FOLDER / "app.yaml", base_url=self._config.app_url), secrets, name="Customer.io")

    def _turn(self, audience: str, operations: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        """Operations of one audience and of different persons."""
        segment = self._segments.id(audience, lambda: self.ensure_container(PEOPLE, audience, context).remote_id)
        outcomes: dict[str, Outcome] = {}
        adds = (one for one in operations if one.kind is not OpKind.REMOVE)
        rows = rows_of(adds, lambda one: self._row(one.op_id, "identify", one.key, one.fields), outcomes)
        outcomes |= deliver_rows(self._track, "people", rows, context, envelope=ENVELOPE)
        identified = [one for one in operations if one.op_id in outcomes and outcomes[one.op_id].verdict is Verdict.ACKED]
        removals = [one for one in operations if one.kind is OpKind.REMOVE]
        moved = {**self._moved("add", segment, identified, context), **self._moved("remove", segment, removals, context)}
        if any(one.reason == GONE for one in moved.values()):
            self._segments.forget(audience)
        return {**outcomes, **moved}

    def _moved(self, change: Literal["add", "remove"], segment: str, operations: Sequence[Operation], context: Context) -> dict[str, Outcome]:
        """People put into the segment or taken out of it."""
        size = self._track.spec.endpoints[change].max_rows or 1
        outcomes: dict[str, Outcome] = {}
        for start in range(0, len(operations), size):
            part = operations[start : start + size]
            kind = "id" if self._config.match_key == "user_id" else "email"
            reply = self._track.call(change, context, path={"segment": segment}, query={"id_type": kind}, json={"ids": [one.key for one in part]})
            outcome = as_outcome(reply)
            if outcome.verdict is Verdict.REJECTED:  # a segment that does not take its members is no fault of theirs
                outcome = Outcome(Verdict.RETRY, GONE if reply.action is Action.SKIP_ROW else reply.reason)
            outcomes |= dict.fromkeys((one.op_id for one in part), outcome)
            if outcome.reason == GONE:
                return dict.fromkeys((one.op_id for one in operations[start:]), outcome) | outcomes
        return outcomes

    def _row(self, op_id: str, action: str, key: str, fields: Mapping[str, Any] | None = None) -> Row:
        content: dict[str, Any] = {"type": "person", "identifiers": {"id" if self._config.match_key == "user_id" else "email": key}, "action": action}
        if fields is not None:
            content["attributes"] = {name: "" if value is None else value for name, value in fields.items()}  # empty takes an attribute away
        return Row(op_id, row_text(content), unique=key.casefold(), person=key)
