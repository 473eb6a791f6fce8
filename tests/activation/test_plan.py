"""The plan: what must change at a destination, and why something that should does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from connectors.types import Outcome, Verdict
from seg_assets.activation.ledger import Ledger

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
Make = Callable[..., Any]
COLUMNS = ("op_id", "op", "audience", "person_id", "payload_hash", "generation")


def answered(ledger: Ledger, planned: Any, operations: Make, verdict: Verdict | None) -> None:
    """Sends the plan's open operations to nobody; all get the same answer (None: the process died before it came)."""
    rows = [dict(zip(COLUMNS, row, strict=False)) for row in operations(planned, (*COLUMNS, "blocked")) if row[-1] is None]
    _begun_and_told(ledger, rows, {row["op_id"]: verdict for row in rows})


def _begun_and_told(ledger: Ledger, rows: list[dict[str, Any]], verdicts: dict[str, Verdict | None]) -> None:
    if not rows:
        return
    with ledger.claim(AS_OF) as claim:
        doubts, known = claim.doubtful(), claim.take(pa.Table.from_pylist(rows))
        older = [doubts.get((row["audience"], row["person_id"])) for row in rows]
        claim.begin([k.id for k in known], {k.id: old.id for k, old in zip(known, older, strict=True) if old and old.id != k.id})
        told = {k.id: Outcome(verdict) for k in known if (verdict := verdicts[k.op_id])}
        claim.record(told, {k.id: k.op_id for k in known}, repeatable=True)


def test_new_members_are_added(world: Make, ledger: Ledger, operations: Make) -> None:
    assert operations(world(2).planned(ledger)) == [("add", 1, None), ("add", 2, None)]


def test_a_plan_that_was_acknowledged_is_empty(world: Make, ledger: Ledger, operations: Make) -> None:
    answered(ledger, world(2).planned(ledger), operations, Verdict.ACKED)
    assert operations(world(2).planned(ledger)) == []


