"""Configuration of the shop and the numbers derived from it alone: blocks of persons, seeded generators. No data is made here."""

from __future__ import annotations

import hashlib
from datetime import date
from enum import IntEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from connectors.types import Config

if TYPE_CHECKING:
    import numpy as np

BLOCK = 50_000
"""Persons generated together; a block is reproducible without the others."""
KEPT_BLOCKS = 24
"""Blocks kept in memory between months, about 15 MB each; shops of more persons are generated anew for each month."""
PAGE = 250_000
"""Most rows of a page."""


class ShopConfig(Config):
    """What the shop is like."""

    customers: int = Field(default=5_000, ge=1, le=10_000_000, description="Persons that exist over the whole period.")
    seed: int = Field(default=7, ge=0, le=2**32 - 1, description="Same seed and settings, same data.")
    start: date = Field(default=date(2025, 7, 1), description="First day with events (UTC).")
    end: date = Field(default=date(2026, 6, 30), description="Last day with events (UTC), inclusive.")
    timezone: str = Field(default="Europe/Berlin", description="Zone of the back office, whose `orders` carry naive local times.")
    dirt: float = Field(
        default=1.0, ge=0, le=1, description="How dirty the data is: multiplies the rate of every defect, duplicate and trap; 0 is clean."
    )
    truth: str | None = Field(
        default=None,
        description="Folder the planted truth is written to while streams are read, relative to the project's folder. Not written when missing.",
    )

    @field_validator("timezone")
    @classmethod
    def _zone_must_exist(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {zone!r}; use an IANA name such as Europe/Berlin") from None
        return zone

    @model_validator(mode="after")
    def _period_must_be_sound(self) -> ShopConfig:
        if self.end < self.start:
            raise ValueError(f"end ({self.end}) is before start ({self.start})")
        if self.start.year < 1980 or self.end.year > 2100 or (self.end - self.start).days > 20 * 366:
            raise ValueError("the period must lie within 1980..2100 and span at most 20 years")
        return self

    def __hash__(self) -> int:
        return hash((self.customers, self.seed, self.start, self.end, self.timezone, self.dirt))

    @property
    def blocks(self) -> range:
        return range(-(-self.customers // BLOCK))

    @property
    def fingerprint(self) -> str:
        """Changes when the data changes; where the truth goes does not matter."""
        return hashlib.sha256(self.model_dump_json(exclude={"truth"}).encode()).hexdigest()[:12]


class Draws(IntEnum):
    """What random numbers are for: each purpose has its own counter-based generator, so that none disturbs another."""

    POPULATION = 0
    PURCHASES = 1
    EMAIL = 2
    TRACKING = 3
    ORDERS = 4
    CRM = 5
    STOREFRONT = 6
    CONSENTS = 7
    ENRICHMENT = 8
    MENTIONS = 9
    SENDS = 10
    PEOPLE = 11


def generator(config: ShopConfig, draws: Draws, block: int, month: int = 0) -> np.random.Generator:
    """The generator of one purpose, block and month: Philox keyed by (seed, purpose, block, month)."""
    import numpy as np

    return np.random.Generator(np.random.Philox(np.random.SeedSequence((config.seed, int(draws), block, month))))
