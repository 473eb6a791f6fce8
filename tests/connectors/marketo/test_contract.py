"""Marketo keeps the contract of destinations, against the sandbox's stand-in; and what the contract does not reach."""

import json
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from connectors.errors import ConfigError, DestinationError
from connectors.marketo import MarketoDestination
from connectors.marketo.emulation import CLIENT, SECRET, Marketo
from connectors.sandbox.faults import Dial, Fault
from connectors.sandbox.server import serving
from connectors.testkit import DestinationContract
from connectors.types import Operation, OpKind, Verdict


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: Marketo
    url: str

    def members(self, name):
        """Leads on a list: e-mail address to fields."""
        store = self.emulation.store
        ids = [member for one in store.select("list") if one.body["name"] == name for member, _ in store.list_page(one.id)]
        return {lead.body["email"]: lead.body for lead in store.get("lead", ids).values()}


@contextmanager
def serve(folder, now):
    emulation = Marketo(folder / "marketo.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


def settings(url):
    return {"base_url": url, "client_id": CLIENT, "client_secret": SECRET, "folder": 1}


class TestLeads(DestinationContract):
    connector = MarketoDestination
    fields = ("firstName", "city")
    calls = "/rest/"
    renews = "/identity/"
    in_order = True

    def serve(self, folder, clock):
        return serve(folder, clock.now)

    def config(self, url):
        return settings(url)

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
    return MarketoDestination(MarketoDestination.config_model(**settings(stand.url)))


def adds(count, run="1", **fields):
    return [Operation(f"op-{run}-{n}", OpKind.ADD, "vip", f"p{n}@example.com", fields or {"city": "Graz"}) for n in range(count)]


def verdicts(outcomes):
    return {one.verdict for one in outcomes.values()}


def failure(*codes):
    return Fault(
        status=200, body=json.dumps({"requestId": "1#1", "success": False, "errors": [{"code": code, "message": "x"} for code in codes]}).encode()
    )


@pytest.mark.parametrize(("code", "pause"), [("606", 20), ("615", 2), ("604", 0.25), ("611", 0.25), ("713", 0.25)])
def test_a_passing_failure_inside_200_is_waited_out(stand, destination, context, clock, code, pause):
    destination.deliver("leads", adds(1), context)
    clock.slept.clear()
    stand.emulation.faults.coming.append(failure(code))
    assert verdicts(destination.deliver("leads", adds(1, run="2"), context)) == {Verdict.ACKED}
    assert clock.slept[0] >= pause


def test_the_days_limit_is_not_waited_for(stand, destination, context, clock):
    destination.deliver("leads", adds(1), context)
    stand.emulation.faults.coming.append(failure("607"))
    (outcome,) = destination.deliver("leads", adds(1, run="2"), context).values()
    assert (outcome.verdict, outcome.not_before.timestamp()) == (Verdict.RETRY, clock.time + 3_600)


@pytest.mark.parametrize(("code", "error"), [("603", ConfigError), ("609", DestinationError), ("9999", DestinationError)])
def test_a_refusal_inside_200_is_no_success(stand, destination, context, code, error):
    destination.deliver("leads", adds(1), context)
    stand.emulation.faults.coming.append(failure(code))
    with pytest.raises(error):
        destination.deliver("leads", adds(1, run="2"), context)


def test_an_ended_token_inside_200_is_renewed(stand, destination, context):
    destination.deliver("leads", adds(1), context)
    stand.emulation.faults.coming.append(Fault(expired=True, applied=True))
    assert verdicts(destination.deliver("leads", adds(1, run="2"), context)) == {Verdict.ACKED}


def test_an_unknown_field_is_told_row_by_row(stand, destination, context):
    outcomes = destination.deliver("leads", [*adds(1), Operation("bad", OpKind.ADD, "vip", "x@example.com", {"shoeSize": "42"})], context)
    assert (outcomes["bad"].verdict, outcomes["bad"].reason) == (Verdict.REJECTED, "1006")
    assert set(stand.members("vip")) == {"p0@example.com"}


def test_all_leads_of_an_address_leave_and_are_erased(stand, destination, context):
    store = stand.emulation.store
    destination.deliver("leads", adds(1), context)
    twin = store.make("lead", {"email": "p0@example.com"}, 0)
    store.save([twin])
    store.list_add(store.select("list")[0].id, [twin.id], 0)
    destination.deliver("leads", [Operation("r", OpKind.REMOVE, "vip", "P0@example.com")], context)
    assert stand.members("vip") == {}
    destination.erase("leads", ["p0@example.com"], context)
    assert store.count("lead") == 0


def test_a_list_that_somebody_deleted_is_made_again(stand, destination, context):
    destination.deliver("leads", adds(2), context)
    store = stand.emulation.store
    store.delete(store.select("list"))
    assert verdicts(destination.deliver("leads", adds(2, run="2"), context)) == {Verdict.RETRY}
    assert verdicts(destination.deliver("leads", adds(2, run="2"), context)) == {Verdict.ACKED}
    assert len(stand.members("vip")) == 2


def test_no_row_is_lost_or_wrongly_acknowledged_whatever_goes_wrong(stand, destination, context, clock):
    destination.deliver("leads", adds(1), context)
    stand.emulation.faults.turn(Dial(server_error=0.03, lost_after=0.03, unavailable=0.02, too_many=0.02, rejected=0.01, expired_token=0.02))
    operations = adds(3_000)
    outcomes = {}
    for _ in range(20):
        todo = [one for one in operations if one.op_id not in outcomes or outcomes[one.op_id].verdict in {Verdict.RETRY, Verdict.IN_DOUBT}]
        for start in range(0, len(todo), 300):
            try:
                outcomes |= destination.deliver("leads", todo[start : start + 300], context)
            except DestinationError:
                continue
        clock.time += 60
    refuses, leads = stand.emulation.faults.refuses, {lead.body["email"]: str(lead.id) for lead in stand.emulation.store.select("lead")}
    refused = {one.key for one in operations if refuses(one.key) or refuses(leads[one.key])}
    assert refused
    assert {one.key for one in operations if outcomes[one.op_id].verdict is Verdict.REJECTED} == refused
    assert set(stand.members("vip")) - refused == {one.key for one in operations} - refused
