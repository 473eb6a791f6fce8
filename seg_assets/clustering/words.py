"""How features are put into words: the vocabulary of personas. Which words a persona gets is decided in `personas.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FeatureWords:
    """How one feature reads in a label and in a sentence.

    Args:
        family: features of one family say the same; only the most unusual of them is mentioned.
        figure: a typical person's value, e.g. "{} order|orders in the last year": singular and plural stand beside each other. "" is never told.
        happens: what persons above 0 did, e.g. "ordered in the last year"; "" where 0 means nothing special.
        high, low: adjective of a label when the value is unusually high or low; "" for none.
        with_high, with_low: the same after the noun, e.g. "with large baskets"; tells apart what the adjective leaves alike.
        kind: what the figure is.
    """

    family: str
    figure: str
    happens: str = ""
    high: str = ""
    low: str = ""
    with_high: str = ""
    with_low: str = ""
    kind: Literal["number", "money", "share"] = "number"


def _orders(window: str) -> FeatureWords:
    return FeatureWords("orders", f"{{}} order|orders {window}", f"ordered {window}")


def _revenue(window: str) -> FeatureWords:
    return FeatureWords("money", f"{{}} spent {window}", kind="money")


def _active(what: str, window: str) -> FeatureWords:
    return FeatureWords("activity", f"{{}} {what} {window}", f"were active {window}", "Busy", "Quiet", "seen often", "seen seldom")


def _emails(verb: str, verbs: str) -> FeatureWords:
    window, likes = "in the last 90 days", f"who {verbs} e-mails"
    return FeatureWords("e-mail", f"{{}} e-mail|e-mails {verb} {window}", f"{verb} an e-mail {window}", "Responsive", "", likes, "who ignore e-mails")


FEATURES: Mapping[str, FeatureWords] = {
    "orders_30d": _orders("in the last 30 days"),
    "orders_90d": _orders("in the last 90 days"),
    "orders_365d": _orders("in the last year"),
    "orders_total": _orders("so far"),
    "revenue_30d": _revenue("in the last 30 days"),
    "revenue_90d": _revenue("in the last 90 days"),
    "revenue_365d": _revenue("in the last year"),
    "revenue_total": _revenue("so far"),
    "frequency": FeatureWords("orders", "", "", "Frequent", "Occasional", "who order often", "who order seldom"),
    "monetary": FeatureWords("money", "", "", "Big-spending", "Small-spending", "who spend much", "who spend little"),
    "avg_order_value": FeatureWords("basket", "{} per order", "", "Big-basket", "Small-basket", "with large baskets", "with small baskets", "money"),
    "days_since_order": FeatureWords(
        "last order", "last order {} day|days ago", "", "Lapsed", "Recent", "with no order for long", "who ordered lately"
    ),
    "days_since_event": FeatureWords("last seen", "last seen {} day|days ago", "", "Dormant", "Current", "not seen for long", "seen lately"),
    "active_days_30d": _active("active day|days", "in the last 30 days"),
    "active_days_90d": _active("active day|days", "in the last 90 days"),
    "events_7d": _active("event|events", "in the last 7 days"),
    "events_30d": _active("event|events", "in the last 30 days"),
    "events_90d": _active("event|events", "in the last 90 days"),
    "events_total": _active("event|events", "so far"),
    "views_30d": FeatureWords(
        "views", "{} product|products viewed in the last 30 days", "viewed products in the last 30 days", "Curious", "", "who view much", ""
    ),
    "adds_30d": FeatureWords(
        "carts",
        "{} product|products put into the cart in the last 30 days",
        "filled a cart in the last 30 days",
        "Cart-filling",
        "",
        "who fill carts",
        "",
    ),
    "refund_share": FeatureWords("refunds", "{} of the amount refunded", "returned something", "Refund-prone", "", "who return a lot", "", "share"),
    "email_opens_90d": _emails("opened", "open"),
    "email_clicks_90d": _emails("clicked", "click"),
    "categories": FeatureWords("breadth", "{} category|categories touched", "", "", "", "across many categories", "in few categories"),
    "tenure_days": FeatureWords("tenure", "known for {} day|days", "", "Long-standing", "New", "known for long", "known for a short time"),
    "engagement": FeatureWords("engagement", "{} engagement point|points", "", "Engaged", "Detached", "with high engagement", "with low engagement"),
    "age": FeatureWords("age", "{} year|years old", "", "Older", "Younger", "of higher age", "of lower age"),
}
"""By feature. Others are described by their name. Orders and amounts get their adjectives from the RFM scores, which compare buyers with buyers."""

UNTOLD = frozenset({"distance", "engagement_percentile", "recency"})
"""Numbers that say nothing beyond other features."""

RFM_ADJECTIVES: Mapping[str, str] = {
    "Champions": "Loyal",
    "Loyal": "Loyal",
    "Potential Loyalists": "Promising",
    "New Customers": "New",
    "Promising": "New",
    "About To Sleep": "Fading",
    "Can't Lose Them": "Drifting",
    "At Risk": "Drifting",
    "Hibernating": "Lapsed",
    "Lost": "Lapsed",
}
"""What buyers in an RFM segment are like, in one word."""

CHANNELS: Mapping[str, tuple[str, str]] = {
    "web": ("web", "the web"),
    "app": ("app", "the app"),
    "email": ("e-mail", "e-mail"),
    "sms": ("text-message", "text messages"),
    "push": ("push", "push messages"),
    "store": ("store", "the store"),
    "social": ("social-media", "social media"),
    "ads": ("ad", "ads"),
    "phone": ("phone", "the phone"),
    "direct_mail": ("mail", "direct mail"),
}
"""Channels as adjective and noun. Others are described by their name."""


def amount(number: float) -> str:
    """A number as people say it: one decimal below 10, none above."""
    return f"{number:,.0f}" if abs(number) >= 10 else f"{number:,.1f}".removesuffix(".0")


def plain(name: str) -> str:
    """A feature's or category's name as words: `home_garden` is "home garden"."""
    return name.replace("_", " ").strip()


def titled(name: str) -> str:
    """A category's name as a proper noun: `home_garden` is "Home Garden"."""
    return " ".join(word[:1].upper() + word[1:] for word in plain(name).split())
