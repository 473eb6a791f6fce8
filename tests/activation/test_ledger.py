"""The ledger: every operation with its state, and what the destination acknowledged; nothing else moves it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.types import Outcome, Verdict
from seg_assets.activation.ledger import Ledger

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


def operation(op_id: str, op: str = "add", person: int = 1, generation: int = 1, audience: str = "vip") -> dict[str, object]:
    return {"op_id": op_id, "op": op, "audience": audience, "person_id": person, "payload_hash": f"hash-{op_id}", "generation": generation}


def states(ledger: Ledger) -> dict[str, str]:
    rows = ledger.operations()
    return dict(zip(rows["op_id"].to_pylist(), rows["state"].to_pylist(), strict=True))


def held(ledger: Ledger) -> dict[int, str | None]:
    rows = ledger.committed()
    return dict(zip(rows["person_id"].to_pylist(), rows["payload_hash"].to_pylist(), strict=True))


def test_an_operation_that_was_begun_is_in_doubt_until_its_outcome_is_recorded(ledger: Ledger) -> None:
    ledger.begin([operation("a")], AS_OF)
    assert states(ledger) == {"a": "in_doubt"}
    assert held(ledger) == {}


def test_an_operation_without_outcome_is_in_doubt(ledger: Ledger) -> None:
    both = [operation("a"), operation("b", person=2)]
    ledger.begin(both, AS_OF)
    ledger.record(both, {"a": Outcome(Verdict.ACKED)})
    assert states(ledger) == {"a": "acked", "b": "in_doubt"}


@pytest.mark.parametrize("verdict", Verdict)
def test_only_an_acknowledgement_moves_what_is_held(ledger: Ledger, verdict: Verdict) -> None:
    ledger.begin([operation("a")], AS_OF)
    ledger.record([operation("a")], {"a": Outcome(verdict)})
    assert held(ledger) == ({1: "hash-a"} if verdict is Verdict.ACKED else {})


def test_an_acknowledged_removal_leaves_a_mark_and_no_hash(ledger: Ledger) -> None:
    for step in (operation("a"), operation("r", "remove", generation=2)):
        ledger.begin([step], AS_OF)
        ledger.record([step], {str(step["op_id"]): Outcome(Verdict.ACKED)})
    assert held(ledger) == {1: None}


def test_outcomes_of_other_operations_are_ignored(ledger: Ledger) -> None:
    ledger.begin([operation("a")], AS_OF)
    ledger.record([operation("a")], {"a": Outcome(Verdict.ACKED), "stranger": Outcome(Verdict.ACKED)})
    assert states(ledger) == {"a": "acked"}


def test_an_operation_that_is_sent_again_keeps_one_row(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.begin([operation("a"), operation("b", person=2)], AS_OF)
    assert states(ledger) == {"a": "in_doubt", "b": "in_doubt"}


def test_a_doubt_is_superseded_once_a_later_operation_is_acknowledged(ledger: Ledger) -> None:
    ledger.begin([operation("a"), operation("b", person=2)], AS_OF)
    later = operation("r", "remove", generation=2)
    ledger.begin([later], AS_OF)
    assert ledger.unsettled().sort_by("person_id").select(["person_id", "op"]).to_pylist() == [
        {"person_id": 1, "op": "remove"},
        {"person_id": 2, "op": "add"},
    ]
    ledger.record([later], {"r": Outcome(Verdict.ACKED)})
    assert states(ledger) == {"a": "superseded", "b": "in_doubt", "r": "acked"}
    assert ledger.unsettled()["person_id"].to_pylist() == [2]
    assert ledger.states() == {"acked": 1, "in_doubt": 1}


def test_a_ledger_reopened_by_another_process_says_the_same(ledger: Ledger, ledger_file: Path) -> None:
    ledger.begin([operation("a")], AS_OF)
    ledger.record([operation("a")], {"a": Outcome(Verdict.ACKED)})
    again = Ledger(f"sqlite:///{ledger_file}", "crm", "members")
    assert again.operations() == ledger.operations()
    assert again.committed() == ledger.committed()


def test_destinations_and_objects_do_not_see_each_other(ledger: Ledger, ledger_file: Path) -> None:
    ledger.begin([operation("a")], AS_OF)
    ledger.record([operation("a")], {"a": Outcome(Verdict.ACKED)})
    for other in (Ledger(f"sqlite:///{ledger_file}", "ads", "members"), Ledger(f"sqlite:///{ledger_file}", "crm", "leads")):
        assert other.operations().num_rows == other.committed().num_rows == other.unsettled().num_rows == 0
        assert other.states() == {}


def test_an_empty_ledger_has_typed_empty_tables(ledger: Ledger) -> None:
    for rows in (ledger.operations(), ledger.committed(), ledger.unsettled()):
        assert rows.num_rows == 0
        assert not any(str(f.type) == "null" for f in rows.schema)


def test_a_batch_of_ten_thousand_fits(ledger: Ledger) -> None:
    many = [operation(f"op{i}", person=i) for i in range(10_000)]
    for _ in range(2):
        ledger.begin(many, AS_OF)
    ledger.record(many, {str(o["op_id"]): Outcome(Verdict.ACKED) for o in many})
    assert ledger.states() == {"acked": 10_000}
