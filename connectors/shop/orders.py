"""The `orders` stream: order lines and returns from the back office, in its local time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import HOUR, NEVER, SECOND, Instants, Month
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import BAD_AMOUNTS, BAD_TIMES, DUPLICATES, FUTURE, UNKNOWN_EVENTS, Place, finish, garbage, plan, words
from connectors.shop.people import people, scribbled, user_ids
from connectors.shop.personas import CATEGORIES
from connectors.shop.population import Population
from connectors.shop.purchases import PRODUCTS, WEB
from connectors.shop.streams import ORDERS

SPELLINGS = ("order_completed", "Order Completed", "purchase", "order_refunded", "Order Refunded", "refund")
CHANNELS = ("store", "POS", "phone", "call", "web", "Website", "app", "android")
RATES = {
    "bad_time": 0.0008, "future_time": 0.0005, "unknown_event": 0.0008, "no_identifier": 0.0008, "garbage_amount": 0.002,
    "negative_amount": 0.0026, "duplicate": DUPLICATES,
}  # fmt: skip


def orders(config: ShopConfig, who: Population, month: Month, until: int) -> tuple[pa.Table, pa.Table]:
    """The rows of a block and month before `until`, and their defects."""
    rng = generator(config, Draws.ORDERS, who.block, month.index)
    made = who.orders
    order, line, refund, moment = _rows(who, month)
    total = len(order)
    planned = plan(rng, total, RATES, config.dirt)
    spelled = np.where(rng.random(total) < 0.08 * config.dirt, rng.integers(1, 3, total), 0)
    typed = rng.random(total)
    keep = np.flatnonzero(moment < until)
    order, line, refund, at = order[keep], line[keep], refund[keep], moment[keep]
    spelling, defects, person = spelled[keep], planned.where(keep), made.who[order]
    found = ~defects.rows("no_identifier")
    guest = found & ~who.account[person]
    address = text.gather(people(config, who.block).email, who.email_owner[person[guest]])
    local, twice = _local(config.timezone, at + np.where(defects.rows("future_time"), FUTURE, 0))
    bad, unknown, odd = (defects.rows(c) for c in ("bad_time", "unknown_event", "garbage_amount"))
    cents = np.where(defects.rows("negative_amount"), -made.cents[line], made.cents[line])
    table = pa.table(
        {
            "event_id": text.ids("ordr", (who.block << 26) + 2 * line + refund),
            "event_type": words(SPELLINGS, refund * 3 + spelling, unknown, UNKNOWN_EVENTS, keep),
            "event_time": text.put(text.fixed(text.wall_times(local)), bad, garbage(BAD_TIMES, keep[bad])),
            "user_id": user_ids(who.offset + person, made.second_account[order].astype(np.int64), found & ~guest),
            "email": text.spread(scribbled(typed[keep][guest], address, config.dirt), guest),
            "channel": text.words(CHANNELS, made.where[order] * 2 + (spelling > 0)),
            "product_id": text.ids("prod", made.product[line]),
            "category": text.words(CATEGORIES, made.product[line] // PRODUCTS),
            "cart_id": text.ids("cart", 2 * ((who.block << 26) + order), made.where[order] >= WEB),
            "order_id": text.ids("ordn", (who.block << 26) + order),
            "quantity": made.quantity[line],
            "revenue": text.put(text.amounts(cents), odd, garbage(BAD_AMOUNTS, keep[odd])),
            "currency": pa.repeat("EUR", len(keep)),
        },
        schema=ORDERS.schema,
    )
    return finish(table, "event_id", defects, Place("orders", month.label), {"ambiguous_time": twice})


def _rows(who: Population, month: Month) -> tuple[np.ndarray, np.ndarray, np.ndarray, Instants]:
    """Order, line, whether it is a return, and instant of each row of the month: every line ordered, and the first line of returned orders."""
    made = who.orders
    placed = np.flatnonzero((made.placed >= month.start) & (made.placed < month.end))
    back = np.flatnonzero((made.refunded_at >= month.start) & (made.refunded_at < month.end) & (made.refunded_at < NEVER))
    lines = np.diff(made.first)[placed]
    order = np.repeat(placed, lines)
    nth = np.arange(len(order)) - np.repeat(np.cumsum(lines) - lines, lines)
    refund = np.concatenate([np.zeros(len(order), np.int64), np.ones(len(back), np.int64)])
    return (
        np.concatenate([order, back]),
        np.concatenate([made.first[order] + nth, made.first[back]]),
        refund,
        np.concatenate([made.placed[order], made.refunded_at[back]]),
    )


def _local(zone: str, moments: Instants) -> tuple[Instants, np.ndarray]:
    """Local wall-clock times, and which of them exist twice (the hour the clocks go back). Offsets change on whole hours UTC at the earliest."""
    if not len(moments):
        return moments, np.zeros(0, dtype=bool)
    hour, where = np.unique(moments // HOUR, return_inverse=True)
    known = ZoneInfo(zone)
    offsets, doubled = [], []
    for number in hour.tolist():
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=number)).astimezone(known)
        offsets.append(round((local.utcoffset() or timedelta()).total_seconds()) * SECOND)
        doubled.append(local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset())
    return moments + np.array(offsets, dtype=np.int64)[where], np.array(doubled)[where]
