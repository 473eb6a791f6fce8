"""The `braze` destination: users with their attributes, and the audiences they are in as an attribute that holds a list of names.

Adding a name to the list and taking it off are absolute statements, so repeating them changes nothing. Events are never sent: Braze would count them twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.http import Api, Row, as_outcome, check_object, deliver_rows, deliver_turns, load_spec, row_text, rows_of
from connectors.http.client import checked_url
from connectors.types import Capability, Config, ConnectorMeta, Context, Granularity, Idempotency, ObjectDef, Operation, OpKind, Outcome

USERS = "users"
SPEC_FILE = Path(__file__).with_name("http.yaml")
UNIDENTIFIED_FIRST = ("identified", "unidentified", "most_recently_updated")


class BrazeConfig(Config):
    """A workspace."""

    api_key: SecretStr = Field(description="REST API key with the permissions users.track and users.delete.")
    base_url: str = Field("https://rest.iad-01.braze.com", description="REST address of the instance the workspace is on.")
    match_key: Literal["user_id", "email"] = Field("user_id", description="Identifier Braze knows persons by; user_id is Braze's external_id.")
    attribute: str = Field("audiences", pattern=r"^[A-Za-z_]\w{0,99}$", description="Custom attribute that lists the audiences a user is in.")
    max_objects: int = Field(75, ge=1, le=75, description="Users per request: 75, or 50 for contracts of 2024 and 2025.")

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)


class BrazeDestination:
    """Delivers audiences as an attribute of users."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="braze",
        title="Braze",
        description="Sets user attributes and keeps the list of audiences each user is in.",
        kinds=("braze",),
        api=">=1,<2",
        docs_url="https://www.braze.com/docs/api/endpoints/user_data/post_user_track",
        limits=load_spec(SPEC_FILE).limits,
        capabilities=frozenset({Capability.ERASE}),
    )
    config_model: ClassVar[type[Config]] = BrazeConfig

    def __init__(self, config: BrazeConfig) -> None:
        self._config = config

    def objects(self) -> Sequence[ObjectDef]:
        limits = self._api.spec.endpoints["track"]
        about = "Users; an attribute lists their audiences, fields are attributes."
        return [
            ObjectDef(
                USERS,
                self._config.match_key,
                1_500,
                about,
                max_bytes=limits.max_bytes,
                idempotency=Idempotency.ABSOLUTE,
                granularity=Granularity.FAILURES,
                concurrency=self._api.spec.at_once.n,
            )
        ]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        check_object("Braze", object, USERS)
        return deliver_turns(batch, lambda _, operations: self._turn(operations, context))

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        check_object("Braze", object, USERS)
        size = self._api.spec.endpoints["delete"].max_rows or 1
        outcomes: dict[str, Outcome] = {}
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            by_email = {"email_addresses": [{"email": key, "prioritization": UNIDENTIFIED_FIRST} for key in part]}
            body = by_email if self._config.match_key == "email" else {"external_ids": list(part)}
            outcomes |= dict.fromkeys(part, as_outcome(self._api.call("delete", context, json=body)))
        return outcomes

    @cached_property
    def _api(self) -> Api:
        changes = {"base_url": self._config.base_url, "endpoints": {"track": {"max_rows": self._config.max_objects}}}
        return Api(load_spec(SPEC_FILE, **changes), {"token": self._config.api_key.get_secret_value()}, name="Braze")

    def _turn(self, operations: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        """Operations of different persons."""
        outcomes: dict[str, Outcome] = {}
        rows = rows_of(operations, self._user, outcomes)
        return deliver_rows(self._api, "track", rows, context, envelope=('{"attributes":[', "]}")) | outcomes

    def _user(self, one: Operation) -> Row:
        removal = one.kind is OpKind.REMOVE
        who = {"external_id" if self._config.match_key == "user_id" else "email": one.key}
        fields = {} if removal else dict(one.fields)
        audiences = {self._config.attribute: {"remove" if removal else "add": [one.audience]}}
        content = {**fields, **audiences, **who, "_update_existing_only": removal}
        return Row(one.op_id, row_text(content), unique=one.key.casefold(), person=one.key)
