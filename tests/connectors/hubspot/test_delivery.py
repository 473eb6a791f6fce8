"""Audiences into HubSpot, where the contract of destinations does not reach."""

from collections import Counter

import pytest
from pydantic import ValidationError

from connectors.errors import DestinationError
from connectors.hubspot.emulation import PRIVATE_APP_TOKEN
from connectors.sandbox.faults import Dial, Fault
from connectors.sandbox.limits import Window
from connectors.types import Operation, OpKind, Verdict
from tests.connectors.hubspot.stand import APP, KEY

OPEN = {Verdict.RETRY, Verdict.IN_DOUBT}


def adds(count, run="1", **fields):
    return [Operation(f"op-{run}-{n}", OpKind.ADD, "vip", f"p{n}@example.com", fields or {"firstname": f"P{n}"}) for n in range(count)]


def settled(destination, operations, context, clock):
    """Outcomes after as many deliveries as it takes, as the graph would repeat them."""
    outcomes = {}
    for _ in range(30):
        todo = [one for one in operations if outcomes.get(one.op_id) is None or outcomes[one.op_id].verdict in OPEN]
        if not todo:
            return outcomes
        for start in range(0, len(todo), 1_000):
            try:
                outcomes |= destination.deliver("members", todo[start : start + 1_000], context)
            except DestinationError:
                break
        clock.time += 60
    raise AssertionError(f"open after 30 runs: {Counter(one.verdict for one in outcomes.values())}")


@pytest.mark.parametrize("version", ["v3", "2025-09", "2026-03", "2026-09"])
@pytest.mark.parametrize("way_in", [KEY, APP], ids=["key", "app"])
def test_every_version_works_with_every_way_to_sign_in(stand, destination, context, version, way_in):
    outcomes = destination(**way_in, api_version=version).deliver("members", adds(3), context)
    assert {one.verdict for one in outcomes.values()} == {Verdict.ACKED}
    assert set(stand.members("vip")) == {"p0@example.com", "p1@example.com", "p2@example.com"}


@pytest.mark.parametrize(
    "settings",
    [{}, {"access_token": "t", "client_id": "c"}, {"client_id": "c", "client_secret": "s"}, {"access_token": "t", "base_url": "http://x.example"}],
)
def test_settings_that_can_not_work_are_refused(destination, settings):
    with pytest.raises(ValidationError):
        destination(**(settings or {"access_token": None}))


def test_no_row_is_lost_or_wrongly_acknowledged_whatever_goes_wrong(stand, destination, context, clock):
    stand.emulation.faults.turn(
        Dial(server_error=0.03, lost_after=0.02, lost_before=0.01, unavailable=0.02, too_many=0.02, rejected=0.01, partial=0.02)
    )
    operations = adds(2_000)
    outcomes = settled(destination(), operations, context, clock)
    refused = {one.key for one in operations if stand.emulation.faults.refuses(one.key)}
    assert refused
    assert {one.key for one in operations if outcomes[one.op_id].verdict is Verdict.REJECTED} == refused
    assert set(stand.members("vip")) == {one.key for one in operations} - refused


def test_the_accounts_limits_are_never_passed_and_nearly_reached(stand, destination, context, clock):
    stand.emulation.windows = {**stand.emulation.windows, "burst": Window(20, 10, "TEN_SECONDLY_ROLLING")}
    operations = adds(10_000)
    start, one = clock.time, destination(**KEY, calls_per_10s=20)
    for at in range(0, len(operations), 1_000):
        outcomes = one.deliver("members", operations[at : at + 1_000], context)
        assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.ACKED}
    times = [call.at for call in stand.emulation.seen]
    assert len(times) == 1 + 1 + 10_000 / 100 + 10_000 / 1_000, "a call was refused and sent again"
    assert max(sum(at <= other < at + 10 for other in times) for at in times) <= 20
    assert clock.time - start <= len(times) / 2 / 0.9


def test_fields_become_texts_and_none_clears(stand, destination, context):
    destination().deliver("members", adds(1, firstname="Ann", city="Graz", country="AT"), context)
    destination().deliver("members", adds(1, run="2", firstname=True, city=None, country=1.5), context)
    (row,) = stand.members("vip").values()
    assert (row["firstname"], row["city"], row["country"]) == ("true", "", "1.5")


