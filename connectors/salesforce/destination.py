"""The `salesforce` destination: contacts by an external id, and membership of a campaign per audience.

Contacts and campaigns are upserted by external ids that an administrator made (a text field, marked external id and unique); a second membership is refused
by Salesforce itself. So repeating changes nothing. Who leaves is taken out of the campaign and stays a contact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from connectors.errors import DestinationError
from connectors.http import (
    Action,
    Api,
    Containers,
    Reply,
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
from connectors.salesforce.bulk import BulkJobs
from connectors.salesforce.org import NAME, SPEC_FILE, SalesforceOrg, listed, org_api, quoted
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
    RemoteRow,
    Verdict,
)

CONTACTS = "contacts"
JOB = 20_000
"""Operations per bulk job: some 10 MB, far below the 100 MB a job takes."""
ENVELOPE = ('{"allOrNone":false,"records":[', "]}")
IDS_PER_QUERY = 100
"""Addresses of queries are limited; so many ids fit with room to spare."""


class SalesforceDestinationConfig(SalesforceOrg):
    """An org, and the fields that hold our ids."""

    match_key: Literal["user_id", "person_id", "email"] = Field("user_id", description="What is written into `external_id`.")
    external_id: str = Field("Seg_Id__c", pattern=NAME, description="Field of contacts and of campaigns: text, external id, unique.")
    campaign_prefix: str = Field("", max_length=40, description="Written before an audience's name to make its campaign's name.")


class SalesforceDestination:
    """Delivers audiences as contacts in campaigns."""

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="salesforce",
        title="Salesforce",
        description="Creates and updates contacts and keeps a campaign per audience.",
        kinds=("salesforce",),
        api=">=1,<2",
        docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections.htm",
        limits=load_spec(SPEC_FILE).limits,
        capabilities=frozenset({Capability.CONTAINERS, Capability.READ_BACK, Capability.BULK}),
    )
    config_model: ClassVar[type[Config]] = SalesforceDestinationConfig

    def __init__(self, config: SalesforceDestinationConfig) -> None:
        self._config = config
        self._campaigns = Containers()

    def objects(self) -> Sequence[ObjectDef]:
        about = "Contacts in the campaign of an audience; fields are contact fields, LastName among them."
        limits = {"max_job": JOB, "idempotency": Idempotency.ABSOLUTE, "granularity": Granularity.ROW, "concurrency": self._api.spec.at_once.n}
        return [ObjectDef(CONTACTS, self._config.match_key, 1_000, about, **limits)]

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        check_object("Salesforce", object, CONTACTS)
        return deliver_turns(batch, lambda audience, operations: self._turn(audience, operations, context))

    def ensure_container(self, object: str, audience: str, context: Context) -> Container:
        check_object("Salesforce", object, CONTACTS)
        name = f"{self._config.campaign_prefix}{audience}"
        record = {"attributes": {"type": "Campaign"}, self._config.external_id: name, "Name": name[:80], "IsActive": True}
        path = {"object": "Campaign", "field": self._config.external_id}
        reply = self._api.call("upsert", context, path=path, json={"allOrNone": False, "records": [record]})
        check_reply("Salesforce", reply)
        results = reply.json if isinstance(reply.json, list) else []
        if len(results) != 1 or not isinstance(results[0], dict) or not results[0].get("id"):
            raise DestinationError("Salesforce does not take the campaign", hint="the answer names no id; is the external id field there?")
        return Container(results[0]["id"], bool(results[0].get("created")))

    def read_back(self, object: str, audience: str, keys: Sequence[str], context: Context) -> Iterator[RemoteRow]:
        check_object("Salesforce", object, CONTACTS)
        contacts = self._contacts(keys, context)
        members = self._members(self._campaign(audience, context), list(contacts.values()), context)
        return (RemoteRow(key, contacts.get(key.casefold()) in members) for key in keys)

    def submit(self, object: str, job: str, batch: Sequence[Operation], context: Context) -> str:
        check_object("Salesforce", object, CONTACTS)
        if (found := self._jobs.known(job, context)) or not batch:
            return found
        adds = [one for one in batch if one.kind is not OpKind.REMOVE]
        left = self.deliver(object, [one for one in batch if one.kind is OpKind.REMOVE], context)
        return self._jobs.hand_in(job, adds, left, context)

    def poll(self, object: str, reference: str, context: Context) -> Mapping[str, Outcome] | None:
        done = self._jobs.done(reference, context)
        if done is None:
            return None
        outcomes = dict(done.outcomes)
        for audience in sorted({audience for _, audience in done.contacts.values()}):
            ids = {op_id: id for op_id, (id, for_) in done.contacts.items() if for_ == audience}
            outcomes |= self._joined(self._campaign(audience, context), ids, context)
        return outcomes

    def check(self, context: Context) -> None:
        for thing in ("Contact", "Campaign"):
            check_reply("Salesforce", self._api.call("query", context, query={"q": f"SELECT Id, {self._config.external_id} FROM {thing} LIMIT 1"}))

    @cached_property
    def _api(self) -> Api:
        return org_api(self._config)

    @cached_property
    def _jobs(self) -> BulkJobs:
        secret = self._config.client_secret or self._config.private_key
        return BulkJobs(self._api, self._config.external_id, secret.get_secret_value() if secret else "")

    def _campaign(self, audience: str, context: Context) -> str:
        return self._campaigns.id(audience, lambda: self.ensure_container(CONTACTS, audience, context).remote_id)

    def _turn(self, audience: str, operations: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        """Operations of one audience and of different persons."""
        campaign = self._campaign(audience, context)
        outcomes, ids = self._written([one for one in operations if one.kind is not OpKind.REMOVE], context)
        outcomes |= self._joined(campaign, ids, context)
        removals = {one.op_id: one.key.casefold() for one in operations if one.kind is OpKind.REMOVE}
        return outcomes | self._removed(campaign, removals, context) if removals else outcomes

    def _joined(self, campaign: str, ids: Mapping[str, str], context: Context) -> dict[str, Outcome]:
        """Contacts put into the campaign. `ids` are theirs, by op_id."""
        member = {"attributes": {"type": "CampaignMember"}, "CampaignId": campaign}
        rows = [Row(op_id, row_text({**member, "ContactId": id}), unique=id) for op_id, id in ids.items()]
        return deliver_rows(self._api, "create_members", rows, context, envelope=ENVELOPE)

    def _written(self, adds: Sequence[Operation], context: Context) -> tuple[dict[str, Outcome], dict[str, str]]:
        """Contacts made or changed: outcomes as long as they are in no campaign, and ids by op_id."""
        ids: dict[str, str] = {}
        outcomes: dict[str, Outcome] = {}

        def note(reply: Reply, batch: Sequence[Row]) -> None:
            if isinstance(reply.json, list) and len(reply.json) == len(batch):
                ids.update({row.op_id: one["id"] for row, one in zip(batch, reply.json, strict=True) if isinstance(one, dict) and one.get("id")})

        rows = rows_of(adds, self._contact, outcomes)
        path = {"object": "Contact", "field": self._config.external_id}
        outcomes |= deliver_rows(self._api, "upsert", rows, context, envelope=ENVELOPE, on_reply=note, path=path)
        written = {op_id: ids[op_id] for op_id, one in outcomes.items() if one.verdict is Verdict.ACKED and op_id in ids}
        return {op_id: IN_DOUBT if one.verdict is Verdict.ACKED else one for op_id, one in outcomes.items()}, written

    def _removed(self, campaign: str, removals: Mapping[str, str], context: Context) -> dict[str, Outcome]:
        """Contacts taken out of the campaign. `removals` are keys by op_id; who is not there is out already."""
        contacts = self._contacts(list(removals.values()), context)
        members = self._members(campaign, list(contacts.values()), context)
        due = {op_id: members[contacts[key]] for op_id, key in removals.items() if contacts.get(key) in members}
        outcomes = dict.fromkeys(removals, ACKED)
        size = self._api.spec.endpoints["delete"].max_rows or 1
        pairs = list(due.items())
        for start in range(0, len(pairs), size):
            part = pairs[start : start + size]
            reply = self._api.call("delete", context, query={"ids": ",".join(id for _, id in part), "allOrNone": "false"})
            gone = {one["id"] for one in reply.json if isinstance(one, dict) and one.get("success") is True} if reply.action is Action.OK else set()
            failed = Outcome(Verdict.RETRY, reply.reason or "not taken out of the campaign", as_outcome(reply).not_before)
            outcomes |= {op_id: ACKED if id in gone else failed for op_id, id in part}
        return outcomes

    def _contacts(self, keys: Sequence[str], context: Context) -> dict[str, str]:
        """Ids of contacts by external id in lower case."""
        field = self._config.external_id
        query = f"SELECT Id, {field} FROM Contact WHERE {field} IN "
        return {str(row[field]).casefold(): row["Id"] for row in self._selected(query, sorted(set(keys)), context)}

    def _members(self, campaign: str, contacts: Sequence[str], context: Context) -> dict[str, str]:
        """Ids of memberships in a campaign by the contact's id."""
        query = f"SELECT Id, ContactId FROM CampaignMember WHERE CampaignId = {quoted(campaign)} AND ContactId IN "
        return {row["ContactId"]: row["Id"] for row in self._selected(query, sorted(set(contacts)), context)}

    def _selected(self, query: str, values: Sequence[str], context: Context) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(values), IDS_PER_QUERY):
            reply = self._api.call("query", context, query={"q": query + listed(values[start : start + IDS_PER_QUERY])})
            check_reply("Salesforce", reply)
            found += reply.json["records"]
        return found

    def _contact(self, one: Operation) -> Row:
        content = {**one.fields, "attributes": {"type": "Contact"}, self._config.external_id: one.key}
        return Row(one.op_id, row_text(content), unique=one.key.casefold(), person=one.key)