def test_a_changed_field_is_an_update_and_a_member_that_left_a_removal(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(3)
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.tiers[1] = "gold"
    shop.members["vip"].remove(2)
    assert operations(shop.planned(ledger)) == [("update", 1, None), ("remove", 2, None)]


def test_the_same_plan_has_the_same_ids_and_every_operation_its_own(world: Make, ledger: Ledger, operations: Make) -> None:
    once, again = (operations(world(5).planned(ledger), ("op_id",)) for _ in range(2))
    assert once == again
    assert len(set(once)) == 5


def test_who_leaves_and_comes_back_is_added_under_a_new_id(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    ids = []
    for members in ({1}, set(), {1}, set(), {1}):
        shop.members["vip"] = members
        planned = shop.planned(ledger)
        ids += operations(planned, ("op", "op_id"))
        answered(ledger, planned, operations, Verdict.ACKED)
    assert [op for op, _ in ids] == ["add", "remove", "add", "remove", "add"]
    assert len({op_id for _, op_id in ids}) == 5


def test_without_an_address_nobody_is_added(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    shop.emails.clear()
    assert operations(shop.planned(ledger)) == [("add", 1, "no email to reach the person by")]


def test_without_every_consent_nobody_is_added(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(3)
    shop.needs["vip"] = ("marketing_email", "profiling")
    shop.consents = {(1, "marketing_email"), (1, "profiling"), (2, "marketing_email")}
    assert operations(shop.planned(ledger)) == [("add", 1, None), ("add", 2, "no consent to profiling"), ("add", 3, "no consent to marketing_email")]


def test_who_withdraws_consent_is_removed(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    shop.needs["vip"], shop.consents = ("marketing_email",), {(1, "marketing_email")}
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.consents.clear()
    assert operations(shop.planned(ledger)) == [("remove", 1, None)]


def test_a_segment_below_its_minimum_is_not_delivered_and_what_was_is_removed(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(2)
    shop.members["vip"] = {1}
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.members["vip"], shop.small = {1, 2}, {"vip"}
    assert operations(shop.planned(ledger)) == [("remove", 1, None), ("add", 2, "the segment is below its minimum size")]


def test_who_is_held_out_is_not_sent(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(2)
    shop.holdout = {2}
    assert operations(shop.planned(ledger)) == [("add", 1, None)]


def test_a_person_who_is_gone_can_not_be_removed_by_address(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.members["vip"].clear()
    shop.emails.clear()
    ((op, person, blocked),) = operations(shop.planned(ledger))
    assert (op, person) == ("remove", 1)
    assert blocked.startswith("the person is known no more")


def test_an_audience_that_is_no_longer_delivered_is_removed(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.members = {"other": set()}
    assert operations(shop.planned(ledger), ("op", "audience")) == [("remove", "vip")]


@pytest.mark.parametrize(("members", "gone", "stopped"), [(100, 20, False), (100, 21, True), (20, 9, False), (20, 10, True)])
def test_too_many_removals_at_once_are_stopped(world: Make, ledger: Ledger, operations: Make, members: int, gone: int, stopped: bool) -> None:
    shop = world(members)
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.members["vip"] -= set(range(1, gone + 1))
    shop.tiers[members] = "gold"
    planned = operations(shop.planned(ledger))
    assert {blocked is not None for op, _, blocked in planned if op == "remove"} == {stopped}
    assert [(op, blocked) for op, _, blocked in planned if op != "remove"] == [("update", None)]


def test_the_guard_counts_audiences_apart(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(100)
    shop.members["all"] = set(shop.members["vip"])
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.members["vip"] = set(range(1, 51))
    shop.members["all"].remove(1)
    planned = operations(shop.planned(ledger), ("audience", "blocked"))
    assert {audience for audience, blocked in planned if blocked is None} == {"all"}
    assert {audience for audience, blocked in planned if blocked} == {"vip"}


def test_a_rejected_operation_rests_until_something_changes(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    answered(ledger, shop.planned(ledger), operations, Verdict.REJECTED)
    assert operations(shop.planned(ledger)) == [("add", 1, "rejected before, and nothing has changed since")]
    shop.tiers[1] = "gold"
    assert operations(shop.planned(ledger)) == [("add", 1, None)]


def test_a_new_address_is_a_change(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    answered(ledger, shop.planned(ledger), operations, Verdict.REJECTED)
    shop.emails[1] = "another@example.org"
    assert operations(shop.planned(ledger)) == [("add", 1, None)]


@pytest.mark.parametrize("verdict", [None, Verdict.IN_DOUBT, Verdict.RETRY])
def test_an_operation_without_a_clear_answer_is_planned_again_under_its_id(
    world: Make, ledger: Ledger, operations: Make, verdict: Verdict | None
) -> None:
    planned = world(1).planned(ledger)
    answered(ledger, planned, operations, verdict)
    assert operations(world(1).planned(ledger), COLUMNS) == operations(planned, COLUMNS)


def test_who_leaves_while_the_addition_is_in_doubt_is_removed(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    answered(ledger, shop.planned(ledger), operations, Verdict.IN_DOUBT)
    shop.members["vip"].clear()
    assert operations(shop.planned(ledger)) == [("remove", 1, None)]


def test_who_comes_back_while_the_removal_is_in_doubt_is_sent_again(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    answered(ledger, shop.planned(ledger), operations, Verdict.ACKED)
    shop.members["vip"].clear()
    answered(ledger, shop.planned(ledger), operations, Verdict.IN_DOUBT)
    shop.members["vip"].add(1)
    assert operations(shop.planned(ledger)) == [("update", 1, None)]


def test_opposite_operations_in_doubt_never_share_an_id(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(1)
    ids = []
    for members in ({1}, set(), {1}, set(), {1}):
        shop.members["vip"] = members
        planned = shop.planned(ledger)
        ids += operations(planned, ("op_id",))
        answered(ledger, planned, operations, Verdict.IN_DOUBT)
    assert len(set(ids)) == 5


def test_person_ids_need_no_vault(world: Make, ledger: Ledger, operations: Make) -> None:
    shop = world(2)
    shop.match_key, shop.emails = "person_id", {}
    assert operations(shop.planned(ledger)) == [("add", 1, None), ("add", 2, None)]


def test_the_plan_says_of_each_person_what_the_small_shop_says(world: Make, small_shop: Make, tmp_path: Any, operations: Make) -> None:
    dice = random.Random(7)
    large, small = world(80), small_shop(80)
    ledgers = [Ledger(f"sqlite:///{tmp_path}/{name}.sqlite", "crm", "members") for name in ("large", "small")]
    met = set()
    for _ in range(5):
        tiers = {person: dice.choice([None, "gold"]) for person in range(1, 81) if dice.random() < 0.6}
        verdicts = {person: dice.choice([*Verdict, None]) for person in range(1, 81)}
        for shop in (large, small):
            shop.members["vip"], shop.tiers, shop.max_remove = set(tiers), tiers, 100.0
        planned = [dict(zip(COLUMNS, row, strict=False)) for row in operations(large.planned(ledgers[0]), (*COLUMNS, "blocked")) if row[-1] is None]
        simple = sorted(small.planned(ledgers[1]).to_pylist(), key=lambda r: r["person_id"])
        assert [(r["person_id"], r["op"], r["generation"]) for r in planned] == [(r["person_id"], r["op"], r["generation"]) for r in simple]
        met |= {(row["op"], row["generation"]) for row in simple}
        for ledger, rows in zip(ledgers, (planned, simple), strict=True):
            _begun_and_told(ledger, rows, {row["op_id"]: verdicts[row["person_id"]] for row in rows})
    assert len(met) > 8
