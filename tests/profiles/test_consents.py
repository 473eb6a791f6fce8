"""What a person allows: the latest statement decides, and in doubt the one that forbids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_assets.lake import Engine
from seg_assets.profiles.consents import person_consents
from seg_assets.schema.tables import CONSENTS, IDENTIFIERS, PERSON_CONSENTS

ENGINE = Engine()
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
SHAPE = pa.schema([("person_id", pa.int64()), *(f for f in CONSENTS.schema.to_pyarrow() if f.name not in {c.name for c in IDENTIFIERS})])


def said(state: str, days_ago: float = 1, lasts: float | None = None, **more: Any) -> dict[str, Any]:
    at = AS_OF - timedelta(days=days_ago)
    return {"state": state, "stated_at": at, "expires_at": None if lasts is None else at + timedelta(days=lasts), **more}


def consents(*statements: dict[str, Any]) -> list[dict[str, Any]]:
    full = [{"consent_id": f"s{i}", "person_id": 1, "purpose": "marketing_email", "source": "cmp/s"} | s for i, s in enumerate(statements)]
    found = person_consents(ENGINE.from_arrow(pa.Table.from_pylist(full, SHAPE)), AS_OF)
    assert found.schema() == PERSON_CONSENTS.schema
    return ENGINE.connection.to_pyarrow(found).sort_by([("person_id", "ascending"), ("purpose", "ascending")]).to_pylist()


def granted(*statements: dict[str, Any]) -> bool:
    (row,) = consents(*statements)
    return row["granted"]


def test_nobody_who_said_nothing_is_there() -> None:
    assert consents() == []


def test_the_latest_statement_decides() -> None:
    assert granted(said("denied", 2), said("granted", 1))
    assert not granted(said("granted", 2), said("withdrawn", 1))


def test_of_two_statements_at_one_instant_the_one_that_forbids_decides() -> None:
    assert not granted(said("granted"), said("denied"))
    assert not granted(said("withdrawn"), said("granted"))


def test_a_statement_from_after_as_of_is_not_known_yet() -> None:
    assert granted(said("granted", 1), said("withdrawn", -0.001))
    assert consents(said("granted", -0.001)) == []


def test_a_grant_ends_at_the_instant_it_expires() -> None:
    assert granted(said("granted", 10, lasts=10.001))
    assert not granted(said("granted", 10, lasts=10))


def test_an_expired_grant_does_not_bring_back_an_older_one() -> None:
    assert not granted(said("granted", 30), said("granted", 10, lasts=5))


def test_of_two_grants_at_one_instant_the_one_that_ends_first_decides() -> None:
    assert not granted(said("granted", 10), said("granted", 10, lasts=5))


def test_persons_and_purposes_are_decided_apart() -> None:
    rows = consents(said("granted"), said("denied", purpose="advertising"), said("denied", person_id=2))
    assert [(r["person_id"], r["purpose"], r["granted"]) for r in rows] == [
        (1, "advertising", False),
        (1, "marketing_email", True),
        (2, "marketing_email", False),
    ]


def test_the_row_says_since_when_and_until_when() -> None:
    (row,) = consents(said("granted", 10, lasts=20))
    assert (row["since"], row["expires_at"]) == (AS_OF - timedelta(days=10), AS_OF + timedelta(days=10))


statement = st.builds(
    said, st.sampled_from(["granted", "denied", "withdrawn"]), st.integers(-2, 5), st.none() | st.integers(1, 6), person_id=st.integers(1, 3)
)


@settings(max_examples=15, deadline=None)
@given(statements=st.lists(statement, max_size=15))
def test_consents_are_what_plain_python_decides_whatever_the_row_order(statements: list[dict[str, Any]]) -> None:
    expected = {}
    for person in {s["person_id"] for s in statements}:
        past = [s for s in statements if s["person_id"] == person and s["stated_at"] <= AS_OF]
        last = [s for s in past if s["stated_at"] == max(p["stated_at"] for p in past)]
        if last:
            expected[person] = all(s["state"] == "granted" and (s["expires_at"] is None or s["expires_at"] > AS_OF) for s in last)
    for order in (statements, statements[::-1]):
        assert {r["person_id"]: r["granted"] for r in consents(*order)} == expected
