from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from seg_assets.clustering.kmeans import Candidate, choose_k
from seg_assets.clustering.model import ClusteringConfig, ClusterModel, fit
from seg_assets.clustering.silhouette import mean_silhouettes
from seg_assets.errors import ProjectError
from seg_assets.schema.tables import ASSIGNMENTS

NAMES = ("days_since_event", "orders_365d", "revenue_365d", "categories")
CENTRES = np.array([[1, 5, 5, 3], [5, 1, 1, 1], [1, 1, 1, 3], [3, 3, 5, 1], [5, 5, 3, 3]], float)
"""Five planted personas, as logs of their features."""
CONFIG = ClusteringConfig(features=NAMES, k_min=2, k_max=8)


def people(n: int, *, seed: int = 0, spread: float = 0.45) -> tuple[pa.Table, np.ndarray]:
    random = np.random.default_rng(seed)
    persona = random.choice(len(CENTRES), n, p=[0.35, 0.25, 0.2, 0.12, 0.08])
    values = np.expm1(np.abs(CENTRES[persona] + random.normal(size=(n, 4)) * spread))
    return pa.table({"person_id": np.arange(n)} | {name: values[:, i] for i, name in enumerate(NAMES)}), persona


def changed(table: pa.Table, **columns) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def labels(model: ClusterModel) -> np.ndarray:
    return model.assignments["cluster_id"].to_numpy()


def test_planted_personas_are_found_again():
    table, persona = people(4_000)
    model = fit(table, CONFIG)
    assert model.k == 5
    assert adjusted_rand_score(persona, labels(model)) > 0.98


def test_the_largest_cluster_is_number_0_and_assignments_have_the_canonical_schema():
    model = fit(people(2_000)[0], CONFIG)
    assert dict(zip(model.assignments.schema.names, model.assignments.schema.types, strict=True)) == {
        "person_id": pa.int64(),
        "cluster_id": pa.int64(),
        "distance": pa.float64(),
    }
    assert model.assignments.column_names == list(ASSIGNMENTS.schema.names)
    sizes = np.bincount(labels(model))
    assert sorted(sizes, reverse=True) == list(sizes)
    assert model.assignments["distance"].to_numpy().min() >= 0


def test_row_order_and_thread_count_do_not_matter():
    table, _ = people(3_000)
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    with threadpool_limits(limits=1):
        one = fit(table, CONFIG)
    with threadpool_limits(limits=2):
        two = fit(shuffled, CONFIG)
    assert one.assignments.equals(two.assignments)
    assert one.candidates == two.candidates
    assert (one.centres == two.centres).all()


