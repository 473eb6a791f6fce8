from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_assets.errors import ProjectError
from seg_assets.scoring.engagement import HIGHLY, LURKER, MODERATELY, PointLabels, ShareLabels, engagement, thresholds

AS_OF = datetime(2026, 6, 30, 12, tzinfo=UTC)
WEIGHTS = {"product_viewed": 1, "order_completed": 10}

ACTIVITY = pa.schema(
    {
        "person_id": pa.int64(),
        "first_event_time": pa.timestamp("us", "UTC"),
        "last_event_time": pa.timestamp("us", "UTC"),
        "n_product_viewed": pa.int64(),
        "n_order_completed": pa.int64(),
    }
)


def day(person: int, last: datetime, viewed: int = 0, ordered: int = 0) -> dict:
    return {"person_id": person, "first_event_time": last, "last_event_time": last, "n_product_viewed": viewed, "n_order_completed": ordered}


def score(days: list[dict], persons: list[int] | None = None, *, weights=WEIGHTS, half_life=30.0, labels=None, as_of=AS_OF) -> dict[int, dict]:
    ids = sorted({d["person_id"] for d in days}) if persons is None else persons
    table = engagement(
        ibis.memtable(pa.Table.from_pylist(days, schema=ACTIVITY)),
        ibis.memtable(pa.table({"person_id": pa.array(ids, pa.int64())})),
        weights=weights,
        half_life_days=half_life,
        labels=labels or ShareLabels(),
        as_of=as_of,
    )
    return {row["person_id"]: row for row in table.to_pyarrow().to_pylist()}


def test_points_fade_by_half_each_half_life():
    scores = score([day(1, AS_OF, viewed=3, ordered=1), day(1, AS_OF - timedelta(days=30), viewed=4), day(1, AS_OF - timedelta(days=60), ordered=2)])
    assert scores[1]["engagement"] == 13 + 4 * 0.5 + 20 * 0.25


def test_age_counts_from_the_last_event_of_the_day():
    morning = AS_OF.replace(hour=0)
    assert score([day(1, morning, viewed=1)], half_life=0.5)[1]["engagement"] == 0.5


def test_person_without_events_gets_zero_points_and_is_a_lurker():
    scores = score([day(1, AS_OF, viewed=1)], persons=[1, 2, 3])
    assert scores[2] == scores[3] | {"person_id": 2}
    assert (scores[2]["engagement"], scores[2]["engagement_label"]) == (0, LURKER)


def test_nobody_is_engaged_where_nothing_happened():
    scores = score([], persons=[1, 2], labels=PointLabels(highly=0, moderately=0))
    assert {row["engagement_label"] for row in scores.values()} == {LURKER}


def test_events_without_a_weight_give_nothing():
    assert score([day(1, AS_OF, viewed=5, ordered=1)], weights={"order_completed": 2.5})[1]["engagement"] == 2.5


def test_negative_points_do_not_go_below_zero():
    scores = score([day(1, AS_OF, viewed=1, ordered=1), day(2, AS_OF, viewed=9, ordered=1)], weights={"product_viewed": 1, "order_completed": -3})
    assert (scores[1]["engagement"], scores[2]["engagement"]) == (0, 6)


def test_days_after_as_of_do_not_count():
    scores = score([day(1, AS_OF, viewed=1), day(1, AS_OF + timedelta(seconds=1), ordered=9)])
    assert scores[1]["engagement"] == 1


def test_equal_scores_share_the_middle_percentile():
    scores = score([day(1, AS_OF, viewed=5), day(2, AS_OF, viewed=2), day(3, AS_OF, viewed=2)], persons=[1, 2, 3, 4])
    assert [scores[p]["engagement_percentile"] for p in (1, 2, 3, 4)] == [0.875, 0.5, 0.5, 0.125]


def test_labels_by_share_follow_the_percentile():
    days = [day(p, AS_OF, viewed=p) for p in range(1, 11)]
    labels = [row["engagement_label"] for _, row in sorted(score(days, labels=ShareLabels(highly=0.2, moderately=0.4)).items())]
    assert labels == [LURKER] * 4 + [MODERATELY] * 4 + [HIGHLY] * 2


