"""The `consents` stream: what people allowed and withdrew per purpose; and the same without dirt, for the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import DAY, HOUR, NEVER, Instants
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import BAD_TIMES, DUPLICATES, Place, finish, garbage, plan, words
from connectors.shop.people import people, scribbled, user_ids
from connectors.shop.population import Population
from connectors.shop.streams import CONSENTS, WHOLE

PURPOSES = ("marketing_email", "marketing_sms", "advertising", "profiling")
GRANTED_AT_START = (0.62, 0.28, 0.41, 0.70)
"""Share that grants when asked; an assumption, no data set says."""
WEEKLY_WITHDRAWALS = 0.003
GRANTED, DENIED, WITHDRAWN = range(3)
STATES = ("granted", "denied", "withdrawn")
SPELLINGS = ("granted", "opt_in", "Yes", "denied", "opt_out", "No", "withdrawn", "revoked", "Withdrawn")
UNKNOWN_STATES = ("maybe", "pending", "?")
UNKNOWN_PURPOSES = ("newsletter2019", "cookies", "")
JURISDICTIONS = ("DE", "AT", "GB", "ES", "IT")
RATES = {"bad_time": 0.0015, "unknown_purpose": 0.001, "unknown_state": 0.001, "no_identifier": 0.001, "duplicate": DUPLICATES}
TRUE_SCHEMA = pa.schema([
    ("person", pa.int64()), ("purpose", pa.string()), ("state", pa.string()), ("stated_at", pa.timestamp("us", "UTC")),
    ("expires_at", pa.timestamp("us", "UTC")),
])  # fmt: skip
STATE_SCHEMA = pa.schema([("person", pa.int64()), ("purpose", pa.string()), ("granted", pa.bool_())])


@dataclass(frozen=True)
class Statements:
    """Statements as numbers, by purpose and then kind; `expires` is `NEVER` for those without end."""

    who: np.ndarray
    purpose: np.ndarray
    state: np.ndarray
    at: Instants
    expires: Instants


def statements(config: ShopConfig, who: Population) -> Statements:
    """Everything a block's persons ever state."""
    rng = generator(config, Draws.CONSENTS, who.block)
    parts = [_marketing_email(rng, who), *(_other(rng, who, purpose) for purpose in range(1, len(PURPOSES)))]
    flat = [part for group in parts for part in group]
    return Statements(*(np.concatenate([getattr(p, f) for p in flat]) for f in ("who", "purpose", "state", "at", "expires")))


def consents(config: ShopConfig, who: Population, until: int) -> tuple[pa.Table, pa.Table]:
    """The block's statements made before `until`, and their defects."""
    made = statements(config, who)
    rng = generator(config, Draws.CONSENTS, who.block, 1)
    some = people(config, who.block)
    total = len(made.who)
    planned = plan(rng, total, RATES, config.dirt)
    spelled = np.where(rng.random(total) < 0.15 * config.dirt, rng.integers(1, 3, total), 0)
    typed = rng.random(total)
    by_account = who.account[made.who] & (rng.random(total) < 0.6)
    keep = np.flatnonzero(made.at < until)
    person, defects = made.who[keep], planned.where(keep)
    found, account = ~defects.rows("no_identifier"), by_account[keep]
    bad, state, purpose = (defects.rows(c) for c in ("bad_time", "unknown_state", "unknown_purpose"))
    address = text.gather(some.email, who.email_owner[person], found & ~account)
    expires = made.expires[keep]
    key = text.ids("cnst", (who.block << 26) + keep)
    table = pa.table(
        {
            "consent_id": key,
            "user_id": user_ids(who.offset + person, 0, found & account),
            "email": scribbled(typed[keep], address, config.dirt),
            "purpose": words(PURPOSES, made.purpose[keep], purpose, UNKNOWN_PURPOSES, keep),
            "state": words(SPELLINGS, made.state[keep] * 3 + spelled[keep], state, UNKNOWN_STATES, keep),
            "stated_at": text.put(text.fixed(text.iso_times(made.at[keep])), bad, garbage(BAD_TIMES, keep[bad])),
            "expires_at": text.instants(expires, expires < NEVER),
            "jurisdiction": text.words(JURISDICTIONS, some.country[person]),
            "evidence": text.ids("prf:", (who.block << 26) + keep),
        },
        schema=CONSENTS.schema,
    )
    return finish(table, "consent_id", defects, Place("consents", WHOLE))


