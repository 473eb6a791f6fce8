"""The profile keeps the surviving value of every attribute: own records before bought ones, as of an instant."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
import pytest

from seg_assets.lake import Engine
from seg_assets.profiles.profiles import people, profiles, profiles_table
from seg_assets.schema.tables import CONTACTS, ENRICHMENTS, IDENTIFIERS, MENTIONS, PERSONS, VAULT
from seg_assets.schema.taxonomy import Taxonomy, default_taxonomy
from seg_assets.schema.types import Table

ENGINE = Engine()
AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
DROPPED = {c.name for c in IDENTIFIERS}
OWN = default_taxonomy().extended(
    {
        "attributes": {
            "tier": {"type": "string", "description": "Tier."},
            "points": {"type": "int64", "description": "Points."},
            "credit": {"type": "decimal", "description": "Credit."},
            "vip": {"type": "boolean", "description": "VIP."},
            "met_on": {"type": "date", "description": "First meeting."},
        }
    }
)


def table(shape: Table, rows: list[dict[str, Any]], **defaults: Any) -> ibis.Table:
    """Rows as `with_person` leaves them: person_id (default 1) in place of identifiers."""
    schema = pa.schema([("person_id", pa.int64()), *(f for f in shape.schema.to_pyarrow() if f.name not in {*DROPPED, "person_id"})])
    full = [{"person_id": 1, **defaults, **row} for row in rows]
    return ENGINE.from_arrow(pa.Table.from_pylist(full, schema))


def bought(attribute: str, value: str, **more: Any) -> dict[str, Any]:
    return {"enrichment_id": f"{attribute}-{value}", "attribute": attribute, "value": value, "provided_at": AS_OF - timedelta(days=1), **more}


def mention(sentiment: float | None, **ago: float) -> dict[str, Any]:
    return {"mention_id": f"{sentiment}{ago}", "network": "x", "mention_time": AS_OF - timedelta(**ago), "sentiment": sentiment}


def profile(
    *contacts: dict[str, Any],
    enrichments: tuple[dict[str, Any], ...] = (),
    mentions: tuple[dict[str, Any], ...] = (),
    vault: tuple[dict[str, Any], ...] = (),
    taxonomy: Taxonomy = OWN,
    trust: tuple[str, ...] = (),
    as_of: datetime = AS_OF,
) -> dict[str, Any]:
    found = profiles(
        table(PERSONS, [{"identifiers": 1, "contacts": len(contacts)}]),
        table(CONTACTS, [{"contact_id": f"c{i}", **c} for i, c in enumerate(contacts)], source="crm/people"),
        table(ENRICHMENTS, list(enrichments), source="data/attributes"),
        table(MENTIONS, list(mentions), source="social/posts"),
        ENGINE.from_arrow(pa.Table.from_pylist([{"person_id": 1, **v} for v in vault], VAULT.schema.to_pyarrow())),
        taxonomy,
        trust,
        as_of,
    )
    assert found.schema() == profiles_table(taxonomy).schema
    (row,) = ENGINE.connection.to_pyarrow(found).to_pylist()
    return row


def test_a_person_nothing_is_known_of_has_a_profile_all_the_same() -> None:
    row = profile()
    assert {name: value for name, value in row.items() if value is not None} == {
        "person_id": 1, "contacts": 0, "has_email": False, "has_phone": False, "mentions_90d": 0,
    }  # fmt: skip


def test_what_contacts_say_comes_before_what_was_bought() -> None:
    row = profile({"city": "Bonn"}, enrichments=(bought("city", "Rome"), bought("country", "IT")))
    assert (row["city"], row["country"]) == ("Bonn", "IT")


def test_of_bought_values_the_newest_then_the_surest_counts_and_none_from_after_as_of() -> None:
    later = AS_OF + timedelta(seconds=1)
    offers = (
        bought("city", "Rome", confidence=0.4),
        bought("city", "Bonn", confidence=0.9),
        bought("city", "Oslo", confidence=1.0, provided_at=AS_OF - timedelta(days=2)),
        bought("city", "Kiel", confidence=1.0, provided_at=later),
    )
    assert profile(enrichments=offers)["city"] == "Bonn"
    assert profile(enrichments=offers[::-1])["city"] == "Bonn"
    assert profile(enrichments=offers, as_of=later)["city"] == "Kiel"


def test_bought_words_are_spelled_as_the_taxonomy_spells_them() -> None:
    assert profile(enrichments=(bought("gender", "Woman"), bought("area", "country-side?")))["gender"] == "female"
    assert profile(enrichments=(bought("area", "somewhere"),))["area"] is None


def test_a_bought_number_that_can_not_be_true_is_not_taken() -> None:
    assert profile(enrichments=(bought("age", "47"),))["age"] == 47
    assert profile(enrichments=(bought("age", "470"),))["age"] is None
    assert profile(enrichments=(bought("age", "about forty"),))["age"] is None


@pytest.mark.parametrize(
    ("born", "today", "age"),
    [
        (date(2000, 3, 1), date(2026, 3, 1), 26),
        (date(2000, 3, 2), date(2026, 3, 1), 25),
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(2000, 2, 29), date(2028, 2, 29), 28),
        (date(2000, 12, 31), date(2026, 1, 1), 25),
        (date(2026, 3, 1), date(2026, 3, 1), 0),
    ],
)
def test_age_counts_birthdays(born: date, today: date, age: int) -> None:
    assert profile({"birth_date": born}, as_of=datetime(today.year, today.month, today.day, tzinfo=UTC))["age"] == age


def test_a_birth_date_beats_a_stated_age_which_beats_a_bought_one() -> None:
    enrichment = (bought("age", "60"),)
    assert profile({"birth_date": date(2000, 1, 1), "age": 50}, enrichments=enrichment)["age"] == 26
    assert profile({"age": 50}, enrichments=enrichment)["age"] == 50
    assert profile({}, enrichments=enrichment)["age"] == 60


def test_an_impossible_birth_date_leaves_the_stated_age() -> None:
    assert profile({"birth_date": date(1800, 1, 1), "age": 50})["age"] == 50
    assert profile({"birth_date": date(2030, 1, 1)})["age"] is None


def test_custom_attributes_come_typed_from_the_json_of_contacts() -> None:
    document = {"tier": "gold", "points": 7, "credit": 12.5, "vip": True, "met_on": "2024-02-29", "timezone": "Europe/Vienna", "unheard_of": 1}
    row = profile({"attributes": json.dumps(document)})
    assert {name: row[name] for name in OWN.custom_attributes} == {
        "tier": "gold", "points": 7, "credit": Decimal("12.50"), "vip": True, "met_on": date(2024, 2, 29), "timezone": "Europe/Vienna",
    }  # fmt: skip


def test_numbers_and_truths_may_be_quoted_in_json() -> None:
    row = profile({"attributes": '{"points": "7", "vip": "true", "tier": "null"}'})
    assert (row["points"], row["vip"], row["tier"]) == (7, True, "null")


@pytest.mark.parametrize("document", ["no json at all", "[1, 2]", '{"points": {"a": 1}, "tier": null}', '{"points": "many"}', "7", ""])
def test_json_that_does_not_fit_is_missing_and_stops_nothing(document: str) -> None:
    row = profile({"attributes": document})
    assert (row["points"], row["tier"]) == (None, None)


def test_custom_attributes_can_be_bought_too() -> None:
    assert profile(enrichments=(bought("points", "12"),))["points"] == 12


def test_trusted_sources_survive() -> None:
    contacts = ({"city": "Rome", "source": "shop/users", "updated_at": AS_OF}, {"city": "Bonn", "source": "crm/people"})
    assert profile(*contacts, trust=("crm",))["city"] == "Bonn"
    assert profile(*contacts)["city"] == "Rome"


def test_the_profile_says_that_a_person_can_be_reached_and_not_how() -> None:
    row = profile(vault=({"email": "canary@x.org"},))
    assert (row["has_email"], row["has_phone"]) == (True, False)
    assert "canary" not in str(row)


def test_mentions_of_90_days_count_and_their_tone_is_averaged() -> None:
    row = profile(mentions=(mention(0.5, days=1), mention(-0.25, days=89), mention(None, days=2), mention(1, days=90), mention(1, seconds=-1)))
    assert (row["mentions_90d"], row["sentiment_90d"]) == (3, 0.125)


def test_people_keep_every_profile_and_gain_columns() -> None:
    base = ENGINE.from_arrow(pa.table({"person_id": [1, 2], "city": ["Bonn", "Rome"]}))
    scores = ENGINE.from_arrow(pa.table({"person_id": [2], "score": [5], "city": ["Oslo"]}))
    rows = ENGINE.connection.to_pyarrow(people(base, scores)).sort_by("person_id").to_pylist()
    assert rows == [{"person_id": 1, "city": "Bonn", "score": None}, {"person_id": 2, "city": "Rome", "score": 5}]
