"""Braze keeps the contract of destinations, against the sandbox's stand-in; and what the contract does not reach."""

import json
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from connectors.braze import BrazeDestination
from connectors.braze.emulation import API_KEY, Braze
from connectors.sandbox.faults import Dial, Fault
from connectors.sandbox.server import serving
from connectors.testkit import DestinationContract
from connectors.types import Operation, OpKind, Verdict


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: Braze
    url: str

    def users(self, name, attribute="audiences", audience="vip"):
        """Users in an audience: identifier to attributes."""
        held = [user.body for user in self.emulation.store.select("user")]
        return {user[name]: user for user in held if audience in user.get(attribute, [])}


@contextmanager
def serve(folder, now):
    emulation = Braze(folder / "braze.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


class TestUsers(DestinationContract):
    connector = BrazeDestination
    fields = ("first_name", "tier")

    def serve(self, folder, clock):
        return serve(folder, clock.now)

    def config(self, url):
        return {"base_url": url, "api_key": API_KEY}

    def held(self, vendor, audience):
        return vendor.users("external_id", audience=audience)

    def refuse(self, vendor, key):
        vendor.emulation.faults.rejected_keys.add(key)


@pytest.fixture
def stand(tmp_path, clock):
    with serve(tmp_path, clock.now) as stand:
        yield stand


@pytest.fixture
def connect(stand):
    """Makes a destination with the given settings."""
    return lambda **settings: BrazeDestination(BrazeDestination.config_model(base_url=stand.url, api_key=API_KEY, **settings))


@pytest.fixture
def destination(connect):
    return connect()


def adds(count, **fields):
    return [Operation(f"op-{n}", OpKind.ADD, "vip", f"u{n}", fields) for n in range(count)]


def test_one_user_may_be_in_several_audiences(stand, destination, context):
    both = [Operation("1", OpKind.ADD, "vip", "ann"), Operation("2", OpKind.ADD, "lapsed", "ann"), Operation("3", OpKind.ADD, "lapsed", "bob")]
    destination.deliver("users", both, context)
    destination.deliver("users", [Operation("4", OpKind.REMOVE, "lapsed", "ann")], context)
    assert set(stand.users("external_id")) == {"ann"}
    assert set(stand.users("external_id", audience="lapsed")) == {"bob"}


def test_users_may_be_known_by_their_address(stand, connect, context):
    destination = connect(match_key="email", attribute="segments", max_objects=50)
    people = [Operation(f"{n}", OpKind.ADD, "vip", f"p{n}@example.com") for n in range(60)]
    destination.deliver("users", people, context)
    destination.deliver("users", [Operation("r", OpKind.REMOVE, "vip", "p0@example.com")], context)
    destination.erase("users", ["p1@example.com"], context)
    assert set(stand.users("email", "segments")) == {one.key for one in people[2:]}


def test_taking_off_somebody_unknown_makes_no_user(stand, destination, context):
    outcomes = destination.deliver("users", [Operation("1", OpKind.REMOVE, "vip", "nobody")], context)
    assert outcomes["1"].verdict is Verdict.ACKED
    assert stand.emulation.store.count("user") == 0


def test_none_takes_an_attribute_away_and_other_values_keep_their_type(stand, destination, context):
    destination.deliver("users", adds(1, tier="gold", points=5, active=True), context)
    destination.deliver("users", [Operation("2", OpKind.UPDATE, "vip", "u0", {"tier": None})], context)
    user = stand.users("external_id")["u0"]
    assert (user.get("tier"), user["points"], user["active"]) == (None, 5, True)


@pytest.mark.parametrize("errors", [["something about a row"], [{"type": "bad"}]])
def test_an_error_that_names_no_row_leaves_all_in_doubt(stand, destination, context, errors):
    body = json.dumps({"message": "success", "attributes_processed": 1, "errors": errors}).encode()
    stand.emulation.faults.coming.append(Fault(status=201, body=body))
    assert {one.verdict for one in destination.deliver("users", adds(2), context).values()} == {Verdict.IN_DOUBT}


def test_a_number_that_is_not_right_is_not_believed(stand, destination, context):
    stand.emulation.faults.coming.append(Fault(status=201, body=b'{"message": "success", "attributes_processed": 1}'))
    assert {one.verdict for one in destination.deliver("users", adds(2), context).values()} == {Verdict.IN_DOUBT}


def test_the_instant_a_limit_ends_is_waited_for(stand, destination, context, clock):
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(clock.time) + 5)}
    stand.emulation.faults.coming.append(Fault(status=429, headers=headers))
    assert {one.verdict for one in destination.deliver("users", adds(1), context).values()} == {Verdict.ACKED}
    assert sum(clock.slept) >= 5


def test_no_row_is_lost_or_wrongly_acknowledged_whatever_goes_wrong(stand, destination, context, clock):
    stand.emulation.faults.turn(Dial(server_error=0.03, lost_after=0.03, unavailable=0.01, rejected=0.01))
    operations = adds(5_000, tier="gold")
    outcomes = {}
    for _ in range(10):
        todo = [one for one in operations if one.op_id not in outcomes or outcomes[one.op_id].verdict in {Verdict.RETRY, Verdict.IN_DOUBT}]
        for start in range(0, len(todo), 1_500):
            outcomes |= destination.deliver("users", todo[start : start + 1_500], context)
    refused = {one.key for one in operations if stand.emulation.faults.refuses(one.key)}
    assert refused
    assert {one.key for one in operations if outcomes[one.op_id].verdict is Verdict.REJECTED} == refused
    assert set(stand.users("external_id")) == {one.key for one in operations} - refused
