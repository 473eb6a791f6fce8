"""Bulk jobs of Salesforce: handed in once under our name, found again after a restart, an outcome for each operation."""

import pytest

from connectors.errors import DestinationError
from connectors.salesforce import SalesforceDestination
from connectors.sandbox.faults import Fault
from connectors.types import Operation, OpKind, Outcome, Verdict
from tests.connectors.salesforce.test_contract import serve, settings

KEPT, LOST = Fault(applied=True), Fault(applied=True, cut=True)


@pytest.fixture
def stand(tmp_path, context):
    with serve(tmp_path, context.clock.now) as stand:
        yield stand


@pytest.fixture
def restarted(stand):
    """A destination as a new process would make it."""
    return lambda: SalesforceDestination(SalesforceDestination.config_model(**settings(stand.url)))


def adds(count, audience="vip"):
    return [Operation(f"{audience}-{n}", OpKind.ADD, audience, f"canary-{n}", {"LastName": f"No {n}", "MailingCity": None}) for n in range(count)]


def finished(restarted, reference, context):
    """Outcomes, asked for by a new process each time."""
    for _ in range(5):
        if (outcomes := restarted().poll("contacts", reference, context)) is not None:
            return outcomes
    raise AssertionError("the job never ends")


def uploads(stand):
    return sum(seen.method == "PUT" for seen in stand.emulation.seen)


def test_a_job_survives_restarts_and_tells_each_operation(stand, restarted, context):
    stand.emulation.faults.rejected_keys.add("canary-2")
    reference = restarted().submit("contacts", "job-1", adds(5), context)
    assert restarted().submit("contacts", "job-1", [], context) == reference
    outcomes = finished(restarted, reference, context)
    assert {op_id for op_id, one in outcomes.items() if one.verdict is Verdict.ACKED} == {f"vip-{n}" for n in (0, 1, 3, 4)}
    assert outcomes["vip-2"].verdict is Verdict.REJECTED
    assert set(stand.members("vip")) == {f"canary-{n}" for n in (0, 1, 3, 4)}
    assert finished(restarted, reference, context) == outcomes


def test_the_same_name_is_handed_in_once(stand, restarted, context):
    references = {restarted().submit("contacts", "job-1", adds(3), context) for _ in range(3)}
    assert len(references) == 1
    assert uploads(stand) == 1
    assert restarted().submit("contacts", "job-2", [], context) == ""


def test_lost_answers_on_the_way_hand_nothing_in_twice(stand, restarted, context):
    destination = restarted()
    destination.check(context)  # signed in
    stand.emulation.faults.coming.extend([KEPT, LOST, KEPT, LOST])
    reference = destination.submit("contacts", "job-1", adds(3), context)
    assert {one.verdict for one in finished(restarted, reference, context).values()} == {Verdict.ACKED}
    assert stand.emulation.store.count("Contact", "body ->> 'Seg_Id__c' is not null") == 3


def test_a_job_whose_rows_never_arrived_is_given_up_and_can_be_sent_again(stand, restarted, context):
    destination = restarted()
    destination.check(context)
    stand.emulation.faults.coming.extend([KEPT, *[Fault(503)] * 9])
    with pytest.raises(DestinationError):
        destination.submit("contacts", "job-1", adds(2), context)
    stand.emulation.faults.coming.clear()
    context.clock.sleep(3600)
    reference = restarted().submit("contacts", "job-1", [], context)
    assert finished(restarted, reference, context) == dict.fromkeys(("vip-0", "vip-1"), Outcome(Verdict.RETRY, "the job ended as Open"))
    assert not stand.members("vip")


def test_who_leaves_and_who_is_in_two_audiences(stand, restarted, context):
    restarted().deliver("contacts", adds(2), context)
    leaving = Operation("gone", OpKind.REMOVE, "vip", "canary-0")
    reference = restarted().submit("contacts", "job-1", [leaving, *adds(2, "news"), *adds(2, "sale")], context)
    outcomes = finished(restarted, reference, context)
    assert set(outcomes) == {"gone", "news-0", "news-1", "sale-0", "sale-1"}
    assert {one.verdict for one in outcomes.values()} == {Verdict.ACKED}
    assert [set(stand.members(name)) for name in ("vip", "news", "sale")] == [{"canary-1"}, {"canary-0", "canary-1"}, {"canary-0", "canary-1"}]


def test_what_is_kept_names_nobody_and_ends_with_the_jobs(stand, restarted, context):
    reference = restarted().submit("contacts", "job-1", adds(2), context)
    (memory,) = context.home.rglob("*jobs.sqlite")
    assert b"canary" not in memory.read_bytes()
    assert memory.stat().st_mode & 0o077 == 0
    context.clock.sleep(8 * 86_400)
    assert restarted().submit("contacts", "job-1", [], context) == ""
    assert reference