def test_a_tie_never_splits_over_two_labels():
    scores = score([day(p, AS_OF, viewed=1) for p in range(1, 90)] + [day(p, AS_OF, viewed=9) for p in range(90, 101)])
    by_points = {}
    for row in scores.values():
        by_points.setdefault(row["engagement"], set()).add(row["engagement_label"])
    assert by_points == {1.0: {MODERATELY}, 9.0: {HIGHLY}}


def test_labels_by_points_begin_at_the_threshold():
    scores = score([day(1, AS_OF, viewed=10), day(2, AS_OF, viewed=9), day(3, AS_OF, viewed=2)], labels=PointLabels(highly=10, moderately=3))
    assert [scores[p]["engagement_label"] for p in (1, 2, 3)] == [HIGHLY, MODERATELY, LURKER]


def test_thresholds_are_the_lowest_points_with_each_label():
    days = [day(p, AS_OF, viewed=p) for p in range(1, 11)]
    scores = ibis.memtable(pa.Table.from_pylist(list(score(days).values())))
    assert thresholds(scores).to_pyarrow().to_pylist() == [{"highly": 9.0, "moderately": 5.0}]


def test_thresholds_are_unknown_where_nobody_has_the_label():
    scores = ibis.memtable(pa.Table.from_pylist(list(score([], persons=[1]).values())))
    assert thresholds(scores).to_pyarrow().to_pylist() == [{"highly": None, "moderately": None}]


def test_no_persons_give_no_rows():
    assert score([], persons=[]) == {}


@settings(max_examples=12, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 400), st.integers(0, 50), st.integers(0, 3)), min_size=1, max_size=30),
    half_life=st.floats(0.5, 400),
    order=st.randoms(use_true_random=False),
)
def test_waiting_one_half_life_halves_every_score_whatever_the_row_order(days, half_life, order):
    rows = [day(p, AS_OF - timedelta(days=age), viewed=v, ordered=o) for p, age, v, o in days]
    now = score(rows, half_life=half_life)
    later = score(order.sample(rows, len(rows)), half_life=half_life, as_of=AS_OF + timedelta(days=half_life))
    for person, row in now.items():
        # as_of is read in whole seconds and every day's points are rounded to millionths
        assert later[person]["engagement"] == pytest.approx(row["engagement"] / 2, abs=1e-6 * len(days) + row["engagement"] / half_life / 86_400)
    assert score(order.sample(rows, len(rows)), half_life=half_life) == now


def test_shuffled_rows_and_thread_counts_give_the_same_table():
    rows = [day(i % 997, AS_OF - timedelta(hours=7 * i % 9000), viewed=i % 13, ordered=i % 3) for i in range(20_000)]
    tables = []
    for threads, step in ((1, 1), (2, -1)):
        activity = ibis.memtable(pa.Table.from_pylist(rows[::step], schema=ACTIVITY))
        weights = {"product_viewed": 0.1, "order_completed": 3.7}
        table = engagement(activity, activity, weights=weights, half_life_days=17.3, labels=ShareLabels(), as_of=AS_OF)
        tables.append(ibis.duckdb.connect(threads=threads).to_pyarrow(table.order_by("person_id")))
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("half_life", [0, -1, float("nan")])
def test_a_half_life_that_is_not_positive_is_refused(half_life):
    with pytest.raises(ProjectError, match="half-life"):
        score([day(1, AS_OF, viewed=1)], half_life=half_life)


def test_a_weight_for_an_unknown_event_is_refused_by_name():
    with pytest.raises(ProjectError, match="prodcut_viewed"):
        score([day(1, AS_OF, viewed=1)], weights={"prodcut_viewed": 1})


def test_a_naive_as_of_is_refused():
    with pytest.raises(ValueError, match="aware"):
        score([day(1, AS_OF, viewed=1)], as_of=datetime.combine(date(2026, 6, 30), datetime.min.time()))


@pytest.mark.parametrize("shares", [(0.7, 0.4), (-0.1, 0.4), (0.2, 1.1)])
def test_shares_of_labels_that_do_not_fit_are_refused(shares):
    with pytest.raises(ProjectError, match="shares"):
        ShareLabels(*shares)


def test_point_labels_out_of_order_are_refused():
    with pytest.raises(ProjectError, match="Moderately"):
        PointLabels(highly=1, moderately=2)
