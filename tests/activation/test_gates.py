"""At the moment of sending: what a plan made now would not send is held back, and nobody is disturbed at night."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import ibis
import pyarrow as pa
import pytest

from seg_assets.activation import Audience
from seg_assets.activation.gates import OUTDATED, Quiet, gate
from seg_assets.schema.tables import PLAN
from tests.activation.rules import ENGINE, NAMES, Case

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ADS = [Audience("vip", ("ads",))]


def planned(rows: list[dict[str, Any]]) -> ibis.Table:
    return ENGINE.from_arrow(pa.Table.from_pylist(rows, PLAN.schema.to_pyarrow()))


def held(before: list[dict[str, Any]], now: list[dict[str, Any]], at: datetime = NOON, quiet: Quiet | None = None) -> dict[str, str]:
    """Who is held back, and why."""
    names = {row["op_id"]: row["who"] for row in before}
    batch = pa.Table.from_pylist([{name: row[name] for name in ("op_id", "op", "person_id")} for row in before if row["blocked"] is None])
    return {names[op_id]: reason for op_id, reason in gate(planned(before), planned(now), quiet)(batch, at).items()}


def test_what_a_plan_made_now_would_send_too_is_let_through() -> None:
    rows = Case(("ann", "vip"), ("ben", "vip")).plan()
    assert held(rows, rows) == {}


def test_who_withdrew_consent_since_it_was_planned_is_held_back() -> None:
    case = Case(("ann", "vip"), ("ben", "vip"), allowed=[("ann", "ads"), ("ben", "ads")])
    before = case.plan(ADS)
    case.allowed = [("ben", "ads")]
    assert held(before, case.plan(ADS)) == {"ann": "no consent to ads"}


def test_who_was_suppressed_or_held_out_or_left_since_is_held_back() -> None:
    case = Case(("ann", "vip"), ("ben", "vip"), ("cat", "vip"))
    before = case.plan(suppress=("complained",))
    case.members = [("ann", "vip"), ("ann", "complained"), ("ben", "vip", True)]
    found = held(before, case.plan(suppress=("complained",)))
    assert found == {"ann": "suppressed: in the segment complained", "ben": OUTDATED, "cat": OUTDATED}


def test_who_reached_a_cap_since_is_held_back() -> None:
    case, caps = Case(("ann", "vip")), {"caps": {"cap": 1}}
    before = case.plan(added={"cap": {}}, **caps)
    assert held(before, case.plan(added={"cap": {"ann": 1}}, **caps)) == {"ann": "cap"}


def test_a_removal_is_held_back_when_the_person_is_a_member_again() -> None:
    case = Case(("ann", "vip")).deliver()
    case.members = []
    before = case.plan()
    case.members = [("ann", "vip")]
    assert held(before, case.plan()) == {"ann": OUTDATED}


NIGHT = Quiet(time(21), time(8), "Europe/Berlin", {NAMES["ben"]: "America/New_York", NAMES["cat"]: "Mars/Olympus"})


@pytest.mark.parametrize(
    ("hour", "who"),
    [(3, {"ann", "ben", "cat"}), (5, {"ann", "ben", "cat"}), (7, {"ben"}), (11, {"ben"}), (12, set()), (18, set()), (19, {"ann", "cat"})],
)
def test_nobody_is_added_at_night_where_they_are(hour: int, who: set[str]) -> None:
    rows = Case(("ann", "vip"), ("ben", "vip"), ("cat", "vip")).plan()
    found = held(rows, rows, NOON.replace(hour=hour), NIGHT)
    assert set(found) == who
    assert all(reason.startswith("quiet hours until 08:00 in ") for reason in found.values())


def test_quiet_hours_may_lie_within_a_day() -> None:
    rows = Case(("ann", "vip")).plan()
    noon = Quiet(time(12), time(14), "UTC")
    assert held(rows, rows, NOON, noon) == {"ann": "quiet hours until 14:00 in UTC"}
    assert held(rows, rows, NOON.replace(hour=14), noon) == {}


def test_updates_and_removals_do_not_wait_for_the_morning() -> None:
    case = Case(("ann", "vip"), ("ben", "vip"), tier={"ann": "gold"}).deliver()
    case.members, case.tier = [("ann", "vip")], {"ann": "silver"}
    rows = case.plan()
    assert {row["op"] for row in rows} == {"update", "remove"}
    assert held(rows, rows, NOON.replace(hour=3), NIGHT) == {}
