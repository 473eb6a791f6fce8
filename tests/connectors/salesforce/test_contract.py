"""Salesforce keeps the contracts, against the sandbox's stand-in; and what the contracts do not reach."""

from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from connectors.errors import DestinationError
from connectors.salesforce import SalesforceDestination, SalesforceSource
from connectors.salesforce.emulation import CLIENT, SECRET, USER, Salesforce
from connectors.salesforce.org import quoted
from connectors.sandbox.faults import Dial, Fault
from connectors.sandbox.server import serving
from connectors.testkit import DestinationContract, SourceContract
from connectors.types import Operation, OpKind, Verdict

AT = 1_767_000_000_000
"""Milliseconds, a whole second; when contacts were changed."""


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: Salesforce
    url: str

    def add(self, count, at=AT, start=0):
        """Makes contacts, all changed at one instant."""
        made = [self.emulation.new("Contact", {"Email": f"canary-{n}@example.org", "LastName": f"L{n}"}, at) for n in range(start, start + count)]
        self.emulation.store.save(made)
        return made

    def members(self, audience):
        """Contacts in a campaign: external id to fields."""
        store = self.emulation.store
        campaigns = [one.body["Id"] for one in store.select("Campaign") if one.body.get("Seg_Id__c") == audience]
        ids = {m.body["ContactId"] for m in store.select("CampaignMember") if m.body["CampaignId"] in campaigns and not m.body["IsDeleted"]}
        return {one.body["Seg_Id__c"]: one.body for one in store.select("Contact") if one.body["Id"] in ids}