def test_a_field_the_account_does_not_know_stops_the_delivery_and_says_so(stand, destination, context):
    with pytest.raises(DestinationError, match="no property of contacts"):
        destination().deliver("members", adds(2, shoe_size="42"), context)
    assert stand.members("vip") == {}


def test_who_is_no_contact_is_on_no_list(stand, destination, context):
    destination().deliver("members", adds(1), context)
    outcomes = destination().deliver("members", [Operation("r", OpKind.REMOVE, "vip", "nobody@example.com")], context)
    assert {one.verdict for one in outcomes.values()} == {Verdict.ACKED}


def test_who_leaves_stays_a_contact(stand, destination, context):
    destination().deliver("members", adds(1), context)
    destination().deliver("members", [Operation("r", OpKind.REMOVE, "vip", "p0@example.com")], context)
    assert stand.members("vip") == {}
    assert stand.emulation.store.count("contact") == 1


def test_an_erased_person_is_gone_and_can_not_be_made_again(stand, destination, context):
    destination().deliver("members", adds(1), context)
    destination().erase("members", ["p0@example.com"], context)
    assert stand.emulation.store.count("contact") == 0
    outcomes = destination().deliver("members", adds(1, run="2"), context)
    assert {one.verdict for one in outcomes.values()} == {Verdict.REJECTED}


def test_a_list_that_somebody_deleted_is_made_again(stand, destination, context):
    one = destination()
    one.deliver("members", adds(2), context)
    store = stand.emulation.store
    store.delete(store.find("list", "name", ["vip"])["vip"])
    assert {outcome.verdict for outcome in one.deliver("members", adds(2, run="2"), context).values()} == {Verdict.RETRY}
    assert {outcome.verdict for outcome in one.deliver("members", adds(2, run="2"), context).values()} == {Verdict.ACKED}
    assert len(stand.members("vip")) == 2


def test_lists_may_have_a_prefix(stand, destination, context):
    destination(**KEY, list_prefix="seg: ").deliver("members", adds(1), context)
    assert len(stand.members("seg: vip")) == 1


def test_the_days_limit_is_waited_for_in_hours_and_not_in_seconds(stand, destination, context, clock):
    one = destination()
    one.deliver("members", adds(1), context)
    body = b'{"status": "error", "policyName": "DAILY"}'
    stand.emulation.faults.coming.append(Fault(status=429, body=body))
    (outcome,) = one.deliver("members", adds(1, run="2"), context).values()
    assert outcome.verdict is Verdict.RETRY
    assert outcome.not_before.timestamp() == clock.time + 3_600


def test_a_refresh_token_is_spent_once_by_many_connectors(stand, destination, context, clock):
    stand.emulation.faults.turn(Dial(single_use_refresh=True))
    for run in range(3):
        outcomes = destination(**APP).deliver("members", adds(1, run=str(run)), context)
        assert {one.verdict for one in outcomes.values()} == {Verdict.ACKED}
        clock.time += 3_600


def test_no_secret_is_shown(destination):
    one = destination()
    assert PRIVATE_APP_TOKEN not in repr(one) + repr(vars(one))


def test_an_archived_contact_is_put_away_and_a_stranger_is_acknowledged(stand, destination, context):
    destination().deliver("members", adds(2), context)
    outcomes = destination().archive("members", ["p0@example.com", "nobody@example.com"], context)
    assert {key: one.verdict for key, one in outcomes.items()} == {"p0@example.com": Verdict.ACKED, "nobody@example.com": Verdict.ACKED}
    assert (stand.emulation.store.count("contact"), stand.emulation.store.count("archived")) == (1, 1)


def test_a_text_that_has_no_json_is_rejected_alone(stand, destination, context):
    broken = Operation("op-broken", OpKind.ADD, "vip", "broken@example.com", {"firstname": "\ud800"})
    outcomes = destination(**KEY).deliver("members", [*adds(120), broken], context)
    assert Counter(one.verdict for one in outcomes.values()) == {Verdict.ACKED: 120, Verdict.REJECTED: 1}
    assert outcomes["op-broken"].verdict is Verdict.REJECTED
