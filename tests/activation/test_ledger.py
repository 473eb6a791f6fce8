"""The ledger: every operation with its state, and what the destination acknowledged; nothing else moves it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from connectors.types import Outcome, Verdict
from seg_assets.activation.claim import Claim
from seg_assets.activation.lease import BusyError, LostClaimError
from seg_assets.activation.ledger import Ledger
from seg_assets.errors import DeliveryError

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
ACKED, REJECTED, RETRY, IN_DOUBT = (Outcome(v) for v in (Verdict.ACKED, Verdict.REJECTED, Verdict.RETRY, Verdict.IN_DOUBT))


@pytest.fixture
def ledger(either_store: str) -> Ledger:
    return Ledger(either_store, "crm", "members")


def operation(op_id: str, op: str = "add", person: int = 1, generation: int = 1, audience: str = "vip") -> dict[str, Any]:
    return {"op_id": op_id, "op": op, "audience": audience, "person_id": person, "payload_hash": f"hash-{op_id}", "generation": generation}


def begun(claim: Claim, operations: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Operations taken up and about to be sent; their ids in the ledger."""
    doubts, known = claim.doubtful(), claim.take(pa.Table.from_pylist(list(operations)))
    older = [doubts.get((o["audience"], o["person_id"])) for o in operations]
    claim.begin([k.id for k in known], {k.id: old.id for k, old in zip(known, older, strict=True) if old and old.id != k.id})
    return {k.op_id: k.id for k in known}


def answered(claim: Claim, ids: Mapping[str, int], outcomes: Mapping[str, Outcome], **given: Any) -> None:
    told = {"repeatable": True, "version": "1"} | given
    claim.record({ids[op_id]: outcome for op_id, outcome in outcomes.items()}, {id: op_id for op_id, id in ids.items()}, **told)


def sent(ledger: Ledger, operations: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Outcome], **given: Any) -> None:
    with ledger.claim(AS_OF) as claim:
        ids = begun(claim, operations)
        answered(claim, ids, outcomes, **given)


def states(ledger: Ledger) -> dict[str, str]:
    rows = ledger.operations()
    return dict(zip(rows["op_id"].to_pylist(), rows["state"].to_pylist(), strict=True))


def held(ledger: Ledger) -> dict[int, str | None]:
    rows = ledger.committed()
    return dict(zip(rows["person_id"].to_pylist(), rows["payload_hash"].to_pylist(), strict=True))


def test_an_operation_that_is_begun_is_sending_and_in_doubt_for_whoever_comes_next(ledger: Ledger) -> None:
    with ledger.claim(AS_OF) as claim:
        begun(claim, [operation("a")])
        assert states(ledger) == {"a": "sending"}
    assert ledger.unsettled()["person_id"].to_pylist() == [1]
    with ledger.claim(AS_OF):
        assert states(ledger) == {"a": "in_doubt"}
    assert held(ledger) == {}


@pytest.mark.parametrize(("verdict", "state"), [("acked", "acked"), ("rejected", "rejected"), ("retry", "retry_wait"), ("in_doubt", "in_doubt")])
def test_only_an_acknowledgement_moves_what_is_held(ledger: Ledger, verdict: str, state: str) -> None:
    sent(ledger, [operation("a")], {"a": Outcome(Verdict(verdict))})
    assert states(ledger) == {"a": state}
    assert held(ledger) == ({1: "hash-a"} if verdict == "acked" else {})


def test_an_acknowledged_removal_leaves_a_mark_and_no_hash(ledger: Ledger) -> None:
    sent(ledger, [operation("a")], {"a": ACKED})
    sent(ledger, [operation("r", "remove", generation=2)], {"r": ACKED})
    assert held(ledger) == {1: None}


def test_an_operation_that_is_sent_again_keeps_one_row(ledger: Ledger) -> None:
    for _ in range(3):
        sent(ledger, [operation("a"), operation("b", person=2)], {"a": RETRY, "b": IN_DOUBT})
    assert states(ledger) == {"a": "retry_wait", "b": "in_doubt"}
    assert ledger.operations()["attempts"].to_pylist() == [3, 3]


