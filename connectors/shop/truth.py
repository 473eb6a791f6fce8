"""The planted truth: who is who and what they are really like. Tests and benchmarks read it; no asset ever does.

Files in the truth folder: persons.parquet, traps.parquet, records/<stream>.parquet, defects/<stream>/<slice>.parquet,
consent_statements.parquet, consent_state.parquet (as of the last instant delivered).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.shop import text
from connectors.shop.calendar import DAY, NEVER, instant
from connectors.shop.config import ShopConfig
from connectors.shop.consents import Statements, state_at, statements, true_statements
from connectors.shop.people import COUNTRIES, people
from connectors.shop.personas import AREAS, CATEGORIES, NAMES, TASTES
from connectors.shop.population import Population, population

ARMS = ("none", "control", "treatment")
TRAP_SCHEMA = pa.schema([("kind", pa.string()), ("person", pa.int64()), ("other", pa.int64())])


def persons(config: ShopConfig, who: Population) -> pa.Table:
    """One row per person: habits as planted. Rates are per year while alive; `effect` is the true effect on P(visit within 14 days)."""
    some = people(config, who.block)
    beyond = instant(config.end) + DAY
    left = who.alive_until
    return pa.table(
        {
            "person": who.offset + np.arange(len(who)),
            "persona": text.words(NAMES, who.persona),
            "alive": left >= beyond,
            "left_at": text.instants(left, left < NEVER),
            "joined_at": text.instants(who.joined),
            "order_rate": who.order_rate,
            "leave_chance": np.where(who.order_rate > 0, who.leave_chance, np.nan),
            "order_value_mean": who.value_mean,
            "visit_rate": who.visit_rate,
            "open_rate": who.open_rate,
            "orders": np.bincount(who.orders.who, minlength=len(who)),
            "favourite_category": text.words(CATEGORIES, who.favourite),
            "preferred_channel": text.words(TASTES, who.taste),
            "has_account": who.account,
            "arm": text.words(ARMS, who.arm),
            "effect": pa.array(who.effect, mask=who.arm == 0),
            "gender": text.words(("female", "male", "other"), np.where(some.other_gender, 2, np.where(some.woman, 0, 1))),
            "birth_date": pa.array(some.born.astype("datetime64[D]").astype(np.int32)).cast(pa.date32()),
            "country": text.words(COUNTRIES, some.country),
            "area": text.words(AREAS, some.area),
        }
    )


def traps(who: Population) -> pa.Table:
    """Pairs of persons who share an identifier though they are two: `person` uses the e-mail or the devices of `other`."""
    index = np.arange(len(who))
    email, device = np.flatnonzero(who.email_owner != index), np.flatnonzero(who.device_owner != index)
    return pa.table(
        {
            "kind": pa.concat_arrays([pa.repeat("email", len(email)), pa.repeat("device", len(device))]),
            "person": who.offset + np.concatenate([email, device]),
            "other": who.offset + np.concatenate([who.email_owner[email], who.device_owner[device]]),
        },
        schema=TRAP_SCHEMA,
    )


def write_slice(folder: Path, stream: str, slice_: str, sizes: Sequence[int], planted: Sequence[Sequence[pa.Table]]) -> None:
    """What is known about the rows of a slice.

    Args:
        folder: the truth folder.
        stream: whose slice.
        slice_: its name.
        sizes: rows of each block's part.
        planted: per block the defects, with positions counted within the block, and for contacts whose the records are.
    """
    defects = []
    for start, (wrong, *_) in zip(accumulate(sizes, initial=0), planted, strict=False):
        position = wrong.column_names.index("position")
        defects.append(wrong.set_column(position, "position", pa.array(wrong["position"].to_numpy() + start)))
    _write(folder / "defects" / stream / f"{slice_}.parquet", defects)
    if records := [table for _, *more in planted for table in more]:
        _write(folder / "records" / f"{stream}.parquet", records)


def write_whole(folder: Path, config: ShopConfig, stream: str, until: int) -> None:
    """The parts of the truth that come with a stream of one slice: persons with `crm`, consents with `consents`."""
    if stream == "crm":
        _write(folder / "persons.parquet", (persons(config, population(config, block)) for block in config.blocks))
        _write(folder / "traps.parquet", (traps(population(config, block)) for block in config.blocks))
    if stream == "consents":
        _write(folder / "consent_statements.parquet", (true_statements(who, said, until) for who, said in _said(config)))
        _write(folder / "consent_state.parquet", (state_at(who, said, until) for who, said in _said(config)))


def _said(config: ShopConfig) -> Iterator[tuple[Population, Statements]]:
    for block in config.blocks:
        who = population(config, block)
        yield who, statements(config, who)


def _write(file: Path, tables: Iterable[pa.Table]) -> None:
    """Writes tables one after another into one Parquet file, which appears only when it is complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    rows = iter(tables)
    first = next(rows)
    with pq.ParquetWriter(partial, first.schema) as writer:
        for table in chain([first], rows):
            writer.write_table(table)
    partial.replace(file)
