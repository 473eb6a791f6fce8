"""Asking within a budget: never more than it, never twice for one run, and every answer kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.types import Context, Enrichment, Match, Quote, Subject
from seg_assets.enrichment import Asked, answers

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
CONTEXT = Context(AS_OF, Path(), Path())
FIELDS = {"sex": "gender", "job": "job_title"}


class Oracle:
    """Finds those whose number is even, for two credits each; what else it shall answer is in `odd`."""

    def __init__(self, left: int | None = None, odd: Match = Match.NO_MATCH) -> None:
        self.left, self.odd, self.asked = left, odd, list[str]()

    def quote(self, subjects: int, fields: Sequence[str], context: Context) -> Quote:
        return Quote(Decimal(2 * subjects), "credits", 1, None if self.left is None else Decimal(self.left))

    def enrich(self, subjects: Sequence[Subject], fields: Sequence[str], context: Context) -> Iterator[Enrichment]:
        for one in subjects:
            self.asked.append(email := one.identifiers["email"])
            if int(email) % 2:
                yield Enrichment(one.ref, self.odd, reason="odd")
            else:
                yield Enrichment(one.ref, Match.MATCH, {"sex": "female", "job": None}, 0.9, Decimal(2))


def ask(oracle: Oracle, persons: int, budget: int) -> tuple[Asked, list[dict]]:
    asked = Asked()
    pages = answers(oracle, [str(n) for n in range(persons)], FIELDS, Decimal(budget), CONTEXT, asked)  # type: ignore[arg-type]
    return asked, [row for page in pages for row in page.rows.to_pylist()]


def test_answers_become_a_row_per_attribute_and_misses_a_row_each() -> None:
    asked, rows = ask(Oracle(), 2, 100)
    assert [(r["email"], r["match"], r["attribute"], r["value"], r["cost"]) for r in rows] == [
        ("0", "match", "gender", "female", "2"), ("1", "no_match", None, None, "0"),
    ]  # fmt: skip
    assert (asked.spent, asked.unit, asked.stopped, asked.found_share) == (2, "credits", "", 0.5)


@given(persons=st.integers(0, 1_200), budget=st.integers(0, 2_600), left=st.none() | st.integers(0, 2_600))
def test_a_budget_is_never_exceeded_and_nobody_is_asked_about_twice(persons: int, budget: int, left: int | None) -> None:
    oracle = Oracle(left)
    asked, rows = ask(oracle, persons, budget)
    assert asked.spent <= budget
    assert len(set(oracle.asked)) == len(oracle.asked) == asked.asked
    assert {row["email"] for row in rows} == set(oracle.asked)
    assert bool(asked.stopped) is (asked.asked < persons)


def test_an_answer_in_doubt_counts_as_paid_and_is_kept() -> None:
    asked, rows = ask(Oracle(odd=Match.IN_DOUBT), 2, 100)
    assert asked.spent == 4
    assert rows[1]["match"] == "in_doubt"


def test_who_is_to_be_asked_later_is_not_kept() -> None:
    asked, rows = ask(Oracle(odd=Match.RETRY), 4, 100)
    assert [row["email"] for row in rows] == ["0", "2"]
    assert asked.matches == {"match": 2, "retry": 2}


def test_a_vendor_that_answers_nobody_is_left_alone() -> None:
    class Down(Oracle):
        def enrich(self, subjects: Sequence[Subject], fields: Sequence[str], context: Context) -> Iterator[Enrichment]:
            self.asked += [one.ref for one in subjects]
            yield from (Enrichment(one.ref, Match.RETRY, reason="http 503") for one in subjects)

    oracle = Down()
    asked, rows = ask(oracle, 2_000, 10_000)
    assert (len(oracle.asked), rows) == (500, [])
    assert asked.stopped == "the vendor answers nobody now: http 503"


@pytest.mark.parametrize("persons", [0, 1])
def test_a_share_of_nobody_is_no_alarm(persons: int) -> None:
    assert ask(Oracle(odd=Match.RETRY), persons, 0)[0].found_share == 1.0
