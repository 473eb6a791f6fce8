"""Reading back: who is missing at a destination, and whose fields differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.types import Context, RemoteRow
from seg_assets.activation.drift import Drift, Member, drift, sample


class Mirror:
    """Says what it was given to hold: (audience, key) to fields."""

    def __init__(self, held: dict[tuple[str, str], dict[str, Any]]) -> None:
        self.held = held

    def read_back(self, object: str, audience: str, keys: Sequence[str], context: Context) -> Iterator[RemoteRow]:
        for key in reversed(keys):
            fields = self.held.get((audience, key))
            yield RemoteRow(key.upper(), fields is not None, fields or {})


def found(held: dict[tuple[str, str], dict[str, Any]], *members: Member) -> Drift:
    return drift(Mirror(held), "members", members, Context(datetime(2026, 7, 1, tzinfo=UTC), Path(), Path()))


ANN, BEN = Member("vip", "ann@example.com", {"tier": "gold", "orders": 3.0}), Member("vip", "ben@example.com", {"tier": None, "orders": True})


def test_what_is_held_as_it_was_told_is_no_drift() -> None:
    held = {("vip", ANN.key): {"tier": "gold", "orders": "3"}, ("vip", BEN.key): {"tier": "", "orders": "true"}}
    assert found(held, ANN, BEN) == Drift(2, 0, {})
    assert found(held, ANN, BEN).share == 0


def test_who_is_gone_is_missing_and_what_was_changed_differs() -> None:
    assert found({("vip", ANN.key): {"tier": "lead", "orders": 3}}, ANN, BEN) == Drift(2, 1, {"tier": 1})


def test_a_member_of_another_audience_is_missing_in_this_one() -> None:
    assert found({("lapsed", ANN.key): {}}, ANN).missing == 1


def test_a_field_the_destination_does_not_tell_is_not_compared() -> None:
    assert found({("vip", ANN.key): {}}, ANN) == Drift(1, 0, {})


def test_a_sample_is_the_same_whatever_the_order_and_changes_little_when_somebody_joins() -> None:
    persons = list(range(1000))
    chosen = sample(persons, 50, "crm")
    assert chosen == sample(persons[::-1], 50, "crm")
    assert len(set(chosen) - set(sample([*persons, 1000], 50, "crm"))) <= 1
    assert chosen != sample(persons, 50, "ads")


@pytest.mark.parametrize(("asked", "missing", "differing", "share"), [(0, 0, {}, 0.0), (10, 1, {}, 0.1), (10, 1, {"a": 3, "b": 2}, 0.3)])
def test_the_share_that_drifted_is_at_least_that_of_the_worst_cause(asked: int, missing: int, differing: dict[str, int], share: float) -> None:
    assert Drift(asked, missing, differing).share == share
