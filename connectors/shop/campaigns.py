"""The `email` stream: campaigns sent, opened, clicked, unsubscribed from; and the numbers behind it, which `tracking` needs for the visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import DAY, EXPERIMENT, HOUR, MINUTE, SECOND, Campaign, Instants, Month, campaigns, delays
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import DUPLICATES, FUTURE, UNKNOWN_EVENTS, Place, finish, plan, words
from connectors.shop.people import people, scribbled
from connectors.shop.personas import CATEGORIES
from connectors.shop.population import Population
from connectors.shop.streams import EMAIL

RECEIVED, OPENED, CLICKED, UNSUBSCRIBED = range(4)
FATIGUE = 0.7
"""An e-mail within seven days of another is opened this much less."""
CLICKS = 0.16
"""Share of opened e-mails that are clicked."""
SPELLINGS = (
    "campaign_received", "campaign_received", "Campaign Received", "email_opened", "Email Opened", "email-opened",
    "email_clicked", "Email Clicked", "email clicked", "unsubscribed", "Unsubscribed", "unsubscribed",
)  # fmt: skip
RATES = {"unknown_event": 0.0008, "no_identifier": 0.0006, "future_time": 0.0005, "duplicate": DUPLICATES}


@dataclass(frozen=True)
class Mailing:
    """Rows of the stream as numbers: what, who (index in the block), when, which campaign (by number)."""

    kind: np.ndarray
    who: np.ndarray
    at: Instants
    campaign: np.ndarray


def mailing(config: ShopConfig, people_: Population, month: Month) -> Mailing:
    """Everything e-mail in a month, whole whatever `as_of` is."""
    rng = generator(config, Draws.SENDS, people_.block, month.index)
    parts: list[Mailing] = []
    recent = np.zeros(len(people_), dtype=bool)
    for number, campaign in enumerate(campaigns(config, len(CATEGORIES))):
        if month.start <= campaign.at < month.end:
            part, recent = _one_campaign(rng, people_, number, campaign, recent)
            parts += part
    return Mailing(*(np.concatenate([getattr(p, f) for p in parts] or [np.zeros(0, np.int64)]) for f in ("kind", "who", "at", "campaign")))


def _one_campaign(rng: np.random.Generator, who: Population, number: int, campaign: Campaign, recent: np.ndarray) -> tuple[list[Mailing], np.ndarray]:
    """What one campaign brings about, and who got it; `recent` says who got another within the seven days before."""
    test = campaign.id == EXPERIMENT
    themed = np.where(who.favourite == campaign.theme, 1.6, 1.0)
    drawn = rng.random(len(who)) < who.send_share * themed
    allowed = (who.email_from <= campaign.at) & (who.email_until > campaign.at + HOUR)
    got = who.arm == 2 if test else allowed & (drawn | (who.unsubscribes == number))
    sent = np.flatnonzero(got)
    n = len(sent)
    leaves = who.unsubscribes[sent] == number
    opens = rng.random(n) < np.minimum(who.open_rate[sent] * np.where(recent[sent], FATIGUE, 1.0) * themed[sent], 0.95)
    u = rng.random(n)
    clicks = (u < who.lift[sent] if test else opens & (u < CLICKS)) & ~leaves
    sent_at = campaign.at + rng.integers(0, 30 * MINUTE, n)
    opened_at = sent_at + np.minimum(rng.lognormal(np.log(3), 1.3, n) * HOUR, 4 * DAY).astype(np.int64)
    opened_at = np.where(leaves, who.email_until[sent] - 40 * SECOND, opened_at)
    clicked_at = opened_at + rng.integers(5 * SECOND, 5 * MINUTE, n)
    steps = (
        (RECEIVED, np.ones(n, dtype=bool), sent_at),
        (OPENED, opens | clicks | leaves, opened_at),
        (CLICKED, clicks, clicked_at),
        (UNSUBSCRIBED, leaves, who.email_until[sent]),
    )
    return [Mailing(np.full(int(did.sum()), kind), sent[did], at[did], np.full(int(did.sum()), number)) for kind, did, at in steps], got


def email(config: ShopConfig, who: Population, month: Month, until: int) -> tuple[pa.Table, pa.Table]:
    """The rows of a block and month before `until`, and their defects."""
    rng = generator(config, Draws.EMAIL, who.block, month.index)
    mail = mailing(config, who, month)
    total = len(mail.at)
    planned = plan(rng, total, RATES, config.dirt)
    spelled = np.where(rng.random(total) < 0.06 * config.dirt, rng.integers(1, 3, total), 0)
    late, typed = delays(rng, total), rng.random(total)
    keep = np.flatnonzero((mail.at >= month.start) & (mail.at < min(until, month.end)))
    at, person, spelling, defects = mail.at[keep], mail.who[keep], spelled[keep], planned.where(keep)
    address = people(config, who.block).email
    address = text.gather(address, who.email_owner[person], ~defects.rows("no_identifier"))
    unknown = defects.rows("unknown_event")
    table = pa.table(
        {
            "event_id": text.ids("mail", ((who.block * 256 + month.index) << 20) + keep),
            "event_type": words(SPELLINGS, mail.kind[keep] * 3 + spelling, unknown, UNKNOWN_EVENTS, keep),
            "event_time": text.instants(at + np.where(defects.rows("future_time"), FUTURE, 0)),
            "received_at": text.instants(at + late[keep]),
            "email": scribbled(typed[keep], address, config.dirt),
            "channel": text.words(("email", "newsletter"), (spelling == 2).astype(np.int8)),
            "campaign_id": text.words(tuple(c.id for c in campaigns(config, len(CATEGORIES))), mail.campaign[keep]),
        },
        schema=EMAIL.schema,
    )
    return finish(table, "event_id", defects, Place("email", month.label))