@contextmanager
def serve(folder, now):
    emulation = Salesforce(folder / "salesforce.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


def settings(url):
    return {"base_url": url, "client_id": CLIENT, "client_secret": SECRET}


class AtSalesforce:
    calls = "/services/data/"
    renews = "/services/oauth2/"

    def serve(self, folder, clock):
        return serve(folder, clock.now)

    def config(self, url):
        return settings(url)


class TestContactsInCampaigns(AtSalesforce, DestinationContract):
    connector = SalesforceDestination
    fields = ("LastName", "MailingCity")
    in_order = True

    def held(self, vendor, audience):
        return vendor.members(audience)

    def refuse(self, vendor, key):
        vendor.emulation.faults.rejected_keys.add(key)


class TestContacts(AtSalesforce, SourceContract):
    connector = SalesforceSource

    @contextmanager
    def serve(self, folder, clock):
        """More than two pages of 200, the fewest Salesforce answers with."""
        with serve(folder, clock.now) as stand:
            stand.add(250, AT - 5_000)
            stand.add(203, AT, 250)
            yield stand

    def config(self, url):
        return settings(url) | {"page_size": 200}

    def grow(self, vendor):
        return len(vendor.add(3, AT, 9_000))

    def size(self, vendor):
        return vendor.emulation.store.count("Contact")


@pytest.fixture
def stand(tmp_path, clock):
    with serve(tmp_path, clock.now) as stand:
        yield stand


@pytest.fixture
def destination(stand):
    return SalesforceDestination(SalesforceDestination.config_model(**settings(stand.url)))


def adds(count, run="1", **fields):
    return [Operation(f"op-{run}-{n}", OpKind.ADD, "vip", f"u{n}", fields or {"LastName": "Doe"}) for n in range(count)]


def verdicts(outcomes):
    return {one.verdict for one in outcomes.values()}


def test_a_signed_assertion_opens_a_session_too(stand, context):
    key = stand.emulation.credentials()["private key (for JWT)"]
    config = {"base_url": stand.url, "client_id": CLIENT, "username": USER, "private_key": key}
    destination = SalesforceDestination(SalesforceDestination.config_model.model_validate(config))
    assert verdicts(destination.deliver("contacts", adds(2), context)) == {Verdict.ACKED}


@pytest.mark.parametrize("config", [{}, {"client_secret": "s", "private_key": "k", "username": "u"}, {"private_key": "k"}, {"username": "u"}])
def test_there_is_one_way_in(config):
    with pytest.raises(ValidationError, match="either"):
        SalesforceDestination.config_model.model_validate({"base_url": "https://x.my.salesforce.com", "client_id": "c", **config})


def test_deleted_contacts_are_told(stand, context):
    (first, _) = stand.add(2)
    source = SalesforceSource(SalesforceSource.config_model.model_validate(settings(stand.url)))
    *_, last = source.read("contacts", None, context)
    first.body["IsDeleted"], first.changed_at = True, AT + 1_000
    stand.emulation.store.save([first])
    (page,) = source.read("contacts", last.cursor, context)
    assert page.rows.select(["Email", "is_deleted"]).to_pylist() == [{"Email": "canary-0@example.org", "is_deleted": "true"}]


def test_a_new_contact_without_a_last_name_is_told_by_code(stand, destination, context):
    outcomes = destination.deliver("contacts", [*adds(1), Operation("bad", OpKind.ADD, "vip", "u9", {"MailingCity": "Graz"})], context)
    assert (outcomes["bad"].verdict, outcomes["bad"].reason) == (Verdict.REJECTED, "REQUIRED_FIELD_MISSING")
    assert set(stand.members("vip")) == {"u0"}


def test_a_field_that_is_no_external_id_stops_the_delivery(stand, context):
    config = SalesforceDestination.config_model.model_validate(settings(stand.url) | {"external_id": "LastName"})
    with pytest.raises(DestinationError, match="Salesforce refuses"):
        SalesforceDestination(config).deliver("contacts", adds(1), context)


def test_the_days_limit_is_not_waited_for(stand, destination, context, clock):
    destination.deliver("contacts", adds(1), context)
    body = b'[{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]'
    stand.emulation.faults.coming.append(Fault(status=403, body=body))
    (outcome,) = destination.deliver("contacts", adds(1, run="2"), context).values()
    assert (outcome.verdict, outcome.not_before.timestamp()) == (Verdict.RETRY, clock.time + 3_600)


@pytest.mark.parametrize("key", ["o'neil", "back\\slash", "x' OR Id != '"])
def test_keys_are_texts_in_queries_and_nothing_else(stand, destination, context, key):
    others = adds(2)
    destination.deliver("contacts", [*others, Operation("1", OpKind.ADD, "vip", key, {"LastName": "Doe"})], context)
    destination.deliver("contacts", [Operation("2", OpKind.REMOVE, "vip", key)], context)
    assert set(stand.members("vip")) == {one.key for one in others}
    assert quoted(key).count("'") - quoted(key).count("\\'") == 2


def test_no_row_is_lost_or_wrongly_acknowledged_whatever_goes_wrong(stand, destination, context, clock):
    destination.deliver("contacts", adds(1), context)
    stand.emulation.faults.turn(Dial(server_error=0.03, lost_after=0.03, unavailable=0.02, rejected=0.01, partial=0.02, expired_token=0.02))
    operations = adds(2_000)
    outcomes = {}
    for _ in range(20):
        todo = [one for one in operations if one.op_id not in outcomes or outcomes[one.op_id].verdict in {Verdict.RETRY, Verdict.IN_DOUBT}]
        for start in range(0, len(todo), 500):
            try:
                outcomes |= destination.deliver("contacts", todo[start : start + 500], context)
            except DestinationError:
                continue
        clock.time += 60
    rejected = {one.key for one in operations if outcomes[one.op_id].verdict is Verdict.REJECTED}
    acked = {one.key for one in operations if outcomes[one.op_id].verdict is Verdict.ACKED}
    assert {one.key for one in operations if stand.emulation.faults.refuses(one.key)} <= rejected
    assert len(acked) + len(rejected) == len(operations)
    assert set(stand.members("vip")) - {"u0"} == acked - {"u0"}
