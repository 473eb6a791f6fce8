"""The `mentions` stream: what customers with a linked social account post about the shop. Those about to leave sound less happy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import DAY, Month
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import DUPLICATES, FUTURE, Place, finish, plan
from connectors.shop.people import user_ids
from connectors.shop.personas import TASTES
from connectors.shop.population import Population
from connectors.shop.streams import MENTIONS

NETWORKS = ("instagram", "tiktok", "x", "facebook", "reddit")
TOPICS = ("delivery", "prices", "quality", "service", "style")
LINKED = 0.06
"""Share of account holders with a linked social account; four times that among those who prefer social channels."""
POSTS = 3.0
"""Mean posts a year of those who have one."""
RATES = {"bad_sentiment": 0.002, "no_identifier": 0.002, "future_time": 0.001, "duplicate": DUPLICATES}


def mentions(config: ShopConfig, who: Population, month: Month, until: int) -> tuple[pa.Table, pa.Table]:
    """The posts of a block and month before `until`, and their defects."""
    fixed = generator(config, Draws.MENTIONS, who.block, 1024)
    rng = generator(config, Draws.MENTIONS, who.block, month.index)
    n = len(who)
    linked = who.account & (fixed.random(n) < LINKED * np.where(who.taste == TASTES.index("social"), 4, 1))
    network, mood = fixed.integers(0, len(NETWORKS), n), 0.25 + 0.3 * fixed.standard_normal(n)
    person = np.repeat(np.arange(n), rng.poisson(np.where(linked, POSTS / 365.25 * (month.end - month.start) / DAY, 0.0)))
    total = len(person)
    at = month.start + (rng.random(total) * (month.end - month.start)).astype(np.int64)
    leaving = at > who.alive_until[person] - 30 * DAY
    sentiment = np.round(np.clip(mood[person] - 0.6 * leaving + 0.3 * rng.standard_normal(total), -1, 1), 3)
    topic = rng.integers(0, len(TOPICS), total)
    planned = plan(rng, total, RATES, config.dirt)
    keep = np.flatnonzero((at >= who.joined[person]) & (at < min(until, month.end)))
    person, defects = person[keep], planned.where(keep)
    table = pa.table(
        {
            "mention_id": text.ids("post", ((who.block * 256 + month.index) << 20) + keep),
            "user_id": user_ids(who.offset + person, 0, ~defects.rows("no_identifier")),
            "network": text.words(NETWORKS, network[person]),
            "mention_time": text.instants(at[keep] + np.where(defects.rows("future_time"), FUTURE, 0)),
            "sentiment": sentiment[keep] + np.where(defects.rows("bad_sentiment"), 7.0, 0.0),
            "topic": text.words(TOPICS, topic[keep]),
        },
        schema=MENTIONS.schema,
    )
    return finish(table, "mention_id", defects, Place("mentions", month.label))
