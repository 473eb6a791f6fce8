"""What a block of persons buys, and when: BG/NBD purchases on the seasonal clock, with priced lines. Numbers only.

Purchases follow the BG/NBD story (Fader, Hardie, Lee 2005): while alive a person orders at a constant rate drawn from a gamma, and after
each order leaves for good with a probability drawn from a beta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from connectors.shop.calendar import DAY, HOUR, MINUTE, NEVER, Instants, at_typical_hours, clocks, instant
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.personas import TASTES, column, pick, steps

PRODUCTS = 400
"""Products per category, by price."""
DROPOUT = (0.6, 3.0)
"""Beta of the probability to leave after an order: people stay somewhat longer than in CDNOW (.793, 2.426), so that orders per buyer match UCI
Online Retail too."""
VALUE_BETWEEN, VALUE_WITHIN = 0.52, 0.66
"""Standard deviations of ln order value between and within persons; their squares relate as .46 to .72 (four data sets)."""
LONGEST_SPENT = 160 * MINUTE
"""Longest time from arriving to placing an order; with the quarter of an hour after joining it stays below `LONGEST_VISIT`."""
STORE, PHONE, WEB, APP = range(4)
"""Where an order is placed."""


@dataclass(frozen=True)
class Orders:
    """Orders of a block by person and time; lines in one flat array each (`first` has one entry more than there are orders)."""

    who: np.ndarray
    start: Instants
    placed: Instants
    where: np.ndarray
    tracked: np.ndarray
    second_account: np.ndarray
    refunded_at: Instants
    first: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    cents: np.ndarray


@dataclass(frozen=True)
class Shopper:
    """What decides purchases, one entry per person: fields as in `Population`, `buys` and `tastes` the personas resembled, `rate` the order rate,
    `leaves` the chance to leave, `level` the mean of ln order value."""

    buys: np.ndarray
    tastes: np.ndarray
    favourite: np.ndarray
    taste: np.ndarray
    joined: Instants
    account: np.ndarray
    second_account: np.ndarray
    rate: np.ndarray
    leaves: np.ndarray
    level: np.ndarray


@cache
def prices() -> np.ndarray:
    """Price in cents of a category's products, ascending: lognormal around 33 EUR, ending in 9 cents."""
    normal = NormalDist(3.5, 1.15)
    return np.array([max(199, round(math.exp(normal.inv_cdf((i + 0.5) / PRODUCTS)) * 10) * 10 - 1) for i in range(PRODUCTS)])


def products_near(rng: np.random.Generator, category: np.ndarray, cents: np.ndarray) -> np.ndarray:
    """A product of the category for about that price; of ten in the same price class the first ones are the favourites."""
    shelf = np.searchsorted(prices(), cents) // 10
    nth = (10 * rng.random(len(cents)) ** 2).astype(np.int64)
    return category.astype(np.int64) * PRODUCTS + np.clip(shelf, 0, PRODUCTS // 10 - 1) * 10 + nth


def price_of(product: np.ndarray) -> np.ndarray:
    return prices()[product % PRODUCTS]


def purchases(config: ShopConfig, block: int, by: Shopper) -> tuple[Orders, Instants]:
    """The orders of a block inside the period, and when each person left (an hour after coming for the last order, or `NEVER`)."""
    rng = generator(config, Draws.PURCHASES, block)
    who, start, last = _order_times(config, rng, by)
    start = np.maximum(at_typical_hours(rng, start, by.buys[who]), by.joined[who] + 15 * MINUTE)
    order = np.lexsort((start, who))
    who, start, last = who[order], start[order], last[order]
    alive_until = np.full(len(by.joined), NEVER)
    gone = np.zeros(len(by.joined), dtype=bool)
    gone[who[last]] = True
    final = np.flatnonzero(np.append(who[1:] != who[:-1], True)[: len(who)] & gone[who])
    alive_until[who[final]] = start[final] + HOUR
    n = len(who)
    in_store = np.where(by.taste == TASTES.index("store"), 0.75, 0.10)[who]
    in_app = np.where(by.taste == TASTES.index("app"), 0.7, 0.05)[who] * by.account[who]
    u = rng.random(n)
    where = np.select([u < in_store, u < in_store + 0.02, rng.random(n) < in_app], [STORE, PHONE, APP], WEB).astype(np.uint8)
    online = where >= WEB
    spent = np.minimum(rng.lognormal(math.log(11), 0.8, n) * MINUTE, LONGEST_SPENT).astype(np.int64)
    lines = np.minimum(rng.geometric(0.7, n), 5)
    first = np.concatenate([[0], np.cumsum(lines)])
    owner = np.repeat(who, lines)
    total = np.exp(by.level[owner] + VALUE_WITHIN * rng.standard_normal(n).repeat(lines))
    quantity = np.where(rng.random(len(owner)) < 0.85, 1, rng.integers(2, 5, len(owner)))
    category = np.where(rng.random(len(owner)) < 0.65, by.favourite[owner], pick(rng, steps("likes"), by.tastes[owner]))
    product = products_near(rng, category, total * 100 / lines.repeat(lines) / quantity)
    placed = np.where(online, start + np.maximum(spent, 2 * MINUTE), start)
    refunded = rng.random(n) < np.where(online, 0.05, 0.015)
    return Orders(
        who=who, start=start, placed=placed, where=where,
        tracked=online & (rng.random(n) < 0.9), second_account=by.second_account[who] & (rng.random(n) < 0.25),
        refunded_at=np.where(refunded, placed + ((3 + 27 * rng.random(n)) * DAY).astype(np.int64), NEVER), first=first, product=product, quantity=quantity,
        cents=price_of(product) * quantity,
    ), alive_until  # fmt: skip


def _order_times(config: ShopConfig, rng: np.random.Generator, by: Shopper) -> tuple[np.ndarray, Instants, np.ndarray]:
    """Person, time and "left after it" of every order, order number by order number over all persons still alive."""
    ordinary, peaked = clocks(config)
    begin, beyond = instant(config.start), instant(config.end) + DAY
    christmas = column("christmas")[by.buys]
    entry = np.maximum(by.joined, begin)
    even = np.where(christmas, peaked.even(entry), ordinary.even(entry))
    horizon = np.where(christmas, float(peaked.even(beyond)), float(ordinary.even(beyond)))
    per_day = by.rate / 365.25
    active = np.flatnonzero(by.rate > 0)
    newcomer = by.joined >= begin
    rounds: list[tuple[np.ndarray, Instants, np.ndarray]] = []
    while active.size:
        first = newcomer[active] & (len(rounds) == 0)
        gap = rng.standard_exponential(active.size) * np.where(first, 3.0, 1 / per_day[active])
        even[active] += gap
        active = active[even[active] < horizon[active]]
        at = np.where(christmas[active], peaked.instants(even[active]), ordinary.instants(even[active]))
        left = rng.random(active.size) < by.leaves[active]
        rounds.append((active, at, left))
        active = active[~left]
    who, at, left = (np.concatenate(parts) for parts in zip(*rounds, strict=True)) if rounds else (np.zeros(0, np.int64),) * 3
    return who, np.clip(at, begin, beyond - 1), left.astype(bool)
