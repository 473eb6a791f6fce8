"""The `tracking` stream: the events of visits as a tracker on web site and app delivers them. What happens is decided in `visits`."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import Instants, Month, campaigns, delays
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import BAD_AMOUNTS, BAD_TIMES, DUPLICATES, FUTURE, NULL_TEXTS, UNKNOWN_EVENTS, Place, Plan, finish, garbage, plan, words
from connectors.shop.people import people, scribbled, user_stamps
from connectors.shop.personas import CATEGORIES
from connectors.shop.population import Population
from connectors.shop.purchases import PRODUCTS, price_of
from connectors.shop.streams import TRACKING
from connectors.shop.visits import AD, ADD, CHECKOUT, LIST, PAGE, SEARCH, VIDEO, Visits, actions, visits_of

SPELLINGS = (
    "ad_clicked", "Ad Clicked", "page_viewed", "Page Viewed", "signed_up", "Signed Up", "product_searched", "Product Searched",
    "product_list_viewed", "Product List Viewed", "product_viewed", "Product Viewed", "video_progressed", "Video Progressed",
    "product_added", "Add to Cart", "cart_viewed", "Cart Viewed", "checkout_started", "Begin Checkout",
)  # fmt: skip
"""Two spellings of each kind of event, in the order of `visits`."""
RATES = {
    "bad_time": 0.0008, "future_time": 0.0005, "unknown_event": 0.0008, "no_identifier": 0.0006, "duplicate": DUPLICATES,
    "garbage_amount": 0.002, "negative_amount": 0.0026, "null_text": 0.003,
}  # fmt: skip
QUERIES = ("dress", "serum", "lamp", "headphones", "running shoes", "puzzle", "crime novel", "raised bed", "olive oil")
"""What is searched for in each of `CATEGORIES`."""
CHANNELS = ("web", "Website", "app", "iOS")
DEVICES = ("mobile", "smartphone", "desktop", "pc", "tablet", "iPad")


def tracking(config: ShopConfig, who: Population, month: Month, until: int) -> tuple[pa.Table, pa.Table]:
    """The rows of a block and month before `until`, and their defects.

    Every draw is made for the whole month, so that `until` only cuts.
    """
    rng = generator(config, Draws.TRACKING, who.block, month.index)
    visits = visits_of(config, rng, who, month)
    done = actions(rng, who, visits)
    hidden = _devices(rng, who, visits)
    total = len(done.at)
    money, named = (done.kind == ADD) | (done.kind == CHECKOUT), done.product >= 0
    planned = plan(rng, total, RATES, config.dirt, {"garbage_amount": money, "negative_amount": money, "null_text": named})
    alias = rng.random(total, dtype=np.float32) < 0.05 * config.dirt
    late, typed = delays(rng, total), rng.random(len(visits))
    keep = np.flatnonzero((done.at >= month.start) & (done.at < min(until, month.end)))
    cut = slice(None) if len(keep) == total else keep
    visit, kind, at, product = done.visit[cut], done.kind[cut], done.at[cut], done.product[cut]
    defects, alias, person = planned.where(cut), alias[cut], visits.who[visit]
    found = ~defects.rows("no_identifier")
    skew = who.clock_skew[person]
    unknown, named = defects.rows("unknown_event"), named[cut]
    device, on_app, cookie = hidden
    app = on_app[visit]
    guest = found & (kind == CHECKOUT) & visits.buying[visit] & ~who.account[person]
    address = text.gather(people(config, who.block).email, who.email_owner[person[guest]])
    quantity, revenue = _money(visits, visit, kind, done.nth[cut], (defects, keep))
    carting = (kind >= ADD) & (visits.cart[visit] >= 0)
    about = (kind == SEARCH) | (kind == LIST) | named
    category = np.where(named, product // PRODUCTS, visits.category[visit])
    spoilt = defects.rows("null_text")
    table = pa.table(
        {
            "event_id": text.ids("trck", ((who.block * 256 + month.index) << 20) + keep),
            "event_type": words(SPELLINGS, kind * np.int8(2) + alias, unknown, UNKNOWN_EVENTS, keep),
            "event_time": _times(at + skew, defects, keep),
            "received_at": text.instants(at + late[cut]),
            "user_id": _per_visit(user_stamps(who.offset + visits.who, _second_account(who, visits)), visit, done.known[cut] & found),
            "anonymous_id": _per_visit(text.stamps("anon", cookie), visit, found & ~app),
            "device_id": _per_visit(text.stamps("devc", cookie), visit, found & app),
            "email": text.spread(scribbled(typed[visit[guest]], address, config.dirt), guest),
            "session_id": text.fixed(text.stamps("sess", ((who.block * 256 + month.index) << 20) + np.arange(len(visits)))[visit]),
            "channel": text.words(CHANNELS, app * np.int8(2) + alias),
            "device": text.words(DEVICES, device[visit] * np.int8(2) + alias),
            "product_id": text.fixed(text.stamps("prod", np.arange(PRODUCTS * len(CATEGORIES)))[product[named]], named),
            "category": text.spread(words(CATEGORIES, category[about], spoilt[about], NULL_TEXTS, keep[about]), about),
            "cart_id": _per_visit(text.stamps("cart", visits.cart), visit, carting),
            "campaign_id": _campaign_ids(config, visits, visit, kind),
            "quantity": quantity,
            "revenue": revenue,
            "currency": text.words(("EUR",), np.zeros(len(keep), np.int8), (kind == ADD) | (kind == CHECKOUT)),
            "percent": pa.array(np.array([10.0, 25, 50, 75, 100])[keep % 5], mask=kind != VIDEO),
            "properties": text.words(tuple(json.dumps({"query": q}) for q in QUERIES), category, kind == SEARCH),
        },
        schema=TRACKING.schema,
    )
    return finish(table, "event_id", defects, Place("tracking", month.label), {"clock_skew": skew != 0})


def _devices(rng: np.random.Generator, who: Population, visits: Visits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Device class, whether it is the app, and number of the cookie or installation, per visit."""
    person, n = visits.who, len(visits)
    app = who.account[person] & (rng.random(n) < who.app[person])
    mobile = app | (rng.random(n) < who.mobile[person])
    tablet = ~mobile & (person % 7 == 0)
    browser = np.where(app, 2, np.where(mobile, 0, 1))
    owner = who.device_owner[person]
    renewed = (visits.start + owner * 977_000_000_000) // who.cookie_age[owner].astype(np.int64) % 64
    cookie = ((who.offset + owner) * 4 + browser) * 64 + np.where(app, 0, renewed)
    return np.where(mobile, 0, np.where(tablet, 2, 1)).astype(np.int8), app, cookie


