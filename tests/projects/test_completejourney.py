"""The Complete Journey, households of a grocer: purchases, campaigns, coupons and demographics come together, and segments are those of the files."""

from __future__ import annotations

import pytest

from tests.projects.real import Refreshed, ask

pytestmark = pytest.mark.slow

FILES = """
WITH purchases AS (FROM '{data}/completejourney/transactions_sample.parquet'), households AS (FROM '{data}/completejourney/demographics.parquet'),
     received AS (SELECT household_id, campaign_id, timezone('America/New_York', start_date::TIMESTAMP) AS moment
                  FROM '{data}/completejourney/campaigns.parquet' JOIN '{data}/completejourney/campaign_descriptions.parquet' USING (campaign_id)),
     redeemed AS (SELECT *, timezone('America/New_York', redemption_date::TIMESTAMP) AS moment FROM '{data}/completejourney/coupon_redemptions.parquet'),
     today AS (SELECT TIMESTAMPTZ '2018-01-01 05:00:00Z' AS now)
"""

WHO = {
    "answers_campaigns": """SELECT DISTINCT household_id FROM received a JOIN redeemed b USING (household_id, campaign_id)
                            WHERE b.moment > a.moment AND b.moment <= a.moment + INTERVAL 42 DAYS""",
    "ignores_campaigns": """SELECT household_id FROM received, today WHERE moment > now - INTERVAL 365 DAYS GROUP BY household_id HAVING count(*) >= 3
                            EXCEPT SELECT household_id FROM redeemed, today WHERE moment > now - INTERVAL 365 DAYS""",
    "coupon_collectors": """SELECT household_id FROM purchases, today WHERE coupon_disc >= 1 AND transaction_timestamp > '2017-07-05 05:00:00'
                            GROUP BY household_id HAVING count(*) >= 2
                            UNION SELECT household_id FROM redeemed, today WHERE moment > now - INTERVAL 180 DAYS GROUP BY household_id HAVING count(*) >= 5""",
    "lapsed": """SELECT household_id FROM purchases GROUP BY household_id HAVING max(transaction_timestamp) < '2017-10-01 04:00:00'""",
    "families": """SELECT household_id FROM households WHERE kids_count <> '0'
                   INTERSECT SELECT household_id FROM purchases WHERE transaction_timestamp > '2017-12-02 05:00:00'""",
    "young_renters": "SELECT household_id FROM households WHERE age IN ('19-24', '25-34') AND home_ownership LIKE '%Renter'",
}


@pytest.fixture(scope="module")
def grocer(tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    return Refreshed.of("completejourney", tmp_path_factory.mktemp("completejourney"))


def test_the_project_runs(grocer: Refreshed) -> None:
    assert grocer.done.code == 0, grocer.done.err
    assert grocer.done.json["people"] == 2379


def test_every_row_becomes_part_of_a_table(grocer: Refreshed) -> None:
    assert grocer.accounts() == {
        "grocer/purchases": {"read": 75_000, "kept": 75_000, "quarantined": 0},
        "grocer/campaigns": {"read": 6_589, "kept": 6_589, "quarantined": 0},
        "grocer/redemptions": {"read": 2_102, "kept": 2_102, "quarantined": 0},
        "grocer/households": {"read": 801, "kept": 801, "quarantined": 0},
    }
    assert grocer.reasons() == {}


def test_demographics_are_words_of_the_taxonomy(grocer: Refreshed) -> None:
    profiles = grocer.table("profiles", "profiles").select("age_band", "income", "home", "kids", "household_size").to_pyarrow()
    counts = {name: {value["values"]: value["counts"] for value in profiles[name].value_counts().to_pylist()} for name in profiles.column_names}
    assert {name: sum(n for value, n in found.items() if value is not None) for name, found in counts.items()} == {
        "age_band": 801, "income": 801, "home": 568, "kids": 801, "household_size": 801,
    }  # fmt: skip
    assert counts["income"] == {None: 1578, "low": 212, "middle": 364, "high": 225}
    assert counts["home"] == {None: 1811, "owned": 515, "rented": 53}
    assert counts["kids"] == {None: 1578, "none": 513, "one": 159, "two": 60, "more": 69}


@pytest.mark.parametrize("segment", sorted(WHO))
def test_segments_hold_whom_a_query_on_the_files_finds(grocer: Refreshed, segment: str) -> None:
    persons = grocer.persons()
    expected = {persons[household] for (household,) in ask(FILES + WHO[segment])}
    assert expected
    assert grocer.members(segment) == expected


def test_the_best_tenth_is_a_tenth(grocer: Refreshed) -> None:
    [(buyers,)] = ask(FILES + "SELECT count(DISTINCT household_id) FROM purchases")
    assert buyers / 10 <= grocer.segments["best_households"] <= buyers / 10 + 5
    assert 0 < grocer.segments["high_income_quiet"] < 225


def test_personas_cover_every_household_under_different_names(grocer: Refreshed) -> None:
    personas = grocer.done.json["personas"]
    assert sum(persona["size"] for persona in personas) == 2379
    assert len({persona["label"] for persona in personas}) == len(personas) >= 3
