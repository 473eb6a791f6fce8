"""Customer.io keeps the contract of destinations, against the sandbox's stand-in; and what the contract does not reach."""

import json
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from connectors.customerio import CustomerIoDestination
from connectors.customerio.emulation import APP_KEY, SITE_ID, TRACK_KEY, CustomerIo
from connectors.sandbox.faults import Dial, Fault
from connectors.sandbox.server import serving
from connectors.testkit import DestinationContract
from connectors.types import Operation, OpKind, Verdict

KEYS = {"site_id": SITE_ID, "track_api_key": TRACK_KEY, "app_api_key": APP_KEY}


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: CustomerIo
    url: str

    def members(self, name, identifier="id"):
        """People in a segment: identifier to attributes."""
        store = self.emulation.store
        ids = [member for one in store.select("segment") if one.body["name"] == name for member, _ in store.list_page(one.id)]
        return {person.body[identifier]: person.body["attributes"] for person in store.get("person", ids).values()}


@contextmanager
def serve(folder, now):
    emulation = CustomerIo(folder / "customerio.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


class TestPeople(DestinationContract):
    connector = CustomerIoDestination
    fields = ("first_name", "tier")
    yes = frozenset({b"{}"})

    def serve(self, folder, clock):
        return serve(folder, clock.now)

    def config(self, url):
        return {**KEYS, "track_url": url, "app_url": url, "match_key": "user_id"}

    def held(self, vendor, audience):
        return vendor.members(audience)

    def refuse(self, vendor, key):
        vendor.emulation.faults.rejected_keys.add(key)


@pytest.fixture
def stand(tmp_path, clock):
    with serve(tmp_path, clock.now) as stand:
        yield stand


@pytest.fixture
def destination(stand):
    return CustomerIoDestination(CustomerIoDestination.config_model(**KEYS, track_url=stand.url, app_url=stand.url))


def adds(count, run="1", **fields):
    return [Operation(f"op-{run}-{n}", OpKind.ADD, "vip", f"u{n}", fields) for n in range(count)]


def verdicts(outcomes):
    return {one.verdict for one in outcomes.values()}


def test_people_may_be_known_by_their_address(stand, context):
    settings = {**KEYS, "track_url": stand.url, "app_url": stand.url, "match_key": "email", "segment_prefix": "seg "}
    destination = CustomerIoDestination(CustomerIoDestination.config_model(**settings))
    people = [Operation(f"{n}", OpKind.ADD, "vip", f"p{n}@example.com") for n in range(3)]
    destination.deliver("people", people, context)
    destination.deliver("people", [Operation("r", OpKind.REMOVE, "vip", "p0@example.com")], context)
    destination.erase("people", ["p1@example.com"], context)
    assert set(stand.members("seg vip", "email")) == {"p2@example.com"}


def test_none_takes_an_attribute_away(stand, destination, context):
    destination.deliver("people", adds(1, tier="gold", points=5), context)
    destination.deliver("people", adds(1, run="2", tier=None), context)
    assert stand.members("vip") == {"u0": {"points": 5}}


def test_an_erased_person_is_gone_and_does_not_come_back(stand, destination, context):
    destination.deliver("people", adds(2), context)
    destination.erase("people", ["u0"], context)
    destination.deliver("people", adds(2, run="2"), context)
    assert set(stand.members("vip")) == {"u1"}
    assert stand.emulation.store.count("person") == 1


def test_a_segment_that_somebody_deleted_is_made_again(stand, destination, context):
    destination.deliver("people", adds(2), context)
    store = stand.emulation.store
    store.delete(store.select("segment"))
    assert verdicts(destination.deliver("people", adds(2, run="2"), context)) == {Verdict.RETRY}
    assert verdicts(destination.deliver("people", adds(2, run="2"), context)) == {Verdict.ACKED}
    assert len(stand.members("vip")) == 2


@pytest.mark.parametrize("body", [{}, {"errors": []}, {"errors": ["bad"]}, {"errors": [{"reason": "invalid"}]}])
def test_a_partial_success_that_does_not_name_its_failures_is_in_doubt(stand, destination, context, body):
    destination.deliver("people", adds(1), context)
    stand.emulation.faults.coming.append(Fault(status=207, body=json.dumps(body).encode()))
    assert verdicts(destination.deliver("people", adds(2, run="2"), context)) == {Verdict.IN_DOUBT}


def test_a_person_too_large_for_a_request_is_rejected_alone(stand, destination, context):
    large = Operation("large", OpKind.ADD, "vip", "u9", {"about": "x" * 600_000})
    outcomes = destination.deliver("people", [*adds(2), large], context)
    assert outcomes["large"].verdict is Verdict.REJECTED
    assert set(stand.members("vip")) == {"u0", "u1"}


def test_no_row_is_lost_or_wrongly_acknowledged_whatever_goes_wrong(stand, destination, context, clock):
    destination.deliver("people", adds(1), context)
    stand.emulation.faults.turn(Dial(server_error=0.03, lost_after=0.03, unavailable=0.01, rejected=0.01, partial=0.03))
    operations = adds(3_000, tier="gold")
    outcomes = {}
    for _ in range(15):
        todo = [one for one in operations if one.op_id not in outcomes or outcomes[one.op_id].verdict in {Verdict.RETRY, Verdict.IN_DOUBT}]
        for start in range(0, len(todo), 100):
            outcomes |= destination.deliver("people", todo[start : start + 100], context)
    refused = {one.key for one in operations if stand.emulation.faults.refuses(one.key)}
    assert refused
    assert {one.key for one in operations if outcomes[one.op_id].verdict is Verdict.REJECTED} == refused
    assert set(stand.members("vip")) - refused == {one.key for one in operations} - refused
