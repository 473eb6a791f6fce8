"""What persons are called and how they are reached: names, addresses, numbers, ids. Every address ends in a reserved domain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.shop import text
from connectors.shop.config import BLOCK, KEPT_BLOCKS, Draws, ShopConfig, generator
from connectors.shop.personas import column, pick, steps
from connectors.shop.population import population

WOMEN = (
    "Anna", "Maria", "Katharina", "Sophie", "Laura", "Julia", "Lena", "Emma", "Olivia", "Charlotte", "Elisabeth", "Lucia", "Carmen", "Martina",
    "Giulia", "Francesca", "Elena", "Sarah", "Hannah", "Johanna", "Isabel", "Theresa", "Victoria", "Amelia", "Margarete",
)  # fmt: skip
MEN = (
    "Lukas", "Maximilian", "Paul", "Jonas", "Felix", "Thomas", "Michael", "Stefan", "Oliver", "George", "Harry", "James", "William", "Alexander",
    "Marco", "Luca", "Matteo", "Antonio", "Javier", "Pablo", "Daniel", "David", "Andreas", "Johannes", "Christian",
)  # fmt: skip
GIVEN = WOMEN + MEN
NICKNAMES = (
    "Anni", "Mia", "Kathi", "Sofie", "Laury", "Jule", "Leni", "Em", "Liv", "Lotte", "Lisi", "Lucy", "Carmela", "Tina",
    "Giuli", "Fra", "Leni", "Sara", "Hanna", "Hanni", "Isa", "Resi", "Vicky", "Millie", "Gretel",
    "Luki", "Max", "Pauli", "Joni", "Lixi", "Tom", "Michi", "Steff", "Olli", "Georgie", "Hal", "Jim", "Bill", "Alex",
    "Marc", "Lucas", "Teo", "Toni", "Javi", "Pau", "Dani", "Dave", "Andi", "Hannes", "Chris",
)  # fmt: skip
FAMILY = (
    "Gruber", "Huber", "Bauer", "Wagner", "Mueller", "Pichler", "Steiner", "Moser", "Mayer", "Hofer", "Leitner", "Berger", "Fuchs", "Eder", "Fischer",
    "Schmidt", "Schneider", "Weber", "Becker", "Schulz", "Hoffmann", "Koch", "Richter", "Klein", "Wolf", "Neumann", "Schwarz", "Zimmermann",
    "Smith", "Jones", "Taylor", "Brown", "Williams", "Wilson", "Johnson", "Davies", "Robinson", "Wright", "Thompson", "Evans", "Walker", "White",
    "Garcia", "Martinez", "Lopez", "Sanchez", "Gonzalez", "Perez", "Fernandez", "Romero", "Torres", "Navarro",
    "Rossi", "Russo", "Ferrari", "Esposito", "Bianchi", "Romano", "Colombo", "Ricci", "Marino", "Greco", "Conti", "Gallo",
)  # fmt: skip
COUNTRIES = ("DE", "AT", "GB", "ES", "IT")
COUNTRY_STEPS = np.cumsum([[0.46, 0.20, 0.14, 0.10, 0.10]], axis=1)
LANGUAGES = ("de", "de", "en", "es", "it")
CITIES = (
    "Berlin", "Hamburg", "Muenchen", "Koeln", "Leipzig", "Wien", "Graz", "Linz", "Salzburg", "Innsbruck", "London", "Leeds", "Bristol", "Glasgow",
    "Cardiff", "Madrid", "Barcelona", "Valencia", "Sevilla", "Bilbao", "Roma", "Milano", "Torino", "Bologna", "Napoli",
)  # fmt: skip
"""Five of each country, in the order of `COUNTRIES`."""
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")
TRUNKS = ("0151", "0664", "074", "6", "34")
"""How a mobile number starts inside each country, trunk prefix included; eight digits follow."""
ABROAD = ("+49151", "+43664", "+4474", "+346", "+3934")
"""The same as dialled from abroad."""


@dataclass(frozen=True)
class People:
    """Attributes of a block's persons, one entry each; `email` is the person's own, lower case."""

    given: np.ndarray
    family: np.ndarray
    woman: np.ndarray
    other_gender: np.ndarray
    born: np.ndarray
    country: np.ndarray
    city: np.ndarray
    area: np.ndarray
    email: pa.StringArray


@lru_cache(maxsize=KEPT_BLOCKS)
def people(config: ShopConfig, block: int) -> People:
    """The attributes of a block's persons."""
    rng = generator(config, Draws.PEOPLE, block)
    persona = population(config, block).likes_like
    n = len(persona)
    woman = rng.random(n) < 0.52
    given = rng.integers(0, len(WOMEN), n) + np.where(woman, 0, len(WOMEN))
    family = rng.integers(0, len(FAMILY), n)
    country = pick(rng, COUNTRY_STEPS, np.zeros(n, dtype=np.uint8))
    mean, spread = column("age")[persona].T
    age = np.clip(mean + spread * rng.standard_normal(n), 18, 92)
    born = np.datetime64(config.start, "D") - (age * 365.25).astype(np.int64)
    numbers = pa.array(np.arange(block * BLOCK, block * BLOCK + n)).cast(pa.string())
    name = text.join(text.words(_lower(GIVEN), given), text.words(_lower(FAMILY), family), by=".")
    email = text.join(text.join(name, numbers), text.words(DOMAINS, rng.integers(0, len(DOMAINS), n)), by="@")
    return People(
        given=given, family=family, woman=woman, other_gender=rng.random(n) < 0.02, born=born, country=country,
        city=country.astype(np.int64) * 5 + rng.integers(0, 5, n), area=pick(rng, steps("areas"), persona), email=email,
    )  # fmt: skip


