"""The `marketo` destination: leads with their fields, and membership of a static list per audience.

A member is a lead (made or changed by e-mail address) that is on the audience's list. Who leaves is taken off the list and stays a lead; only `erase` deletes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

from pydantic import Field, SecretStr, field_validator

from connectors.http import Action, Api, Containers, Reply, Row, check_object, check_reply, deliver_rows, deliver_turns, load_spec, row_text, rows_of
from connectors.http.client import checked_url
from connectors.types import (
    ACKED,
    IN_DOUBT,
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

LEADS = "leads"
SPEC_FILE = Path(__file__).with_name("http.yaml")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
INPUT = ('{"input":[', "]}")
WORST_FIRST = (Verdict.IN_DOUBT, Verdict.RETRY, Verdict.REJECTED, Verdict.ACKED)


class MarketoConfig(Config):
    """A subscription."""

    base_url: str = Field(description="Address of the REST API without /rest, e.g. https://123-ABC-456.mktorest.com.")
    client_id: str = Field(description="Of an API-only user's custom service.")
    client_secret: SecretStr = Field(description="Of an API-only user's custom service.")
    folder: int = Field(ge=1, description="Id of the folder that new static lists are made in.")
    list_prefix: str = Field("", max_length=100, description="Written before an audience's name to make its list's name.")
    calls_per_day: int = Field(50_000, ge=1, description="Calls per day the subscription has.")

    @field_validator("base_url")
    @classmethod
    def _allowed(cls, url: str) -> str:
        return checked_url(url)


class MarketoDestination:
    """Delivers audiences as leads on static lists."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="marketo",
        title="Adobe Marketo Engage",
        description="Creates and updates leads and keeps a static list per audience.",
        kinds=("marketo",),
        api=">=1,<2",
        docs_url="https://experienceleague.adobe.com/developer/marketo",
        limits=load_spec(SPEC_FILE).limits,
        capabilities=frozenset({Capability.CONTAINERS, Capability.ERASE}),
    )
    config_model: ClassVar[type[Config]] = MarketoConfig

    def __init__(self, config: MarketoConfig) -> None:
        self._config = config
        self._lists = Containers()

    def objects(self) -> Sequence[ObjectDef]:
        about = "Leads on the list of an audience; fields are lead fields."
        size = self._api.spec.endpoints["leads"].max_bytes
        limits = {"max_bytes": size, "idempotency": Idempotency.ABSOLUTE, "granularity": Granularity.ROW, "concurrency": self._api.spec.at_once.n}
        return [ObjectDef(LEADS, "email", 900, about, **limits)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        check_object("Marketo", object, LEADS)
        return deliver_turns(batch, lambda audience, operations: self._turn(audience, operations, context))

    def ensure_container(self, object: str, audience: str, context: Context) -> Container:
        check_object("Marketo", object, LEADS)
        name = f"{self._config.list_prefix}{audience}"
        if (found := self._list(name, context)) is not None:
            return Container(found, created=False)
        form = urlencode({"folder": json.dumps({"id": self._config.folder, "type": "Folder"}), "name": name}).encode()
        made = self._api.call("make_list", context, headers=FORM, body=form)
        if (
            made.action is Action.SKIP_ROW and (found := self._list(name, context)) is not None
        ):  # made meanwhile, or by an attempt whose answer was lost
            return Container(found, created=False)
        check_reply("Marketo", made)
        return Container(str(made.json["result"][0]["id"]), created=True)

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        check_object("Marketo", object, LEADS)
        ids = self._found(keys, context)
        return dict.fromkeys(keys, ACKED) | self._changed("delete", {key: ids[key.casefold()] for key in keys if key.casefold() in ids}, context)

    def check(self, context: Context) -> None:
        self._list(f"{self._config.list_prefix}check", context)

    @cached_property
    def _api(self) -> Api:
        burst, day = load_spec(SPEC_FILE).budgets["subscription"].windows
        windows = [burst.model_dump(), day.model_copy(update={"n": self._config.calls_per_day}).model_dump()]
        spec = load_spec(SPEC_FILE, base_url=self._config.base_url, budgets={"subscription": {"windows": windows}})
        return Api(spec, {"client_id": self._config.client_id, "client_secret": self._config.client_secret.get_secret_value()}, name="Marketo")

    def _turn(self, audience: str, operations: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        """Operations of one audience and of different persons."""
        place = {"list": self._lists.id(audience, lambda: self.ensure_container(LEADS, audience, context).remote_id)}
        outcomes, ids = self._written([one for one in operations if one.kind is not OpKind.REMOVE], context)
        outcomes |= self._changed("add", ids, context, path=place)
        removals = {one.op_id: one.key.casefold() for one in operations if one.kind is OpKind.REMOVE}
        if removals:
            found = self._found(list(removals.values()), context)
            outcomes |= {op_id: ACKED for op_id, key in removals.items() if key not in found}  # who is no lead is on no list
            outcomes |= self._changed("remove", {op_id: found[key] for op_id, key in removals.items() if key in found}, context, path=place)
        if any(one.verdict is Verdict.REJECTED and one.reason.startswith("there is no such list") for one in outcomes.values()):
            self._lists.forget(audience)
            gone = Outcome(Verdict.RETRY, "the list is gone")
            return {op_id: gone if one.reason.startswith("there is no such list") else one for op_id, one in outcomes.items()}
        return outcomes

    def _written(self, adds: Sequence[Operation], context: Context) -> tuple[dict[str, Outcome], dict[str, list[int]]]:
        """Leads made or changed: outcomes as long as they are on no list, and ids by op_id."""
        ids: dict[str, list[int]] = {}
        outcomes: dict[str, Outcome] = {}

        def note(reply: Reply, batch: Sequence[Row]) -> None:
            results = reply.json.get("result") if isinstance(reply.json, dict) else None
            if isinstance(results, list) and len(results) == len(batch):
                ids.update({row.op_id: [one["id"]] for row, one in zip(batch, results, strict=True) if isinstance(one, dict) and "id" in one})

        rows = rows_of(adds, _lead, outcomes)
        envelope = (f'{{"action":"createOrUpdate","lookupField":"email",{INPUT[0][1:]}', INPUT[1])
        outcomes |= deliver_rows(self._api, "leads", rows, context, envelope=envelope, on_reply=note)
        written = {op_id: ids[op_id] for op_id, one in outcomes.items() if one.verdict is Verdict.ACKED and op_id in ids}
        return {op_id: IN_DOUBT if one.verdict is Verdict.ACKED else one for op_id, one in outcomes.items()}, written

    def _changed(self, endpoint: str, ids: Mapping[str, Sequence[int]], context: Context, **given: Any) -> dict[str, Outcome]:
        """Leads put on a list, taken off it, or deleted; of several leads of one operation the worst outcome counts."""
        owners: dict[str, set[str]] = defaultdict(set)
        for op_id, some in ids.items():
            for id in some:
                owners[str(id)].add(op_id)
        rows = (Row(id, f'{{"id":{id}}}', key=id) for id in owners)
        outcomes: dict[str, Outcome] = {}
        for id, one in deliver_rows(self._api, endpoint, rows, context, envelope=INPUT, **given).items():
            for op_id in owners[id]:
                outcomes[op_id] = min(one, outcomes.get(op_id, one), key=lambda outcome: WORST_FIRST.index(outcome.verdict))
        return outcomes

    def _found(self, emails: Sequence[str], context: Context) -> dict[str, list[int]]:
        """Ids of leads by e-mail address in lower case; there may be several."""
        size = self._api.spec.endpoints["find"].max_rows or 1
        found: dict[str, list[int]] = defaultdict(list)
        wanted = sorted({email.casefold() for email in emails})
        for start in range(0, len(wanted), size):
            query = {"filterType": "email", "filterValues": ",".join(wanted[start : start + size]), "fields": "id,email"}
            reply = self._api.call("find", context, query=query)
            check_reply("Marketo", reply)
            for lead in reply.json["result"]:
                found[str(lead["email"]).casefold()].append(lead["id"])
        return dict(found)

    def _list(self, name: str, context: Context) -> str | None:
        reply = self._api.call("lists", context, query={"name": name})
        check_reply("Marketo", reply)
        return next((str(one["id"]) for one in reply.json.get("result", ()) if one.get("name") == name), None)


def _lead(one: Operation) -> Row:
    return Row(one.op_id, row_text({**one.fields, "email": one.key}), unique=one.key.casefold(), person=one.key)