def true_statements(who: Population, made: Statements, until: int) -> pa.Table:
    """The statements made before `until`, as they were meant."""
    keep = np.flatnonzero(made.at < until)
    expires = made.expires[keep]
    return pa.table(
        {
            "person": who.offset + made.who[keep],
            "purpose": text.words(PURPOSES, made.purpose[keep]),
            "state": text.words(STATES, made.state[keep]),
            "stated_at": text.instants(made.at[keep]),
            "expires_at": text.instants(expires, expires < NEVER),
        },
        schema=TRUE_SCHEMA,
    )


def state_at(who: Population, made: Statements, until: int) -> pa.Table:
    """Who allows what just before `until`: the latest statement decides, and a grant ends when it expires."""
    rows = np.flatnonzero(made.at < until)
    rows = rows[np.lexsort((made.at[rows], made.purpose[rows], made.who[rows]))]
    key = made.who[rows] * len(PURPOSES) + made.purpose[rows]
    last = rows[np.append(key[1:] != key[:-1], True)] if len(rows) else rows
    return pa.table(
        {
            "person": who.offset + made.who[last],
            "purpose": text.words(PURPOSES, made.purpose[last]),
            "granted": (made.state[last] == GRANTED) & (made.expires[last] >= until),
        },
        schema=STATE_SCHEMA,
    )


def _part(who: np.ndarray, purpose: int, state: int, at: Instants, expires: Instants | None = None) -> Statements:
    n = len(who)
    return Statements(who, np.full(n, purpose), np.full(n, state), at, np.full(n, NEVER) if expires is None else expires)


def _marketing_email(rng: np.random.Generator, who: Population) -> list[Statements]:
    """Grants and ends as the mailing tool keeps to them; most of those who do not grant say so."""
    grants = np.flatnonzero(who.email_from < NEVER)
    ends = grants[(who.email_until[grants] < who.email_expires[grants]) & (who.email_until[grants] < NEVER)]
    denies = np.flatnonzero((who.email_from == NEVER) & (rng.random(len(who)) < 0.8))
    return [
        _part(grants, 0, GRANTED, who.email_from[grants], who.email_expires[grants]),
        _part(ends, 0, WITHDRAWN, who.email_until[ends]),
        _part(denies, 0, DENIED, who.joined[denies] + 1_000_000),
    ]


def _other(rng: np.random.Generator, who: Population, purpose: int) -> list[Statements]:
    """Grants, denials, withdrawals and second thoughts of one purpose."""
    n = len(who)
    grants = rng.random(n) < GRANTED_AT_START[purpose]
    asked = who.joined + (rng.random(n) * 10 * HOUR).astype(np.int64)
    silent = ~grants & (rng.random(n) < 0.3)
    expires = np.where(rng.random(n) < 0.10, asked + rng.integers(365, 1460, n) * DAY, NEVER)
    ends = asked + ((rng.exponential(1 / WEEKLY_WITHDRAWALS, n) * 7 + 0.1) * DAY).astype(np.int64)
    withdraws = grants & (ends < expires) & (rng.random(n) < 0.9)
    again = ends + ((1 + rng.exponential(90, n)) * DAY).astype(np.int64)
    returns = withdraws & (rng.random(n) < 0.15)
    given, no, gone, back = (np.flatnonzero(m) for m in (grants, ~grants & ~silent, withdraws, returns))
    return [
        _part(given, purpose, GRANTED, asked[given], expires[given]),
        _part(no, purpose, DENIED, asked[no]),
        _part(gone, purpose, WITHDRAWN, ends[gone]),
        _part(back, purpose, GRANTED, again[back]),
    ]