def test_a_doubt_is_superseded_by_the_operation_that_takes_its_place(ledger: Ledger) -> None:
    sent(ledger, [operation("a"), operation("b", person=2)], {"a": IN_DOUBT, "b": IN_DOUBT})
    sent(ledger, [operation("r", "remove", generation=2)], {"r": RETRY})
    assert states(ledger) == {"a": "superseded", "b": "in_doubt", "r": "retry_wait"}
    assert ledger.unsettled().sort_by("person_id").select(["person_id", "op"]).to_pylist() == [
        {"person_id": 1, "op": "remove"},
        {"person_id": 2, "op": "add"},
    ]
    sent(ledger, [operation("r", "remove", generation=2)], {"r": ACKED})
    assert ledger.unsettled()["person_id"].to_pylist() == [2]
    assert ledger.states() == {"acked": 1, "in_doubt": 1}


@pytest.mark.parametrize("answer", [REJECTED, RETRY])
def test_a_doubt_lives_on_in_what_took_its_place_until_that_is_acknowledged(ledger: Ledger, answer: Outcome) -> None:
    sent(ledger, [operation("a")], {"a": IN_DOUBT})
    sent(ledger, [operation("r", "remove", generation=2)], {"r": answer}, repeatable=False)
    assert ledger.unsettled()["op"].to_pylist() == ["remove"]


def test_what_was_refused_or_put_off_for_certain_is_no_doubt(ledger: Ledger) -> None:
    sent(ledger, [operation("a"), operation("b", person=2)], {"a": REJECTED, "b": RETRY}, repeatable=False)
    assert ledger.unsettled().num_rows == 0


def test_two_operations_of_one_person_and_audience_are_never_under_way_at_once(ledger: Ledger) -> None:
    with ledger.claim(AS_OF) as claim:
        begun(claim, [operation("a")])
        second = claim.take(pa.Table.from_pylist([operation("b", "update", generation=2)]))
        with pytest.raises(IntegrityError):
            claim.begin([second[0].id], {})
    assert states(ledger) == {"a": "sending", "b": "planned"}


def test_a_rejection_stands_for_the_version_of_the_connector_that_met_it(ledger: Ledger) -> None:
    sent(ledger, [operation("a"), operation("b", person=2)], {"a": REJECTED, "b": REJECTED}, version="1")
    assert ledger.rejected("1")["op_id"].to_pylist() == ["a", "b"]
    assert ledger.rejected("2").num_rows == 0
    assert ledger.reopen(AS_OF, ["b"]) == 1
    assert ledger.rejected("1")["op_id"].to_pylist() == ["a"]
    assert ledger.reopen(AS_OF) == 1
    assert ledger.rejected("1").num_rows == 0


def test_what_an_earlier_plan_wanted_and_a_later_one_does_not_is_put_away(ledger: Ledger) -> None:
    gone = [operation("planned", person=1), operation("gated", person=2), operation("later", person=3), operation("doubt", person=4)]
    with ledger.claim(AS_OF) as claim:
        known = {k.op_id: k.id for k in claim.take(pa.Table.from_pylist(gone))}
        claim.hold({known["gated"]: "quiet hours"})
        claim.begin([known["later"], known["doubt"]], {})
        answered(claim, known, {"later": RETRY, "doubt": IN_DOUBT}, repeatable=False)
    with ledger.claim(AS_OF) as claim:
        begun(claim, [operation("again", person=1, generation=2)])
        claim.finish()
    assert states(ledger) == {"planned": "superseded", "gated": "expired", "later": "expired", "doubt": "in_doubt", "again": "sending"}
    with ledger.claim(AS_OF) as claim:
        assert [k.state for k in claim.take(pa.Table.from_pylist(gone[1:2]))] == ["expired"]
        assert states(ledger)["gated"] == "planned"


