from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from seg_assets.clustering.personas import personas
from seg_assets.clustering.traits import cluster_traits
from seg_assets.schema.tables import PERSONAS


def group(cluster: int, size: int, **columns) -> pa.Table:
    return pa.table(
        {"cluster_id": pa.array([cluster] * size, pa.int64())} | {n: v if isinstance(v, list) else [v] * size for n, v in columns.items()}
    )


def people(*groups: pa.Table) -> pa.Table:
    table = pa.concat_tables(groups, promote_options="permissive")
    return table.append_column("person_id", pa.array(range(len(table)), pa.int64()))


def described(*groups: pa.Table, **options) -> dict[int, dict]:
    return {row["cluster_id"]: row for row in personas(people(*groups), **options).to_pylist()}


BUYERS = group(
    0,
    100,
    orders_365d=[3, 4, 4, 4, 5] * 20,
    revenue_365d=210.0,
    days_since_event=3.0,
    top_channel=["app"] * 64 + ["web"] * 36,
    top_category=["beauty"] * 80 + ["home_garden"] * 20,
    engagement_label="Highly Engaged",
    rfm_segment=["Champions"] * 70 + ["Loyal"] * 30,
)
VISITORS = group(
    1,
    300,
    orders_365d=[0] * 290 + [1] * 10,
    revenue_365d=[0.0] * 290 + [20.0] * 10,
    days_since_event=80.0,
    top_channel=["web"] * 290 + ["app"] * 10,
    top_category=["beauty"] * 30 + ["home_garden"] * 270,
    engagement_label="Lurker",
    rfm_segment=[None] * 290 + ["Lost"] * 10,
)


def test_a_persona_says_what_sets_it_apart():
    found = described(BUYERS, VISITORS, currency="EUR")
    assert found[0]["label"] == "Loyal app buyers of Beauty"
    assert found[1]["label"] == "Dormant web visitors interested in Home Garden"
    assert found[0]["narrative"] == (
        "100 people, 25% of all. Typically last seen 3 days ago (everyone: 80), 4 orders in the last year (everyone: 0) and "
        "EUR 210 spent in the last year (everyone: EUR 0). 64% use the app most (everyone: 18%), 80% look most at Beauty (everyone: 28%) and "
        "70% of the buyers are in the RFM segment Champions (everyone: 64%)."
    )


def test_the_table_is_canonical_and_its_traits_are_json():
    table = personas(people(BUYERS, VISITORS))
    assert table.schema.equals(PERSONAS.schema.to_pyarrow())
    first = table.to_pylist()[0]
    assert (first["persona"], first["size"], first["share"], first["preferred_channel"]) == ("persona_0", 100, 0.25, "app")
    traits = json.loads(first["traits"])
    assert traits["features"]["orders_365d"]["median"] == 4
    assert traits["words"]["top_category"] == {"word": "beauty", "share": 0.8, "overall": 0.275}


def test_effect_is_the_chance_of_more_minus_the_chance_of_less():
    low, middle, high = cluster_traits(people(group(0, 2, x=[1, 2]), group(1, 1, x=[2]), group(2, 3, x=[2, 3, 4])))
    assert low.numbers["x"].effect == pytest.approx(np.mean([np.sign(a - b) for a in (1, 2) for b in (2, 2, 3, 4)]))
    assert middle.numbers["x"].effect == pytest.approx(np.mean([np.sign(2 - b) for b in (1, 2, 2, 3, 4)]))
    assert high.numbers["x"].effect == pytest.approx(np.mean([np.sign(a - b) for a in (2, 3, 4) for b in (1, 2, 2)]))


def test_a_single_cluster_is_unusual_in_nothing():
    (everyone,) = cluster_traits(people(BUYERS))
    assert everyone.numbers["orders_365d"].effect == 0


def test_labels_are_unique_and_alike_clusters_are_told_apart_by_what_differs():
    shared = {"orders_365d": 2, "top_channel": "app", "days_since_event": 5.0}
    found = described(
        group(0, 50, refund_share=0.0, categories=9, **shared),
        group(1, 50, refund_share=0.0, categories=1, **shared),
        group(2, 200, refund_share=0.0, categories=4, orders_365d=0, top_channel="web", days_since_event=50.0),
    )
    assert [found[i]["label"] for i in range(3)] == [
        "Current app buyers across many categories",
        "Current app buyers in few categories",
        "Dormant web visitors",
    ]


def test_clusters_that_differ_in_nothing_known_get_their_numbers():
    found = described(group(0, 5, orders_365d=1), group(4, 5, orders_365d=1), group(7, 5, orders_365d=1))
    assert [row["label"] for row in found.values()] == ["Typical buyers", "Typical buyers (no. 4)", "Typical buyers (no. 7)"]


def test_a_single_cluster_is_everyone():
    found = described(BUYERS)
    assert found[0]["label"] == "Everyone"
    assert found[0]["narrative"].startswith("100 people, 100% of all.")


def test_a_number_few_members_have_is_not_told_of_the_cluster():
    few = group(0, 50, orders_365d=0, days_since_order=[400.0] + [None] * 49)
    found = described(few, group(1, 50, orders_365d=3, days_since_order=5.0))
    assert "last order" not in found[0]["narrative"]
    assert "last order 5 days ago" not in found[0]["narrative"]


def test_where_the_typical_person_is_like_everyone_the_share_is_told():
    found = described(group(0, 50, email_clicks_90d=[0] * 30 + [2] * 20), group(1, 150, email_clicks_90d=0))
    assert "40% clicked an e-mail in the last 90 days (everyone: 10%)" in found[0]["narrative"]


def test_one_is_singular():
    found = described(group(0, 60, orders_365d=1, categories=1), group(1, 100, orders_365d=0, categories=3))
    assert "1 order in the last year (everyone: 0)" in found[0]["narrative"]
    assert "1 category touched (everyone: 3)" in found[0]["narrative"]


def test_features_of_a_project_are_described_by_their_name():
    found = described(group(0, 50, loyalty_points=90, top_channel="kiosk_3"), group(1, 100, loyalty_points=10, top_channel="web"))
    assert found[0]["label"] == "Kiosk 3 people"
    assert "90 loyalty points (everyone: 10)" in found[0]["narrative"]
    assert "use kiosk 3 most" in found[0]["narrative"]


def test_no_people_give_no_personas():
    assert len(personas(people(BUYERS.slice(0, 0)))) == 0


def test_row_order_does_not_matter():
    table = people(BUYERS, VISITORS)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    assert personas(shuffled).equals(personas(table))


def test_narratives_are_two_or_three_sentences():
    for row in described(BUYERS, VISITORS).values():
        assert 2 <= row["narrative"].count(". ") + 1 <= 3
        assert row["narrative"].endswith(".")
