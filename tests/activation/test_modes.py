"""Sync modes, what happens to those who leave, and a full resync."""

from __future__ import annotations

import pytest

from seg_assets.activation import Audience
from tests.activation.rules import Case


def changed() -> Case:
    """Ann's tier has changed, Ben has left, Cat is new."""
    case = Case(("ann", "vip"), ("ben", "vip"), tier={"ann": "gold"}).deliver()
    case.members, case.tier = [("ann", "vip"), ("cat", "vip")], {"ann": "silver"}
    return case


@pytest.mark.parametrize(
    ("modes", "sent"),
    [
        ({}, {"add", "update", "remove"}),
        ({"create": False}, {"update", "remove"}),
        ({"update": False}, {"add", "remove"}),
        ({"on_leave": "nothing"}, {"add", "update"}),
    ],
)
def test_only_what_the_mode_names_is_sent(modes: dict, sent: set[str]) -> None:
    assert {op for op, _, _ in changed().does(**modes)} == sent


def test_who_leaves_stays_as_they_are_where_leaving_means_nothing() -> None:
    case = Case(("ann", "vip")).deliver(on_leave="nothing")
    case.members.clear()
    assert case.plan(on_leave="nothing") == []


def test_who_withdraws_consent_is_removed_even_where_leaving_means_nothing() -> None:
    case = Case(("ann", "vip"), allowed=[("ann", "ads")]).deliver([Audience("vip", ("ads",))], on_leave="nothing")
    case.allowed.clear()
    (row,) = case.plan([Audience("vip", ("ads",))], on_leave="nothing")
    assert (row["op"], row["urgent"], row["cause"], row["blocked"]) == ("remove", True, "no consent to ads", None)


def test_clearing_empties_the_fields_once_and_fills_them_when_the_person_is_back() -> None:
    case = Case(("ann", "vip"), tier={"ann": "gold"}).deliver(on_leave="clear")
    case.members.clear()
    assert [(row["op"], row["leave"]) for row in case.plan(on_leave="clear")] == [("update", "clear")]
    case.deliver(on_leave="clear")
    assert case.plan(on_leave="clear") == []
    case.members.append(("ann", "vip"))
    assert [(row["op"], row["leave"]) for row in case.plan(on_leave="clear")] == [("update", None)]


@pytest.mark.parametrize("way", ["archive", "erase"])
def test_the_whole_record_goes_with_the_last_audience(way: str) -> None:
    both = ("vip", "lapsed")
    case = Case(("ann", "vip"), ("ann", "lapsed")).deliver(both)
    case.members = [("ann", "lapsed")]
    assert [(row["op"], row["leave"]) for row in case.plan(both, on_leave=way)] == [("remove", None)]
    case.members = []
    assert [(row["op"], row["leave"]) for row in case.plan(both, on_leave=way)] == [("remove", way), ("remove", way)]


def test_the_record_stays_while_a_guard_keeps_one_of_its_audiences() -> None:
    both = ("vip", "lapsed")
    case = Case(("ann", "vip"), ("ann", "lapsed")).deliver(both)
    case.members = []
    rows = case.plan(both, on_leave="erase", max_remove_count=0)
    assert {row["leave"] for row in rows} == {None}


def test_a_resync_sends_every_member_again_and_still_removes_who_left() -> None:
    case = Case(("ann", "vip"), ("ben", "vip")).deliver()
    case.members = [("ann", "vip")]
    assert case.does(resync=True) == [("update", "ann", "vip"), ("remove", "ben", "vip")]
    assert case.does() == [("remove", "ben", "vip")]


def test_leaving_and_coming_back_is_a_new_addition() -> None:
    case = Case(("ann", "vip")).deliver()
    first = case.held[1, "vip"]
    case.members = []
    case.deliver()
    case.members = [("ann", "vip")]
    (row,) = case.plan()
    assert (row["op"], row["payload_hash"], row["generation"]) == ("add", first[0], first[1] + 2)


def test_a_field_that_may_be_skipped_is_no_change_when_it_has_no_value_from_the_start() -> None:
    told, untold = Case(("ann", "vip")).plan(), Case(("ann", "vip")).plan(skip=frozenset({"tier"}))
    assert told[0]["payload_hash"] != untold[0]["payload_hash"]