def user_stamps(person: np.ndarray, second: np.ndarray | int = 0) -> np.ndarray:
    """Account ids (dtype S16); `second` is 1 for the other account of those who have two."""
    return text.stamps("user", person * 2 + second)


def user_ids(person: np.ndarray, second: np.ndarray | int = 0, valid: np.ndarray | None = None) -> pa.StringArray:
    """Account ids as a column, null where not `valid`."""
    stamps = user_stamps(person, second)
    return text.fixed(stamps if valid is None else stamps[valid], valid)


def scribbled(draw: np.ndarray, emails: pa.Array, dirt: float) -> pa.Array:
    """Addresses as people type them: capitals and blanks here and there, as each row's `draw` (0..1) says."""
    u = draw / dirt if dirt else np.ones(len(draw))
    for low, high, change in (
        (0.0, 0.05, lambda a: pc.call_function("utf8_upper", [a])),
        (0.05, 0.10, lambda a: pc.call_function("utf8_title", [a])),
        (0.10, 0.14, lambda a: text.join(" ", a, "  ")),
    ):
        rows = (u >= low) & (u < high)
        if rows.any():
            emails = text.put(emails, rows, change(emails.filter(pa.array(rows))))
    return emails


def phones(rng: np.random.Generator, person: np.ndarray, country: np.ndarray) -> pa.StringArray:
    """Mobile numbers as people write them: inside their country, with blanks or slashes, or as dialled from abroad."""
    digits = (person.astype(np.int64) * 7_654_321 + 12_345_678) % 100_000_000
    front, back = digits // 10_000, digits % 10_000
    front, back = (text.words(_FOUR_DIGITS, part) for part in (front, back))
    trunk, abroad = text.words(TRUNKS, country), text.words(ABROAD, country)
    style = np.searchsorted([0.30, 0.60, 0.75, 0.85], rng.random(len(person)), side="right")
    styles = (
        text.join(trunk, front, back),
        text.join(trunk, front, back, by=" "),
        text.join(trunk, "/", front, back),
        text.join(abroad, front, back, by=" "),
        text.join(abroad, front, back),
    )
    return pc.call_function("choose", [pa.array(style), *styles])


_FOUR_DIGITS = tuple(f"{i:04d}" for i in range(10_000))


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n.lower() for n in names)