def test_one_thread_computes_the_clusters_from_the_first_call_on():
    program = """
import threadpoolctl
import seg_assets.clustering.kmeans as kmeans
import pyarrow as pa
from seg_assets.clustering.model import ClusteringConfig, fit

original, threads = kmeans.lloyd, set()

def watched(*args, **options):
    found = original(*args, **options)
    threads.update(library["num_threads"] for library in threadpoolctl.threadpool_info())
    return found

kmeans.lloyd = watched
fit(pa.table({"person_id": range(90), "orders": [i % 9 for i in range(90)]}), ClusteringConfig(features=("orders",)))
print(threads)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{1}"


def test_every_candidate_reports_how_well_it_fits():
    model = fit(people(2_000)[0], ClusteringConfig(features=NAMES, k_min=2, k_max=6, sample=500))
    assert [c.k for c in model.candidates] == [2, 3, 4, 5, 6]
    best = max(model.candidates, key=lambda c: c.silhouette)
    assert best.k == model.k == max(model.candidates, key=lambda c: c.calinski_harabasz).k == min(model.candidates, key=lambda c: c.davies_bouldin).k
    assert 0 < best.silhouette_sd < 0.05


def test_silhouettes_agree_with_scikit_learn():
    random = np.random.default_rng(3)
    points = random.normal(size=(700, 5))
    clusterings = [random.integers(0, k, 700) for k in (2, 4, 9)]
    assert mean_silhouettes(points, clusterings) == pytest.approx([silhouette_score(points, c) for c in clusterings], abs=1e-6)


def test_silhouette_of_one_cluster_is_not_a_number_and_a_person_alone_counts_0():
    points = np.array([[0.0], [1.0], [10.0]])
    one, two = mean_silhouettes(points, [np.zeros(3, int), np.array([0, 0, 1])])
    assert np.isnan(one)
    assert two == pytest.approx((9 / 10 + 8 / 9 + 0) / 3)


def test_unchanged_data_gives_the_same_clusters_and_ids():
    table, _ = people(3_000)
    first = fit(table, CONFIG)
    second = fit(table, CONFIG, previous=first.assignments, next_id=first.next_id)
    assert second.assignments.equals(first.assignments)
    assert second.next_id == first.next_id


def test_ids_survive_when_5_percent_of_the_people_change_and_some_come_and_go():
    table, _ = people(4_000)
    other, _ = people(4_000, seed=9)
    mixed = pa.concat_tables([table.slice(200), other.slice(0, 200), changed(other.slice(0, 300), person_id=np.arange(10_000, 10_300))])
    first = fit(table, CONFIG)
    second = fit(mixed, CONFIG, previous=first.assignments, next_id=first.next_id)
    assert sorted(second.cluster_ids) == sorted(first.cluster_ids)
    before = dict(zip(first.assignments["person_id"].to_pylist(), labels(first), strict=True))
    same = [before[p] == c for p, c in zip(second.assignments["person_id"].to_pylist(), labels(second), strict=True) if 200 <= p < 4_000]
    assert np.mean(same) > 0.99


def test_a_renamed_previous_cluster_keeps_its_strange_id():
    table, _ = people(2_000)
    first = fit(table, CONFIG)
    renamed = changed(first.assignments, cluster_id=labels(first) * 10 + 7)
    second = fit(table, CONFIG, previous=renamed)
    assert labels(second).tolist() == renamed["cluster_id"].to_pylist()
    assert second.next_id == 48


def test_a_new_group_gets_an_id_never_used_before():
    table, persona = people(3_000)
    four, five = table.filter(pa.array(persona != 1)), table
    first = fit(four, CONFIG)
    assert (first.k, first.next_id) == (4, 4)
    second = fit(five, CONFIG, previous=first.assignments, next_id=9)
    new = set(second.cluster_ids) - set(first.cluster_ids)
    assert new == {9}
    assert second.next_id == 10
    assert adjusted_rand_score(persona == 1, labels(second) == 9) > 0.95


def test_an_id_that_left_does_not_come_back():
    table, persona = people(3_000)
    first = fit(table, CONFIG)
    second = fit(table.filter(pa.array(persona != 1)), CONFIG, previous=first.assignments, next_id=first.next_id)
    third = fit(table, CONFIG, previous=second.assignments, next_id=second.next_id)
    left = set(first.cluster_ids) - set(second.cluster_ids)
    assert len(left) == 1
    assert not left & set(third.cluster_ids)
    assert set(third.cluster_ids) == set(second.cluster_ids) | {5}


def test_outliers_infinities_and_missing_values_do_not_disturb_the_rest():
    table, persona = people(3_000)
    revenue, days = table["revenue_365d"].to_pylist(), table["days_since_event"].to_pylist()
    revenue[0], revenue[1], revenue[2], days[3], days[4] = 1e300, float("inf"), float("nan"), None, -1e9
    model = fit(changed(table, revenue_365d=revenue, days_since_event=days), CONFIG)
    assert model.k == 5
    assert adjusted_rand_score(persona, labels(model)) > 0.98
    assert np.isfinite(model.centres).all()
    assert np.isfinite(model.assignments["distance"].to_numpy()).all()


def test_never_counts_as_longest_ago():
    random = np.random.default_rng(0)
    days = np.concatenate([random.uniform(1, 5, 100), random.uniform(300, 320, 100)])
    with_never = [None if i >= 190 else d for i, d in enumerate(days)]
    table = pa.table({"person_id": np.arange(200), "days_since_order": pa.array(with_never, pa.float64())})
    model = fit(table, ClusteringConfig(features=("days_since_order",), k_min=2, k_max=3))
    assert model.k == 2
    assert len(set(labels(model)[100:])) == 1


def test_words_tell_people_apart_and_features_without_difference_are_named():
    table, _ = people(600, spread=0.2)
    channel = ["app" if i % 2 else "store" for i in range(600)]
    table = table.append_column("top_channel", pa.array(channel)).append_column("same", pa.array([3.0] * 600))
    table = table.append_column("empty", pa.nulls(600, pa.float64()))
    model = fit(table, ClusteringConfig(features=("top_channel", "same", "empty"), k_min=2, k_max=4))
    assert model.space.unused == ("same", "empty")
    assert adjusted_rand_score(channel, labels(model)) == 1
    three = fit(table, ClusteringConfig(features=("top_channel", "same", "empty"), k_min=3, k_max=4))
    assert (three.k, three.note) == (1, "one cluster: there are only 2 different combinations of features")
    both = fit(table, ClusteringConfig(features=("top_channel", "orders_365d"), k_min=2, k_max=8))
    assert adjusted_rand_score(channel, labels(both)) > 0.2


def test_decimals_integers_and_booleans_are_numbers():
    table, persona = people(500, spread=0.1)
    table = changed(table, orders_365d=table["orders_365d"].cast(pa.int64(), safe=False), categories=(persona % 2 == 0))
    table = changed(table, revenue_365d=table["revenue_365d"].cast(pa.decimal128(18, 2), safe=False))
    assert fit(table, CONFIG).k == 5


@pytest.mark.parametrize(("persons", "clusters", "words"), [(0, 0, "no persons"), (1, 1, "1 persons are too few"), (3, 1, "3 persons are too few")])
def test_too_few_people_give_one_cluster_and_the_reason(persons, clusters, words):
    model = fit(people(5)[0].slice(0, persons), CONFIG)
    assert (model.k, len(model.assignments), model.candidates) == (clusters, persons, ())
    assert words in model.note


def test_identical_people_form_one_cluster_with_the_reason():
    model = fit(pa.table({"person_id": range(50)} | {name: [2.0] * 50 for name in NAMES}), CONFIG)
    assert model.k == 1
    assert "1 different" in model.note
    assert model.assignments["distance"].to_pylist() == [0.0] * 50


def test_from_nobody_to_somebody_and_back_keeps_counting_ids():
    table, _ = people(1_000)
    nobody = fit(table.slice(0, 0), CONFIG)
    somebody = fit(table, CONFIG, previous=nobody.assignments, next_id=nobody.next_id)
    again = fit(table.slice(0, 0), CONFIG, previous=somebody.assignments, next_id=somebody.next_id)
    assert (nobody.next_id, somebody.next_id, again.next_id) == (0, 5, 5)


def test_people_beyond_the_sample_are_assigned_to_their_persona_too():
    table, persona = people(60_000)
    model = fit(table, ClusteringConfig(features=NAMES, k_min=4, k_max=6, sample=1_000))
    assert model.k == 5
    assert adjusted_rand_score(persona, labels(model)) > 0.98


def test_new_people_are_assigned_to_the_nearest_cluster():
    table, _ = people(2_000)
    model = fit(table, CONFIG)
    shuffled = table.take(np.random.default_rng(2).permutation(2_000)[:300])
    assigned = model.assign(shuffled)
    assert assigned.sort_by("person_id").equals(model.assignments.filter(pa.array(np.isin(np.arange(2_000), shuffled["person_id"].to_numpy()))))


def test_the_number_of_clusters_stays_while_it_is_about_as_good():
    def candidate(k: int, silhouette: float, smallest: float = 0.1) -> Candidate:
        return Candidate(k, silhouette, 0.001, 1.0, 1.0, smallest)

    def chosen(*candidates: Candidate, before: int | None = None) -> int:
        return choose_k(candidates, min_share=0.01, before=before, keep_within=0.01)

    assert chosen(candidate(3, 0.30), candidate(4, 0.31)) == 4
    assert chosen(candidate(3, 0.31), candidate(4, 0.31)) == 3
    assert chosen(candidate(3, 0.305), candidate(4, 0.31), before=3) == 3
    assert chosen(candidate(3, 0.29), candidate(4, 0.31), before=3) == 4
    assert chosen(candidate(3, 0.31), candidate(4, 0.40, smallest=0.001)) == 3
    assert chosen(candidate(3, 0.31, smallest=0.001), candidate(4, 0.40, smallest=0.001)) == 4


def test_an_unknown_feature_is_refused_by_name():
    with pytest.raises(ProjectError, match="'orders_366d'"):
        fit(people(10)[0], ClusteringConfig(features=("orders_366d",)))


def test_a_feature_that_is_a_date_is_refused():
    table = people(10)[0].append_column("since", pa.array([None] * 10, pa.timestamp("us", "UTC")))
    with pytest.raises(ProjectError, match="'since'"):
        fit(table, ClusteringConfig(features=("since",)))
