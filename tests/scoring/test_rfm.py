from __future__ import annotations

from collections import Counter
from itertools import product

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_assets.scoring.rfm import RFM_SEGMENTS, rfm

FEATURES = pa.schema(
    {
        "person_id": pa.int64(),
        "days_since_order": pa.float64(),
        "orders_90d": pa.int64(),
        "revenue_90d": pa.float64(),
        "orders_365d": pa.int64(),
        "revenue_365d": pa.float64(),
    }
)


def buyer(person: int, days: float | None, orders: int, revenue: float, *, orders_90d: int = 0) -> dict:
    row = {"person_id": person, "days_since_order": days, "orders_365d": orders, "revenue_365d": revenue}
    return row | {"orders_90d": orders_90d, "revenue_90d": revenue if orders_90d else 0.0}


def score(buyers: list[dict], **options) -> dict[int, dict]:
    table = rfm(ibis.memtable(pa.Table.from_pylist(buyers, schema=FEATURES)), **options).to_pyarrow()
    return {row["person_id"]: row for row in table.to_pylist()}


def segments_of(recency: int, frequency: int, monetary: int) -> list[str]:
    return [
        segment.name
        for segment in RFM_SEGMENTS
        for box in segment.boxes
        if box.recency[0] <= recency <= box.recency[1]
        and box.frequency[0] <= frequency <= box.frequency[1]
        and box.monetary[0] <= monetary <= box.monetary[1]
    ]


def test_five_different_buyers_get_the_five_scores():
    scores = score([buyer(p, days=100 - p, orders=p + 1, revenue=10.0 * p) for p in range(1, 6)])
    assert [(scores[p]["recency"], scores[p]["frequency"], scores[p]["monetary"]) for p in range(1, 6)] == [(p, p, p) for p in range(1, 6)]


def test_people_without_an_order_in_the_window_have_no_row():
    people = [buyer(1, 5, 2, 30), buyer(2, None, 0, 0), buyer(3, 400, 0, 0)]
    assert set(score(people)) == {1}


def test_the_window_decides_whose_orders_count():
    people = [buyer(1, 5, 2, 30, orders_90d=1), buyer(2, 200, 2, 30)]
    assert set(score(people, window="90d")) == {1}


@pytest.mark.parametrize("one_time", [40, 60, 85, 97])
def test_one_time_buyers_always_score_lowest_in_frequency_and_the_others_stay_apart(one_time):
    orders = [1] * one_time + [2] * ((100 - one_time) // 2) + [5] * (100 - one_time - (100 - one_time) // 2)
    scores = score([buyer(p, days=p, orders=n, revenue=10.0 * n) for p, n in enumerate(orders)])
    frequency = {n: {scores[p]["frequency"] for p, m in enumerate(orders) if m == n} for n in (1, 2, 5)}
    assert all(len(values) == 1 for values in frequency.values())
    assert [1] == list(frequency[1]) < list(frequency[2]) < list(frequency[5])


def test_a_second_order_makes_a_potential_loyalist_where_most_bought_once():
    orders = [1] * 60 + [2] * 20 + [5] * 20
    people = [buyer(p, days=1.0 if n == 2 else 50.0 + p, orders=n, revenue=10.0 * n) for p, n in enumerate(orders)]
    assert {score(people)[p]["rfm_segment"] for p, n in enumerate(orders) if n == 2} == {"Potential Loyalists"}


def test_one_time_buyers_are_never_called_loyal_or_champions():
    people = [buyer(p, days=p, orders=1, revenue=1000.0 - p) for p in range(60)] + [buyer(p, days=p, orders=4, revenue=5.0) for p in range(60, 100)]
    scores = score(people)
    assert {scores[p]["rfm_segment"] for p in range(60)} <= {"New Customers", "Promising", "About To Sleep", "Hibernating", "Lost"}


def test_when_everyone_is_the_same_everyone_gets_the_middle():
    scores = score([buyer(p, days=3, orders=2, revenue=20) for p in range(7)])
    assert {(r["recency"], r["frequency"], r["monetary"], r["rfm_segment"]) for r in scores.values()} == {(3, 3, 3, "Need Attention")}


def test_no_buyers_give_no_rows():
    assert score([]) == {}


def test_every_one_of_the_125_cells_has_exactly_one_name():
    assert {cell: len(segments_of(*cell)) for cell in product(range(1, 6), repeat=3)} == dict.fromkeys(product(range(1, 6), repeat=3), 1)
    assert len({segment.name for segment in RFM_SEGMENTS}) == len(RFM_SEGMENTS)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ((5, 5, 5), "Champions"),
        ((5, 5, 2), "Loyal"),
        ((3, 4, 5), "Loyal"),
        ((5, 3, 3), "Potential Loyalists"),
        ((5, 1, 1), "New Customers"),
        ((4, 1, 1), "Promising"),
        ((3, 3, 3), "Need Attention"),
        ((3, 1, 1), "About To Sleep"),
        ((2, 4, 4), "At Risk"),
        ((1, 5, 5), "Can't Lose Them"),
        ((2, 1, 2), "Hibernating"),
        ((1, 1, 1), "Lost"),
    ],
)
def test_typical_cells_carry_the_names_of_the_field(cell, name):
    assert segments_of(*cell) == [name]


def test_the_segment_of_a_buyer_is_the_one_of_its_cell():
    people = [buyer(p, days=(p * 7) % 90, orders=1 + (p * p) % 9, revenue=float((p * 31) % 500)) for p in range(400)]
    scores = score(people).values()
    assert all([row["rfm_segment"]] == segments_of(row["recency"], row["frequency"], row["monetary"]) for row in scores)
    assert len({row["rfm_segment"] for row in scores}) > 8


@settings(max_examples=12, deadline=None)
@given(
    people=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=40),
    order=st.randoms(use_true_random=False),
)
def test_equal_values_score_equal_better_values_never_lower_and_row_order_does_not_matter(people, order):
    rows = [buyer(p, days=float(d), orders=n, revenue=float(m)) for p, (d, n, m) in enumerate(people)]
    scores = score(rows)
    assert score(order.sample(rows, len(rows))) == scores
    for value, name, sign in ((0, "recency", -1), (1, "frequency", 1), (2, "monetary", 1)):
        pairs = sorted((sign * person[value], scores[p][name]) for p, person in enumerate(people))
        assert [s for _, s in pairs] == sorted(s for _, s in pairs)
        assert all(len({s for v, s in pairs if v == other}) == 1 for other in Counter(v for v, _ in pairs))
        assert {s for _, s in pairs} <= {1, 2, 3, 4, 5}
