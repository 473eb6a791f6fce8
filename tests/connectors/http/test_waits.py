"""How long to wait."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.waits import MAX_WAIT, asked_wait, backoff

NOW = 1_767_225_600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("1.5", 1.5),
        ("99999999", MAX_WAIT),
        (str(NOW + 30), 30),
        (str((NOW + 30) * 1000), 30),
        (str(NOW - 30), 0),
        ("99999999999999999999", MAX_WAIT),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", MAX_WAIT),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
        ("1.2.3", None),
    ],
)
def test_seconds_dates_and_instants_are_understood_and_nonsense_is_not(text, seconds):
    assert asked_wait(text, NOW) == seconds


@given(st.text())
def test_no_text_whatever_breaks_it_or_asks_for_more_than_a_day(text):
    wait = asked_wait(text, NOW)
    assert wait is None or 0 <= wait <= MAX_WAIT


@given(st.integers(1, 10_000), st.randoms(use_true_random=False))
def test_backoff_stays_within_its_bounds(attempt, dice):
    assert 0.25 <= backoff(attempt, 0.5, 60, dice) <= 60


def test_backoff_doubles_and_is_the_same_for_the_same_seed():
    waits = [backoff(attempt, 1, 1_000, random.Random("seed")) for attempt in range(1, 6)]
    assert waits == [waits[0] * 2**n for n in range(5)]
