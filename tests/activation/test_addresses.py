"""Persons whose address changes: what was delivered under the earlier one does not stay behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.types import Context
from connectors.webhook.emulation import Running
from seg_assets.activation.ledger import Ledger
from seg_assets.activation.plan import GONE, LOST, MOVED

Make = Callable[..., Any]
OLD, NEW = "p1.canary@example.org", "new.canary@example.org"


def moves(shop: Any) -> None:
    shop.past[1], shop.emails[1] = shop.emails[1], NEW


@pytest.fixture
def told(world: Make, ledger: Ledger, served: Running, webhook: Make, context: Context) -> tuple[Any, Callable[[], Any]]:
    """A shop whose two members were delivered, and the next delivery."""
    shop = world(2)

    def deliver() -> dict[str, Any]:
        shop.deliver(ledger, webhook(served.url), context)
        return served.receiver.held.members("vip")

    assert set(deliver()) == {OLD, shop.emails[2]}
    return shop, deliver


def test_the_earlier_address_is_taken_out_and_then_the_new_one_added(told: Any, ledger: Ledger, operations: Make) -> None:
    shop, deliver = told
    moves(shop)
    assert operations(shop.planned(ledger), ("op", "person_id", "cause", "blocked")) == [("remove", 1, MOVED, None)]
    assert set(deliver()) == {shop.emails[2]}
    assert deliver() == shop.sendable()
    assert operations(shop.planned(ledger)) == []


def test_who_moves_and_leaves_is_taken_out_under_the_address_that_was_delivered(told: Any) -> None:
    shop, deliver = told
    moves(shop)
    shop.members["vip"].remove(1)
    assert set(deliver()) == {shop.emails[2]}


def test_who_has_no_address_any_more_is_taken_out(told: Any) -> None:
    shop, deliver = told
    shop.past[1] = shop.emails.pop(1)
    assert set(deliver()) == {shop.emails[2]}


def test_an_earlier_address_that_is_somebody_elses_now_stays(told: Any, ledger: Ledger, operations: Make) -> None:
    shop, deliver = told
    moves(shop)
    shop.members["vip"].add(3)
    shop.emails[3] = OLD
    rows = operations(shop.planned(ledger))
    assert [(op, person, bool(why)) for op, person, why in rows] == [("remove", 1, True), ("add", 3, False)]
    assert set(deliver()) == {OLD, shop.emails[2]}


def test_a_removal_waits_where_the_earlier_address_is_known_no_more(told: Any, ledger: Ledger, operations: Make) -> None:
    shop, deliver = told
    moves(shop)
    del shop.past[1]
    shop.members["vip"].remove(1)
    assert operations(shop.planned(ledger)) == [("remove", 1, LOST)]
    del shop.emails[1]
    assert operations(shop.planned(ledger)) == [("remove", 1, GONE)]
    assert OLD in deliver()


def test_who_leaves_by_empty_fields_is_emptied_under_the_earlier_address(told: Any) -> None:
    shop, deliver = told
    shop.tiers[1], shop.on_leave = "gold", "clear"
    assert deliver()[OLD] == {"tier": "gold"}
    moves(shop)
    assert deliver()[OLD] == {"tier": None}
    held = deliver()
    assert held[OLD] == {"tier": None}
    assert held[NEW] == {"tier": "gold"}


def test_what_an_earlier_version_wrote_down_is_not_sent_again(told: Any, ledger: Ledger, ledger_file: Path, operations: Make) -> None:
    shop, _ = told
    with sqlite3.connect(ledger_file) as database:
        database.execute("update committed set payload_hash = substr(payload_hash, 1, 32)")
    database.close()
    assert operations(shop.planned(ledger)) == []
    moves(shop)
    assert operations(shop.planned(ledger)) == [("update", 1, None)]