def test_somebody_can_decide_a_doubt(ledger: Ledger) -> None:
    sent(ledger, [operation("a"), operation("b", person=2), operation("c", person=3)], dict.fromkeys("abc", IN_DOUBT))
    assert ledger.settle({"a": True, "b": False, "stranger": True}, AS_OF) == 2
    assert states(ledger) == {"a": "acked", "b": "retry_wait", "c": "in_doubt"}
    assert held(ledger) == {1: "hash-a"}
    assert ledger.unsettled()["person_id"].to_pylist() == [3]


# One owner at a time


def test_a_second_delivery_of_the_same_object_is_refused_while_the_first_is_at_work(ledger: Ledger, either_store: str) -> None:
    again = Ledger(either_store, "crm", "members")
    with ledger.claim(AS_OF):
        with pytest.raises(BusyError, match="another delivery of members is under way"), again.claim(AS_OF, patience=0.01):
            pass
        with Ledger(either_store, "ads", "members").claim(AS_OF):
            pass
    with again.claim(AS_OF):
        pass


def lose_lock(store: str) -> None:
    """What an owner does not notice: its lock file is deleted, or its connection is cut."""
    if store.startswith("sqlite"):
        for lock in Path(f"{store.removeprefix('sqlite:///')}.locks").iterdir():
            lock.unlink()
    else:
        with sa.create_engine(store).connect() as connection:
            connection.exec_driver_sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")


def test_an_owner_that_was_replaced_writes_nothing_any_more(ledger: Ledger, either_store: str) -> None:
    with ledger.claim(AS_OF) as late:
        ids = begun(late, [operation("a")])
        lose_lock(either_store)
        with Ledger(either_store, "crm", "members").claim(AS_OF) as owner:
            assert owner.token > late.token
            for write in (
                lambda: answered(late, ids, {"a": ACKED}),
                lambda: late.begin(list(ids.values()), {}),
                lambda: late.hold({ids["a"]: "no"}),
                lambda: late.take(pa.Table.from_pylist([operation("b", person=2)])),
                late.finish,
            ):
                with pytest.raises(LostClaimError):
                    write()
    assert states(ledger) == {"a": "in_doubt"}
    assert held(ledger) == {}
    assert ledger.receipts().num_rows == 0


# Receipts


def test_receipts_tell_every_answer_in_order(ledger: Ledger) -> None:
    sent(ledger, [operation("a"), operation("b", person=2)], {"a": Outcome(Verdict.RETRY, "busy"), "b": ACKED})
    sent(ledger, [operation("a")], {"a": ACKED})
    told = [(r["seq"], r["op_id"], r["state"], r["reason"]) for r in ledger.receipts().to_pylist()]
    assert told == [(1, "a", "retry_wait", "busy"), (1, "b", "acked", None), (2, "a", "acked", None)]
    assert ledger.first_fault() is None


@pytest.mark.parametrize(
    ("tampering", "fault"),
    [
        ("update receipts set content = replace(content, 'acked', 'rejected') where seq = 2", 2),
        ("delete from receipts where seq = 2", 2),
        ("delete from receipts where seq = 3", 3),
        ("insert into receipts select target, 4, at, token, content, hash from receipts where seq = 3", 4),
        ("update receipts set at = '2020-01-01' where seq = 1", 1),
    ],
)
def test_a_receipt_that_was_tampered_with_is_found(ledger: Ledger, either_store: str, tampering: str, fault: int) -> None:
    for n in range(3):
        sent(ledger, [operation(f"op{n}", person=n)], {f"op{n}": ACKED})
    with sa.create_engine(either_store).begin() as connection:
        connection.exec_driver_sql(tampering)
    assert ledger.first_fault() == fault


# Keeping


def test_a_ledger_reopened_by_another_process_says_the_same(ledger: Ledger, either_store: str) -> None:
    sent(ledger, [operation("a")], {"a": ACKED})
    again = Ledger(either_store, "crm", "members")
    assert again.operations() == ledger.operations()
    assert again.committed() == ledger.committed()