def _per_visit(stamps: np.ndarray, visit: np.ndarray, valid: np.ndarray) -> pa.StringArray:
    """The id of each row's visit where `valid`."""
    return text.fixed(stamps[visit[valid]], valid)


def _second_account(who: Population, visits: Visits) -> np.ndarray:
    """Whether each visit uses the person's other account."""
    if not len(who.orders.who):
        return np.zeros(len(visits), dtype=np.int64)
    return np.where(visits.buying, who.orders.second_account[visits.order], False).astype(np.int64)


def _times(shown: Instants, defects: Plan, keep: np.ndarray) -> pa.StringArray:
    bad = defects.rows("bad_time")
    times = text.iso_times(shown + np.where(defects.rows("future_time"), FUTURE, 0))
    times[bad] = np.array([t.ljust(24) for t in BAD_TIMES], dtype="S24")[keep[bad] % len(BAD_TIMES)]
    return text.fixed(times)


def _money(visits: Visits, visit: np.ndarray, kind: np.ndarray, nth: np.ndarray, dirt: tuple[Plan, np.ndarray]) -> tuple[pa.Array, pa.Array]:
    """Quantity of added lines; amount of added lines and of the whole cart at checkout, as text. `dirt`: defects and numbers of the rows."""
    defects, keep = dirt
    adds, pays = kind == ADD, kind == CHECKOUT
    priced = np.append(price_of(visits.product) * visits.quantity, 0)
    sums = np.concatenate([[0], np.cumsum(priced)])
    line = np.where(adds, visits.first[visit] + nth, len(priced) - 1)
    cents = np.where(adds, priced[line], (sums[visits.first[1:]] - sums[visits.first[:-1]])[visit] if len(visits) else 0)
    shown = adds | pays
    cents = np.where(defects.rows("negative_amount"), -cents, cents)[shown]
    bad = defects.rows("garbage_amount")[shown]
    quantity = pa.array(np.append(visits.quantity, 1)[line].astype(np.int64), mask=~adds)
    return quantity, text.spread(text.put(text.amounts(cents), bad, garbage(BAD_AMOUNTS, keep[shown][bad])), shown)


def _campaign_ids(config: ShopConfig, visits: Visits, visit: np.ndarray, kind: np.ndarray) -> pa.StringArray:
    """The advertisement clicked, or the e-mail campaign a visit came from (on its first page)."""
    names = (*(f"ads-{c}" for c in CATEGORIES), *(c.id for c in campaigns(config, len(CATEGORIES))))
    number = np.where(kind == AD, visits.category[visit], len(CATEGORIES) + visits.campaign[visit])
    return text.words(names, number, (kind == AD) | ((kind == PAGE) & (visits.campaign[visit] >= 0)))
