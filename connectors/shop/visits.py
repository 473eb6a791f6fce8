"""Visits to web site and app, as numbers: why, when, what happens in them. Built for a block and month at once, without a loop over persons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from connectors.shop.calendar import HOUR, LONGEST_VISIT, MINUTE, SECOND, Instants, Month, at_typical_hours, clocks, instant
from connectors.shop.campaigns import CLICKED, mailing
from connectors.shop.config import ShopConfig
from connectors.shop.personas import TASTES, column, pick, steps
from connectors.shop.population import LAPSED_VISITS, Population
from connectors.shop.purchases import PRODUCTS, products_near

AD, PAGE, SIGN_UP, SEARCH, LIST, VIEW, VIDEO, ADD, CART, CHECKOUT = range(10)
"""What happens in a visit, in this order."""
BROWSE, BUY, RESUME, FILL_EARLY, FROM_EMAIL, JOIN = range(6)
"""Why a visit takes place: to look around, to fill a cart and order it, to order a cart filled before, to fill that cart, from a campaign, to sign up."""


@dataclass(frozen=True)
class Visits:
    """Visits of a block in a month, one entry each; `first` and `product`, `quantity` hold the lines of their carts flat."""

    why: np.ndarray
    who: np.ndarray
    start: Instants
    length: Instants
    order: np.ndarray
    campaign: np.ndarray
    cart: np.ndarray
    category: np.ndarray
    first: np.ndarray
    product: np.ndarray
    quantity: np.ndarray

    def __len__(self) -> int:
        return len(self.who)

    @property
    def lines(self) -> np.ndarray:
        return np.diff(self.first)

    @property
    def buying(self) -> np.ndarray:
        return (self.why == BUY) | (self.why == RESUME)


@dataclass(frozen=True)
class Actions:
    """Events of visits by time within each: the visit's number, what happens, how often it happened in the visit before, when, whether the
    tracker knows the account by then, and the product (-1 for none)."""

    visit: np.ndarray
    kind: np.ndarray
    nth: np.ndarray
    at: Instants
    known: np.ndarray
    product: np.ndarray


def actions(rng: np.random.Generator, who: Population, visits: Visits) -> Actions:
    """What happens in the visits."""
    counts = _counts(rng, who, visits)
    flat, per_visit = counts.ravel(), counts.sum(axis=1)
    visit = np.repeat(np.arange(len(visits)), per_visit)
    kind = np.repeat(np.tile(np.arange(counts.shape[1], dtype=np.int8), len(visits)), flat)
    nth = np.arange(len(visit)) - np.repeat(np.cumsum(flat) - flat, flat)
    rank = np.arange(len(visit)) - np.repeat(np.cumsum(per_visit) - per_visit, per_visit)
    at = _times(rng, visits, visit, per_visit)
    known = rank >= _known_from(rng, who, visits, counts)[visit]
    return Actions(visit, kind, nth, at, known, _products(rng, visits, visit, kind, nth))


def visits_of(config: ShopConfig, rng: np.random.Generator, who: Population, month: Month) -> Visits:
    """The visits of a block in a month, by reason."""
    orders, n = who.orders, len(who)
    ordinary, _ = clocks(config)
    low, high = float(ordinary.even(month.start)), float(ordinary.even(month.end))
    browser = np.repeat(np.arange(n), rng.poisson(who.visit_rate / 365.25 * (high - low)))
    looks = at_typical_hours(rng, ordinary.instants(low + (high - low) * rng.random(len(browser))), who.browses_like[browser])
    going = (looks >= who.seen_from[browser]) & ((looks < who.alive_until[browser]) | (rng.random(len(browser)) < LAPSED_VISITS))
    browser, looks = browser[going], looks[going]
    buys = np.flatnonzero((orders.start >= month.start) & (orders.start < month.end) & orders.tracked)
    before = orders.start[buys] - (4 * HOUR + rng.random(len(buys)) * 60 * HOUR).astype(np.int64)
    early = (rng.random(len(buys)) < 0.12) & (before >= np.maximum(month.start, who.joined[orders.who[buys]]))
    mail = mailing(config, who, month)
    clicks = np.flatnonzero(mail.kind == CLICKED)
    joins = np.flatnonzero(who.account & (who.joined >= max(month.start, instant(config.start))) & (who.joined < month.end))
    parts = (
        _trips(BROWSE, browser, looks),
        _trips(BUY, orders.who[buys], orders.start[buys], order=buys),
        _trips(FILL_EARLY, orders.who[buys[early]], before[early], order=buys[early]),
        _trips(FROM_EMAIL, mail.who[clicks], mail.at[clicks] + 3 * SECOND, campaign=mail.campaign[clicks]),
        _trips(JOIN, joins, who.joined[joins] - 2 * MINUTE),
    )
    trips = Trips(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    trips = trips._replace(start=np.maximum(trips.start, month.start))
    favourite = rng.random(len(trips.why)) < 0.65
    category = np.where(favourite, who.favourite[trips.who], pick(rng, steps("likes"), who.likes_like[trips.who]))
    return _with_carts(rng, who, month, trips, category)


class Trips(NamedTuple):
    """Visits without their carts; order and campaign are -1 where there is none."""

    why: np.ndarray
    who: np.ndarray
    start: Instants
    order: np.ndarray
    campaign: np.ndarray


def _trips(why: int, who: np.ndarray, start: Instants, *, order: np.ndarray | None = None, campaign: np.ndarray | None = None) -> Trips:
    none = np.full(len(who), -1)
    return Trips(np.full(len(who), why, dtype=np.int8), who, start, none if order is None else order, none if campaign is None else campaign)


def _with_carts(rng: np.random.Generator, who: Population, month: Month, trips: Trips, category: np.ndarray) -> Visits:
    """Visits with the lines of their carts: those of the order where there is one, drawn ones for carts that are abandoned."""
    orders, (why, person, start, order, campaign) = who.orders, trips
    fills = (order < 0) & (rng.random(len(why)) < column("carts")[who.browses_like[person]])
    ordered = np.where(order >= 0, orders.first[order + 1] - orders.first[order], 0)
    lines = np.where(order >= 0, ordered, np.where(fills, np.minimum(rng.geometric(0.7, len(why)), 5), 0))
    first = np.concatenate([[0], np.cumsum(lines)])
    owner = np.repeat(np.arange(len(why)), lines)
    nth = np.arange(len(owner)) - first[owner]
    source = np.where(order[owner] >= 0, orders.first[order[owner]] + nth, 0)
    price = who.value_mean[person[owner]] * 100 * rng.lognormal(-0.2, 0.66, len(owner))
    drawn = products_near(rng, category[owner], price)
    of_order = order[owner] >= 0
    none = np.zeros(1, dtype=np.int64)
    product = np.where(of_order, (orders.product if len(orders.product) else none)[source], drawn)
    quantity = np.where(of_order, (orders.quantity if len(orders.quantity) else none)[source], 1)
    length = np.full(len(why), LONGEST_VISIT - 5 * MINUTE)
    buying = why == BUY
    length[buying] = (orders.placed - orders.start)[order[buying]] * 9 // 10
    cart = np.where(
        order >= 0,
        2 * ((who.block << 26) + order),
        np.where(fills, 2 * (((who.block * 256 + month.index) << 20) + np.arange(len(why))) + 1, -1),
    )
    why = np.where(buying & np.isin(order, order[why == FILL_EARLY]), RESUME, why).astype(np.int8)
    return Visits(why, person, start, length, order, campaign, cart, category, first, product, quantity)


def _counts(rng: np.random.Generator, who: Population, visits: Visits) -> np.ndarray:
    """How often each kind of event happens in each visit: visits x kinds."""
    n = len(visits)
    like = who.browses_like[visits.who]
    buying, lines = visits.buying, visits.lines
    counts = np.zeros((n, 10), dtype=np.int64)
    by_ad = np.isin(who.taste[visits.who], [TASTES.index("social"), TASTES.index("sms")])
    counts[:, AD] = (rng.random(n) < np.where(by_ad, 0.25, 0.05)) & (visits.why == BROWSE)
    counts[:, PAGE] = 1
    counts[:, SIGN_UP] = visits.why == JOIN
    counts[:, SEARCH] = rng.poisson(column("searches")[like] * 0.5)
    counts[:, LIST] = rng.random(n) < 0.35
    views = np.exp(np.log(column("views")[like]) - 0.5 + 0.95 * rng.standard_normal(n)).astype(np.int64)
    counts[:, VIEW] = np.maximum(np.minimum(views, 150), np.where(visits.why == RESUME, 0, lines))
    counts[:, VIDEO] = rng.poisson(column("videos")[like] * 0.6) * (counts[:, VIEW] > 0)
    counts[:, ADD] = np.where(visits.why == RESUME, 0, lines)
    counts[:, CART] = (lines > 0) & (buying | (rng.random(n) < 0.5))
    counts[:, CHECKOUT] = buying | ((counts[:, CART] > 0) & (visits.order < 0) & (rng.random(n) < 0.25))
    return counts


def _times(rng: np.random.Generator, visits: Visits, visit: np.ndarray, per_visit: np.ndarray) -> Instants:
    """When each event happens: pauses of half a minute, now and then much longer; the visit of an order ends shortly before it is placed."""
    pause = rng.standard_exponential(len(visit)) * (28 * SECOND)
    pause[rng.random(len(visit), dtype=np.float32) < 0.03] *= 32
    passed = np.cumsum(pause)
    ends = np.cumsum(per_visit)
    begin = np.where(ends > per_visit, passed[ends - per_visit], passed[:1] if len(passed) else 0.0)
    within = passed - begin[visit]
    total = np.maximum(within[ends - 1], 1.0) if len(visit) else np.zeros(len(visits))
    buying = visits.buying
    stretch = np.where(buying, visits.length / total, np.minimum(1.0, visits.length / total))
    return visits.start[visit] + (within * stretch[visit]).astype(np.int64)


def _known_from(rng: np.random.Generator, who: Population, visits: Visits, counts: np.ndarray) -> np.ndarray:
    """From which event of the visit on the tracker knows the account; beyond the visit when it never does."""
    n = len(visits)
    total = counts.sum(axis=1)
    buying = visits.buying
    chance = np.where(visits.why == FROM_EMAIL, 0.9, who.login[visits.who])
    logs_in = who.account[visits.who] & (visits.start >= who.joined[visits.who]) & (buying | (rng.random(n) < chance))
    looking = counts[:, :ADD].sum(axis=1)
    early = np.where(rng.random(n) < 0.5, 0, rng.random(n) * np.where(buying, looking, total)).astype(np.int64)
    sign_up = counts[:, :SIGN_UP].sum(axis=1)
    return np.where(visits.why == JOIN, sign_up, np.where(logs_in, early, total + 1))


def _products(rng: np.random.Generator, visits: Visits, visit: np.ndarray, kind: np.ndarray, nth: np.ndarray) -> np.ndarray:
    """The product of each event, -1 for none: a cart's own products first, then others of the category, some looked at twice running."""
    lines = visits.lines[visit]
    in_cart = ((kind == VIEW) | (kind == ADD)) & (nth < lines)
    product = np.full(len(visit), -1, dtype=np.int64)
    product[in_cart] = visits.product[(visits.first[visit] + nth)[in_cart]]
    other = np.flatnonzero(((kind == VIEW) | (kind == VIDEO)) & ~in_cart)
    n = len(other)
    shelf = np.clip(20 + 9 * rng.standard_normal(n, dtype=np.float32), 0, 39).astype(np.int64)
    nth_on_shelf = (10 * rng.random(n, dtype=np.float32) ** 2).astype(np.int64)
    product[other] = visits.category[visit[other]].astype(np.int64) * PRODUCTS + 10 * shelf + nth_on_shelf
    again = other[(kind[other] == VIEW) & (nth[other] > lines[other]) & (rng.random(n, dtype=np.float32) < 0.12)]
    product[again] = product[again - 1]
    return product
