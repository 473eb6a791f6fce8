"""The `enrichment` stream: attributes of persons bought from a data provider, mostly right."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from connectors.shop import text
from connectors.shop.calendar import DAY
from connectors.shop.config import Draws, ShopConfig, generator
from connectors.shop.dirt import DUPLICATES, Place, finish, plan, words
from connectors.shop.people import COUNTRIES, people, scribbled
from connectors.shop.personas import AREAS
from connectors.shop.population import Population
from connectors.shop.streams import ENRICHMENT, WHOLE

ATTRIBUTES = ("age", "area", "gender", "country")
UNKNOWN_ATTRIBUTES = ("shoe_size", "net_worth_band", "x17")
BAD_VALUES = ("#REF!", "see notes", "[object Object]")
RATES = {"unknown_attribute": 0.002, "bad_value": 0.001, "no_identifier": 0.001, "bad_confidence": 0.001, "duplicate": DUPLICATES}
AREA_WORDS = (*AREAS, "city", "suburb", "countryside")
GENDER_WORDS = ("female", "male", "other", "F", "M", "X")
COVERAGE = 0.5
"""Share of persons the provider knows."""
RIGHT = 0.92
"""Share of its statements that are right."""


def enrichment(config: ShopConfig, who: Population, until: int) -> tuple[pa.Table, pa.Table]:
    """Statements about the block's persons made before `until`, and their defects."""
    rng = generator(config, Draws.ENRICHMENT, who.block)
    some = people(config, who.block)
    n = len(who)
    known = rng.random(n) < COVERAGE
    person, attribute = np.nonzero(known[:, None] & (rng.random((n, len(ATTRIBUTES))) < 0.85))
    m = len(person)
    planned = plan(rng, m, RATES, config.dirt)
    right, spelled = rng.random(m) < RIGHT, rng.random(m) < 0.2 * config.dirt
    provided = who.joined[person] + ((5 + 200 * rng.random(n))[person] * DAY).astype(np.int64)
    age = np.clip((provided - some.born[person].astype("datetime64[us]").astype(np.int64)) // (365.25 * DAY) + np.where(right, 0, 7), 18, 99)
    area = np.where(right, some.area[person], (some.area[person] + 1) % 3) + 3 * spelled
    gender = np.where(some.other_gender, 2, np.where(some.woman, 0, 1))[person]
    gender = np.where(right, gender, 1 - gender % 2) + 3 * spelled
    confidence, typed = np.round(0.5 + 0.5 * np.sqrt(rng.random(m)), 3), rng.random(m)
    ages, values = 100, (*(str(i) for i in range(100)), *AREA_WORDS, *GENDER_WORDS, *COUNTRIES)
    code = np.choose(attribute, [age.astype(np.int64), ages + area, ages + 6 + gender, ages + 12 + some.country[person]])
    keep = np.flatnonzero(provided < until)
    defects = planned.where(keep)
    odd, bad = defects.rows("unknown_attribute"), defects.rows("bad_value")
    address = text.gather(some.email, who.email_owner[person[keep]], ~defects.rows("no_identifier"))
    table = pa.table(
        {
            "enrichment_id": text.ids("enri", (who.offset + person[keep]) * len(ATTRIBUTES) + attribute[keep]),
            "email": scribbled(typed[keep], address, config.dirt),
            "attribute": words(ATTRIBUTES, attribute[keep], odd, UNKNOWN_ATTRIBUTES, keep),
            "value": words(values, code[keep], bad, BAD_VALUES, keep),
            "confidence": confidence[keep] + np.where(defects.rows("bad_confidence"), 90.0, 0.0),
            "provided_at": text.instants(provided[keep]),
        },
        schema=ENRICHMENT.schema,
    )
    return finish(table, "enrichment_id", defects, Place("enrichment", WHOLE))
