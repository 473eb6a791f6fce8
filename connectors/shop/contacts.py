"""The `crm` and `storefront` streams: one to four records per person, as careless as real ones; and which record is whose, for the truth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import DAY, HOUR
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import NULL_TEXTS, Place, Plan, finish, garbage, plan
from connectors.shop.people import CITIES, COUNTRIES, FAMILY, GIVEN, LANGUAGES, NICKNAMES, People, people, phones, scribbled, user_ids
from connectors.shop.personas import AREAS
from connectors.shop.population import Population
from connectors.shop.streams import CRM, STOREFRONT, WHOLE

RECORD_SCHEMA = pa.schema([
    ("stream", pa.string()), ("key", pa.string()), ("person", pa.int64()), ("kind", pa.string()), ("placeholder", pa.bool_()),
])  # fmt: skip
BAD_EMAILS = ("n/a", "maria@", "unknown", "@example.com", "none")
BAD_PHONES = ("000000", "12", "+49", "call me")
BAD_BIRTH_DATES = ("0000-00-00", "1900-13-45", "unknown")
GENDERS = ("female", "F", "woman", "male", "M", "man", "other", "x", "diverse")
PLACEHOLDER = "none@example.com"
"""An address clerks type when there is none: it joins people who have nothing in common, unless shared addresses are limited."""
CRM_RATES = {"no_key": 0.0005, "bad_email": 0.004, "bad_phone": 0.006, "bad_birth_date": 0.004, "null_text": 0.003}
STOREFRONT_RATES = {"no_key": 0.0003, "bad_phone": 0.004, "null_text": 0.003}


def crm(config: ShopConfig, who: Population, until: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The block's CRM records created before `until`, their defects, and whose they are."""
    rng = generator(config, Draws.CRM, who.block)
    some = people(config, who.block)
    n = len(who)
    has = ~who.account | (rng.random(n) < 0.62)
    twice = has & (rng.random(n) < 0.08)
    person = np.concatenate([np.flatnonzero(has), np.flatnonzero(twice)])
    copy = np.concatenate([np.zeros(int(has.sum()), dtype=bool), np.ones(int(twice.sum()), dtype=bool)])
    m = len(person)
    defects = plan(rng, m, CRM_RATES, config.dirt)
    created = who.joined[person] + np.where(copy, 20 + 300 * rng.random(m), rng.random(m) * 2 * who.account[person]) * DAY
    created = created.astype(np.int64)
    knows_account = who.account[person] & ~copy & (rng.random(m) < 0.6)
    reach = rng.random(m)
    with_email, with_phone = reach < 0.9, (reach > 0.55) | (copy & (reach > 0.35))
    placeholder = with_email & (rng.random(m) < 0.001 * config.dirt)
    nickname, typo, moved = (rng.random(m) < share * config.dirt for share in (0.12, 0.06, 0.05))
    blank = rng.random((5, m)) < np.array([[0.02], [0.30], [0.22], [0.12], [0.40]])
    updated = created + (rng.random(m) ** 2 * 400 * DAY).astype(np.int64)
    typed = rng.random(m)
    number = phones(rng, who.offset + person, some.country[person])
    city = np.where(moved, some.country[person] * 5 + rng.integers(0, 5, m), some.city[person])
    gender = np.where(some.other_gender, 2, np.where(some.woman, 0, 1))[person] * 3 + np.where(rng.random(m) < 0.2, rng.integers(1, 3, m), 0)
    address = text.gather(some.email, who.email_owner[person], with_email)
    address = scribbled(typed, text.put(address, placeholder, pa.repeat(PLACEHOLDER, int(placeholder.sum()))), config.dirt)
    key = text.ids("crmc", (who.offset + person) * 2 + copy)
    table = pa.table(
        {
            "contact_id": text.gather(key, np.arange(m), ~defects.rows("no_key")),
            "user_id": user_ids(who.offset + person, 0, knows_account),
            "email": _spoil(address, defects.rows("bad_email"), BAD_EMAILS),
            "phone": _spoil(text.gather(number, np.arange(m), with_phone), defects.rows("bad_phone"), BAD_PHONES),
            "first_name": _given(some, person, nickname, blank[0]),
            "last_name": _family(some, person, typo),
            "birth_date": _spoil(_born(some, person, blank[1]), defects.rows("bad_birth_date"), BAD_BIRTH_DATES),
            "gender": text.words(GENDERS, gender, ~blank[2]),
            "country": text.words(COUNTRIES, some.country[person]),
            "city": _spoil(text.words(CITIES, city, ~blank[3]), defects.rows("null_text"), NULL_TEXTS),
            "area": text.words(AREAS, some.area[person], ~blank[4]),
            "language": text.words(LANGUAGES, some.country[person]),
            "created_at": text.instants(created),
            "updated_at": text.instants(np.where(updated < until, updated, created)),
        },
        schema=CRM.schema,
    )
    records = _records("crm", key, who.offset + person, copy, placeholder)
    return _existing(table, defects, records, np.flatnonzero(created < until), Place("crm", WHOLE))


