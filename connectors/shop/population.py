"""A block of persons: who they are, how they behave, what they allow, which arm of the experiment they are in. Numbers only.

What they buy is decided in `purchases`; what a source would deliver is made in the module of each stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from connectors.shop.calendar import (
    DAY,
    EXPERIMENT,
    HOUR,
    MINUTE,
    NEVER,
    SECOND,
    Instants,
    at_typical_hours,
    campaigns,
    clocks,
    instant,
)
from connectors.shop.config import BLOCK, KEPT_BLOCKS, Draws, ShopConfig, generator
from connectors.shop.personas import CATEGORIES, NOISE_SHARE, PERSONAS, TASTES, column, pick, steps
from connectors.shop.purchases import DROPOUT, VALUE_BETWEEN, VALUE_WITHIN, Orders, Shopper, purchases

EFFECT_LOW, EFFECT_HIGH = 0.011, 0.074
"""Effect of the experiment on the chance of a visit within 14 days, by affinity (Hillstrom, women's e-mail)."""
HIGH_AFFINITY = ("fashion", "beauty", "home")
"""Favourite categories for which the experiment's effect is high."""
WINDOW = 14 * DAY
LAPSED_VISITS = 0.1
"""Share of visits that go on after a person has left."""


@dataclass(frozen=True)
class Population:
    """Persons `offset .. offset+len-1`, one array entry per person. Times are instants, `NEVER` when it never comes.

    Args:
        block, offset: number of the block and of its first person.
        persona: index into `personas.NAMES`.
        browses_like, likes_like: personas whose way to browse and whose likings the person has; they differ from `persona` for noise only.
        joined, seen_from, alive_until: when the person became known, may first visit, and leaves for good.
        order_rate, visit_rate: per year while alive; visits besides those that end in an order.
        leave_chance: probability to leave after an order.
        value_mean: expected order value in EUR.
        open_rate, send_share: share of marketing e-mails opened when fresh, and of campaigns received.
        mobile, app, login: shares of visits on a phone, in the app, and with a log-in.
        favourite, taste: index into `CATEGORIES` and `TASTES`.
        account, second_account: whether there is one.
        device_owner, email_owner: index in the block of who is behind the devices and the address; mostly the person.
        cookie_age: how long a cookie lives, microseconds.
        clock_skew: how far the device's clock is ahead.
        email_from, email_until, email_expires: when marketing e-mail is allowed, and when the grant ends by itself.
        unsubscribes: number of the campaign that ends it, -1 for none.
        arm: 0 not in the experiment, 1 control, 2 treatment.
        effect, lift: true effect on P(visit within 14 days), and the chance of an extra visit that brings it about.
        orders: the block's orders.
    """

    block: int
    offset: int
    persona: np.ndarray
    browses_like: np.ndarray
    joined: Instants
    seen_from: Instants
    alive_until: Instants
    order_rate: np.ndarray
    leave_chance: np.ndarray
    value_mean: np.ndarray
    visit_rate: np.ndarray
    open_rate: np.ndarray
    send_share: np.ndarray
    mobile: np.ndarray
    app: np.ndarray
    login: np.ndarray
    favourite: np.ndarray
    likes_like: np.ndarray
    taste: np.ndarray
    account: np.ndarray
    second_account: np.ndarray
    device_owner: np.ndarray
    email_owner: np.ndarray
    cookie_age: np.ndarray
    clock_skew: Instants
    email_from: Instants
    email_until: Instants
    email_expires: Instants
    unsubscribes: np.ndarray
    arm: np.ndarray
    effect: np.ndarray
    lift: np.ndarray
    orders: Orders

    def __len__(self) -> int:
        return len(self.persona)


@lru_cache(maxsize=KEPT_BLOCKS)
def population(config: ShopConfig, block: int) -> Population:
    """The persons of a block and everything that happens to them regardless of month."""
    rng = generator(config, Draws.POPULATION, block)
    offset = block * BLOCK
    n = min(BLOCK, config.customers - offset)
    shares = np.cumsum([*(p.share for p in PERSONAS), NOISE_SHARE])
    persona = np.searchsorted(shares[:-1], rng.random(n), side="right").astype(np.uint8)

    def like() -> np.ndarray:
        return np.where(persona == len(PERSONAS), rng.integers(0, len(PERSONAS), n), persona).astype(np.uint8)

    buys, browses, tastes = like(), like(), like()
    joined = _joins(config, rng, browses)
    account = (rng.random(n) < 0.74) | (column("mobile")[browses] > 0.9)
    seen_from = np.where(account & (joined > instant(config.start)), joined - (30 * DAY * rng.random(n) ** 3).astype(np.int64), joined)
    taste = pick(rng, steps("tastes"), tastes)
    visits = column("visits")[browses] * rng.gamma(0.7, 1 / 0.7, n)
    rate = column("orders")[buys] * rng.gamma(column("shape")[buys], 1 / column("shape")[buys])
    rate = np.where(rng.random(n) < column("buyers")[buys], rate, 0.0)
    leaves = rng.beta(*DROPOUT, n)
    level = np.log(column("basket")[buys]) + VALUE_BETWEEN * (rng.standard_normal(n))
    favourite = pick(rng, steps("likes"), tastes)
    prefers_email = taste == TASTES.index("email")
    traits = {
        "mobile": np.clip(column("mobile")[browses] + 0.12 * rng.standard_normal(n), 0.02, 0.98),
        "app": np.where(taste == TASTES.index("app"), 0.7, 0.05) * account,
        "login": np.where(account, 0.35 + 0.5 * rng.random(n), 0.0),
        "open_rate": np.clip(column("opens")[tastes] * np.where(prefers_email, 1.4, 0.8) * rng.gamma(4, 0.25, n), 0.01, 0.9),
        "send_share": np.where(prefers_email, 0.6, np.where(rng.random(n) < 0.5, 0.3, 0.12)),
        "second_account": account & (rng.random(n) < 0.05),
        "cookie_age": np.where(rng.random(n) < 0.25, 90 + 60 * rng.random(n), 400 + 900 * rng.random(n)) * DAY,
        "clock_skew": np.where(rng.random(n) < 0.005 * config.dirt, rng.integers(1, 10, n) * MINUTE * rng.choice(np.array([-1, 1]), n), 0),
    }
    trap = rng.random(n)
    before = np.maximum(np.arange(n) - 1, 0)
    traits["device_owner"] = np.where(trap < 0.0025 * config.dirt, before, np.arange(n))
    traits["email_owner"] = np.where((trap > 0.5) & (trap < 0.5 + 0.0025 * config.dirt), before, np.arange(n))
    shopper = Shopper(
        buys=buys, tastes=tastes, favourite=favourite, taste=taste, joined=joined, account=account,
        second_account=traits["second_account"], rate=rate, leaves=leaves, level=level,
    )  # fmt: skip
    orders, alive_until = purchases(config, block, shopper)
    quits = joined + (rng.exponential(500, n) * DAY).astype(np.int64)
    quits = np.maximum(quits, instant(config.start) + (rng.exponential(500, n) * DAY).astype(np.int64))
    alive_until = np.where(rate > 0, alive_until, quits)
    email = _email_consent(config, rng, joined, tastes)
    experiment = _experiment(
        config, rng, account=account, favourite=favourite, visits=visits, alive_until=alive_until,
        email_from=email["email_from"], email_until=email["email_until"],
    )  # fmt: skip
    return Population(
        block=block, offset=offset, persona=persona, browses_like=browses, joined=joined, seen_from=seen_from, alive_until=alive_until,
        order_rate=rate, leave_chance=leaves, value_mean=np.exp(level + VALUE_WITHIN**2 / 2), visit_rate=visits, favourite=favourite,
        likes_like=tastes, taste=taste, account=account, orders=orders, **traits, **email, **experiment,
    )  # fmt: skip


def _joins(config: ShopConfig, rng: np.random.Generator, profile: np.ndarray) -> Instants:
    """When persons became known: 60% in the three years before the period, the rest inside it along the season."""
    n = len(profile)
    ordinary, _ = clocks(config)
    begin, beyond = instant(config.start), int(instant(config.end) + DAY)
    inside = ordinary.instants(rng.random(n) * float(ordinary.even(beyond)))
    earlier = begin - (rng.random(n) * 1000 * DAY).astype(np.int64) - DAY
    return at_typical_hours(rng, np.where(rng.random(n) < 0.6, earlier, np.minimum(inside, beyond - 1)), profile)


def _email_consent(config: ShopConfig, rng: np.random.Generator, joined: Instants, tastes: np.ndarray) -> dict[str, np.ndarray]:
    """From when until when marketing e-mail is allowed, and which campaign (by number) ends it by a click on unsubscribe (-1: none)."""
    n = len(joined)
    plan = campaigns(config, len(CATEGORIES))
    times = np.array([c.at for c in plan], dtype=np.int64)
    granted = rng.random(n) < 0.62
    begin = np.where(granted, joined + np.where(rng.random(n) < 0.15, rng.random(n) * 60 * DAY, SECOND).astype(np.int64), NEVER)
    weeks = rng.exponential(1 / 0.003, n)
    weeks = np.where(joined < instant(config.start), weeks + (instant(config.start) - joined) / (7 * DAY), weeks)
    withdrawn = np.where(granted, joined + np.minimum(weeks * 7 * DAY, 1e17).astype(np.int64) + HOUR, NEVER)
    withdrawn = np.maximum(withdrawn, np.where(granted, begin + HOUR, withdrawn))
    expires = np.where(granted & (rng.random(n) < 0.10), begin + (rng.integers(365, 1460, n) * DAY), NEVER)
    until = np.minimum(withdrawn, expires)
    tired = np.searchsorted(times, begin) + rng.geometric(np.clip(0.012 - 0.02 * column("opens")[tastes], 0.003, 1), n) - 1
    skips = np.array([c.id == EXPERIMENT for c in plan] + [True])
    known = np.minimum(tired, len(plan))
    sent = np.append(times, NEVER)[known]
    unsubscribes = np.where(skips[known] | (sent >= until - 3 * DAY), -1, known)
    clicked = sent + HOUR + (rng.random(n) * 40 * HOUR).astype(np.int64)
    until = np.where(unsubscribes >= 0, clicked, until)
    return {"email_from": begin, "email_until": until, "email_expires": expires, "unsubscribes": unsubscribes}


def _experiment(
    config: ShopConfig,
    rng: np.random.Generator,
    *,
    account: np.ndarray,
    favourite: np.ndarray,
    visits: np.ndarray,
    alive_until: Instants,
    email_from: Instants,
    email_until: Instants,
) -> dict[str, np.ndarray]:
    """Arm (0 none, 1 control, 2 treatment), true effect on P(visit in 14 days), and the chance of an extra visit that brings it about."""
    plan = campaigns(config, len(CATEGORIES))
    at = next((c.at for c in plan if c.id == EXPERIMENT), None)
    n = len(account)
    coin = rng.random(n) < 0.5
    if at is None:
        return {"arm": np.zeros(n, np.uint8), "effect": np.zeros(n), "lift": np.zeros(n)}
    eligible = account & (email_from <= at) & (email_until > at + 5 * DAY)
    ordinary, _ = clocks(config)
    days = float(ordinary.even(at + WINDOW) - ordinary.even(at))
    unvisited = np.exp(-visits / 365.25 * days * np.where(alive_until > at, 1.0, LAPSED_VISITS))
    high = np.isin(favourite, [CATEGORIES.index(c) for c in HIGH_AFFINITY])
    effect = np.minimum(np.where(high, EFFECT_HIGH, EFFECT_LOW), 0.9 * unvisited)
    return {
        "arm": np.where(eligible, np.where(coin, 2, 1), 0).astype(np.uint8),
        "effect": np.where(eligible, effect, 0.0),
        "lift": np.where(eligible & coin, effect / unvisited, 0.0),
    }