def test_destinations_and_objects_do_not_see_each_other(ledger: Ledger, either_store: str) -> None:
    sent(ledger, [operation("a")], {"a": ACKED})
    for other in (Ledger(either_store, "ads", "members"), Ledger(either_store, "crm", "leads")):
        assert other.operations().num_rows == other.committed().num_rows == other.unsettled().num_rows == other.receipts().num_rows == 0
        assert other.states() == {}


def test_an_empty_ledger_has_typed_empty_tables(ledger: Ledger) -> None:
    for rows in (ledger.operations(), ledger.committed(), ledger.unsettled(), ledger.rejected(), ledger.receipts()):
        assert rows.num_rows == 0
        assert not any(str(f.type) == "null" for f in rows.schema)
    assert ledger.first_fault() is None


def test_a_batch_of_twenty_thousand_fits(ledger: Ledger) -> None:
    many = [operation(f"op{i}", person=i) for i in range(20_000)]
    sent(ledger, many, {o["op_id"]: ACKED for o in many})
    assert ledger.states() == {"acked": 20_000}
    assert ledger.committed().num_rows == 20_000


def an_older_ledger(store: str, statements: str) -> None:
    """A store as the given statements make it; each is what SQLite says, which Postgres understands but for numbering rows by itself."""
    text = statements if store.startswith("sqlite") else statements.replace("id INTEGER NOT NULL", "id BIGSERIAL NOT NULL")
    if store.startswith("sqlite"):
        Path(store.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    with sa.create_engine(store).begin() as connection:
        for statement in text.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))


def test_a_ledger_of_the_first_layout_is_brought_up_to_date_and_says_the_same(either_store: str) -> None:
    an_older_ledger(either_store, (Path(__file__).parent / "ledger_layout_1.sql").read_text())
    ledger = Ledger(either_store, "crm", "members")
    assert (
        ledger.states()
        == Ledger(either_store, "crm", "members").states()
        == {"acked": 1, "rejected": 1, "retry_wait": 1, "in_doubt": 1, "gated": 1, "planned": 1}
    )
    assert held(ledger) == {1: "1" * 32}
    assert ledger.unsettled()["person_id"].to_pylist() == [4]
    assert ledger.first_fault() is None
    again = {**operation(f"{5:032x}", person=5), "payload_hash": "5" * 32}
    sent(ledger, [again, operation("new", person=7)], {again["op_id"]: ACKED, "new": ACKED})
    assert held(ledger) == {1: "1" * 32, 5: "5" * 32, 7: "hash-new"}
    assert [(r["seq"], r["op_id"]) for r in ledger.receipts().to_pylist()][-2:] == [(2, again["op_id"]), (2, "new")]
    assert ledger.first_fault() is None


def test_a_ledger_brought_up_to_date_is_laid_out_like_a_new_one(tmp_path: Path) -> None:
    def layout(file: Path) -> list[tuple[str, str]]:
        Ledger(f"sqlite:///{file}", "crm", "members")
        with closing(sqlite3.connect(file)) as database:
            found = database.execute("select name, sql from sqlite_schema where sql is not null").fetchall()
        return sorted((name, " ".join(sql.split())) for name, sql in found)

    an_older_ledger(f"sqlite:///{tmp_path}/old/ops.sqlite", (Path(__file__).parent / "ledger_layout_1.sql").read_text())
    assert layout(tmp_path / "old" / "ops.sqlite") == layout(tmp_path / "new" / "ops.sqlite")


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ("create table ops(op_id text primary key, destination text, object text)", "too old"),
        ("create table layout(number integer primary key);\ninsert into layout values (999)", "later version of seg-assets .layout 999."),
    ],
)
def test_a_ledger_that_this_version_does_not_know_is_refused_in_words(ledger_file: Path, statements: str, words: str) -> None:
    an_older_ledger(f"sqlite:///{ledger_file}", statements)
    with pytest.raises(DeliveryError, match=words):
        Ledger(f"sqlite:///{ledger_file}", "crm", "members")
    with closing(sqlite3.connect(ledger_file)) as database:
        assert database.execute("select count(*) from sqlite_schema where type = 'table'").fetchone() == (1,), "nothing was changed"