def storefront(config: ShopConfig, who: Population, until: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The block's accounts created before `until`, their defects, and whose they are."""
    rng = generator(config, Draws.STOREFRONT, who.block)
    some = people(config, who.block)
    person = np.concatenate([np.flatnonzero(who.account), np.flatnonzero(who.second_account)])
    other = np.concatenate([np.zeros(int(who.account.sum()), dtype=bool), np.ones(int(who.second_account.sum()), dtype=bool)])
    m = len(person)
    defects = plan(rng, m, STOREFRONT_RATES, config.dirt)
    created = who.joined[person]
    updated = created + (rng.random(m) ** 2 * 400 * DAY).astype(np.int64) + HOUR
    with_phone = np.where(other, rng.random(m) < 0.8, rng.random(m) < 0.55)
    number = phones(rng, who.offset + person, some.country[person])
    nickname, blank_name, with_age = rng.random(m) < 0.08 * config.dirt, rng.random(m) < 0.03, rng.random(m) < 0.5
    own = some.email.take(pa.array(who.email_owner[person]))
    alternate = text.join("x.", text.gather(some.email, person[other]))
    address = scribbled(rng.random(m), text.put(own, other, alternate), config.dirt)
    lower = rng.random(m) < 0.2 * config.dirt
    key = user_ids(who.offset + person, other.astype(np.int64))
    years = np.clip((created - some.born[person].astype("datetime64[us]").astype(np.int64)) // (365.25 * DAY), 18, 100).astype(np.int64)
    table = pa.table(
        {
            "contact_id": text.gather(key, np.arange(m), ~defects.rows("no_key")),
            "user_id": key,
            "email": address,
            "phone": _spoil(text.gather(number, np.arange(m), with_phone), defects.rows("bad_phone"), BAD_PHONES),
            "first_name": _given(some, person, nickname, blank_name),
            "last_name": text.words(FAMILY, some.family[person]),
            "age": pa.array(years, mask=~with_age),
            "country": text.words((*COUNTRIES, *(c.lower() for c in COUNTRIES)), some.country[person] + 5 * lower),
            "city": _spoil(text.words(CITIES, some.city[person]), defects.rows("null_text"), NULL_TEXTS),
            "language": text.words(LANGUAGES, some.country[person]),
            "created_at": text.instants(created),
            "updated_at": text.instants(np.where(updated < until, updated, created)),
        },
        schema=STOREFRONT.schema,
    )
    records = _records("storefront", key, who.offset + person, other, np.zeros(m, dtype=bool))
    return _existing(table, defects, records, np.flatnonzero(created < until), Place("storefront", WHOLE))


def _existing(table: pa.Table, defects: Plan, records: pa.Table, keep: np.ndarray, place: Place) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The rows that exist already, their defects (named by the key they should have), and whose they are."""
    rows = pa.array(keep)
    shown, found = finish(table.append_column("_key", records.column("key")).take(rows), "_key", defects.where(keep), place)
    return shown.drop_columns("_key"), found, records.take(rows)


def _records(stream: str, key: pa.Array, person: np.ndarray, second: np.ndarray, placeholder: np.ndarray) -> pa.Table:
    """Whose each record is, whether it is the person's second in the stream, and whether its address is `PLACEHOLDER`."""
    kinds = text.words(("first", "second"), second.astype(np.int8))
    return pa.table(
        {"stream": pa.repeat(stream, len(key)), "key": key, "person": person, "kind": kinds, "placeholder": placeholder}, schema=RECORD_SCHEMA
    )


def _spoil(column: pa.Array, rows: np.ndarray, choices: tuple[str, ...]) -> pa.Array:
    return text.put(column, rows, garbage(choices, np.flatnonzero(rows)))


def _given(some: People, person: np.ndarray, nickname: np.ndarray, blank: np.ndarray) -> pa.Array:
    return text.words(GIVEN + NICKNAMES, some.given[person] + len(GIVEN) * nickname, ~blank)


def _family(some: People, person: np.ndarray, typo: np.ndarray) -> pa.Array:
    """Family names; a typo loses the third letter."""
    slips = tuple(name[:2] + name[3:] for name in FAMILY)
    return text.words(FAMILY + slips, some.family[person] + len(FAMILY) * typo)


def _born(some: People, person: np.ndarray, blank: np.ndarray) -> pa.Array:
    dates = some.born[person].astype("datetime64[D]").astype(np.int32)
    return text.gather(pa.array(dates).cast(pa.date32()).cast(pa.string()), np.arange(len(person)), ~blank)
