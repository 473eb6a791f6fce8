"""Who may be held: priorities, suppression, holdouts, caps, one person per address; and what stops removals."""

from __future__ import annotations

import pytest

from seg_assets.activation import Audience
from tests.activation.rules import Case

BOTH = ("vip", "lapsed")


def test_a_person_is_in_the_first_audience_only_where_audiences_exclude_each_other() -> None:
    case = Case(("ann", "vip"), ("ann", "lapsed"), ("ben", "lapsed"))
    assert case.does(BOTH, exclusive=True) == [("add", "ann", "vip"), ("add", "ben", "lapsed")]
    assert case.why_not(BOTH, exclusive=True) == {("ann", "lapsed"): "in the audience vip, which comes first"}
    assert case.does(BOTH[::-1], exclusive=True) == [("add", "ann", "lapsed"), ("add", "ben", "lapsed")]


def test_an_audience_that_may_not_have_a_person_leaves_them_to_the_next_one() -> None:
    case = Case(("ann", "vip"), ("ann", "lapsed"))
    assert case.does([Audience("vip", ("ads",)), "lapsed"], exclusive=True) == [("add", "ann", "lapsed")]


def test_who_is_held_out_of_the_first_audience_is_in_none_of_the_others() -> None:
    case = Case(("ann", "vip", True), ("ann", "lapsed"))
    assert case.does(BOTH, exclusive=True) == []
    assert case.does(BOTH) == [("add", "ann", "lapsed")]


def test_who_joins_an_audience_that_comes_first_moves_there() -> None:
    case = Case(("ann", "lapsed")).deliver(BOTH, exclusive=True)
    case.members.append(("ann", "vip"))
    assert case.does(BOTH, exclusive=True) == [("remove", "ann", "lapsed"), ("add", "ann", "vip")]


def test_who_is_suppressed_is_added_to_nothing_and_removed_ahead_of_everything_else() -> None:
    case = Case(("ann", "vip"), ("ben", "vip"), ("ben", "complained"))
    assert case.why_not(suppress=("complained",)) == {("ben", "vip"): "suppressed: in the segment complained"}
    case.deliver()
    row = next(row for row in case.plan(suppress=("complained",)) if row["who"] == "ben")
    assert (row["op"], row["urgent"], row["cause"]) == ("remove", True, "suppressed: in the segment complained")


def test_who_is_held_out_later_is_taken_out() -> None:
    case = Case(("ann", "vip")).deliver()
    case.members = [("ann", "vip", True)]
    assert case.does() == [("remove", "ann", "vip")]


def test_of_two_members_with_one_address_one_is_held() -> None:
    case = Case(("ann", "vip"), ("ben", "vip"))
    case.address["ann"] = case.address["ben"] = "shared"
    assert case.does() == [("add", "ann", "vip")]
    assert case.why_not() == {("ben", "vip"): "another member is reached by the same email"}


def test_who_is_held_already_keeps_a_shared_address() -> None:
    case = Case(("ben", "vip")).deliver()
    case.address["ann"] = "ben"
    case.members.append(("ann", "vip"))
    assert case.does() == []


def test_who_leaves_does_not_take_along_somebody_else_with_the_same_address() -> None:
    case = Case(("ann", "vip")).deliver()
    case.address["ben"] = "ann"
    case.members = [("ben", "vip")]
    assert case.does() == [("add", "ben", "vip")]
    assert case.why_not() == {("ann", "vip"): "another member is reached by the same email"}


@pytest.mark.parametrize(("added", "sent"), [({"ben": 2}, 2), ({"ann": 1}, 1)])
def test_additions_beyond_a_cap_are_put_off_those_of_the_first_audiences_last(added: dict[str, int], sent: int) -> None:
    case = Case(("ann", "vip"), ("ann", "lapsed"), ("ann", "new"))
    audiences, caps = ("vip", "lapsed", "new"), {"cap: 2 additions in 7d": 2}
    found = case.plan(audiences, added={"cap: 2 additions in 7d": added}, caps=caps)
    assert [row["audience"] for row in found if row["blocked"] is None] == sorted(audiences[:sent])
    assert {row["blocked"] for row in found} - {None} == {"cap: 2 additions in 7d"}


def test_a_cap_lets_updates_and_removals_pass() -> None:
    case = Case(("ann", "vip"), ("ben", "vip"), tier={"ann": "gold"}).deliver()
    case.tier, case.members = {"ann": "silver"}, [("ann", "vip")]
    assert case.does(caps={"cap": 1}, added={"cap": {"ann": 9, "ben": 9}}) == [("update", "ann", "vip"), ("remove", "ben", "vip")]


def test_when_nobody_is_known_nobody_is_removed() -> None:
    case = Case(("ann", "vip")).deliver()
    case.members, case.known = [], []
    assert case.why_not() == {("ann", "vip"): "removal guard: nobody is known, so the source is taken to be empty by mistake"}


def test_stale_memberships_remove_nobody_but_those_who_withdrew() -> None:
    both = [Audience("vip", ("ads",))]
    case = Case(("ann", "vip"), ("ben", "vip"), allowed=[("ann", "ads"), ("ben", "ads")]).deliver(both)
    case.members, case.allowed = [("ann", "vip")], [("ben", "ads")]
    assert case.does(both, stale="the memberships are old") == [("remove", "ann", "vip")]
    assert case.why_not(both, stale="the memberships are old") == {("ben", "vip"): "removal guard: the memberships are old"}


def test_more_removals_than_the_number_allows_are_stopped() -> None:
    case = Case(("ann", "vip"), ("ben", "vip")).deliver()
    case.members = []
    assert len(case.does(max_remove_count=2)) == 2
    assert set(case.why_not(max_remove_count=1).values()) == {"removal guard: more than 1 members of the audience would be removed at once"}
