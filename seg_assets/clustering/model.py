"""From persons to clusters and back: the configuration, the fitted model and its assignments. What a cluster is like in words is in `personas.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seg_assets.clustering.kmeans import Candidate, Partition, choose_k, partition, try_ks
from seg_assets.clustering.matching import stable_ids
from seg_assets.clustering.sampling import sample_rows
from seg_assets.clustering.space import FeatureSpace, Matrix, learn_space

FIT_ROWS = 50_000
"""Persons the starts are tried on."""
TRIAL_ROWS = 20_000
"""Persons every k is tried on."""
CHUNK = 100_000
"""Persons whose distances to all centres are held at a time."""


@dataclass(frozen=True)
class ClusteringConfig:
    """How persons are clustered.

    Args:
        features: columns persons are compared by; numbers, booleans or words.
        k_min, k_max: numbers of clusters to try, both included; at least 2.
        sample: most persons the silhouette is computed on per draw.
        draws: samples it is computed on.
        seed: of the samples and starting centres.
        min_size: fewest persons per cluster; with less than `min_size * k_min` persons there is one cluster.
        min_share: share of the persons a cluster should have; a k with a smaller one is passed over unless every k has one.
        keep_k_within: silhouette the number of clusters of the refresh before may be short of the best and still be kept.
    """

    features: Sequence[str]
    k_min: int = 3
    k_max: int = 12
    sample: int = 5_000
    draws: int = 3
    seed: int = 0
    min_size: int = 10
    min_share: float = 0.01
    keep_k_within: float = 0.01


@dataclass(frozen=True)
class ClusterModel:
    """Fitted clusters.

    Args:
        space: how persons become points.
        centres: one row per cluster, in the space.
        cluster_ids: the stable id of each centre.
        assignments: clusters/assignments, ascending by person_id.
        candidates: the numbers of clusters tried, with how well each fits.
        next_id: lowest id never given out; hand it to the next refresh, so that no id comes back with another meaning.
        note: why there is only one cluster, or none; "" otherwise.
    """

    space: FeatureSpace
    centres: Matrix
    cluster_ids: tuple[int, ...]
    assignments: pa.Table
    candidates: tuple[Candidate, ...]
    next_id: int
    note: str = ""

    @property
    def k(self) -> int:
        return len(self.cluster_ids)

    def assign(self, features: pa.Table) -> pa.Table:
        """The nearest cluster of each person of a table with the model's features: clusters/assignments, in the table's order."""
        points = self.space.encode(features)
        labels, distances = _nearest(points, self.centres)
        return _assignments(features["person_id"], labels, distances, self.cluster_ids)


def fit(features: pa.Table, config: ClusteringConfig, *, previous: pa.Table | None = None, next_id: int = 0) -> ClusterModel:
    """K-Means with k chosen by mean silhouette; the same model whatever the row order and number of threads.

    Persons are put in order and sampled by a hash of their ids. Every k starts ten times on up to 20k persons, the silhouette is taken over `draws` samples; the
    chosen k starts ten times on up to 50k persons and then runs over everybody. With a previous refresh, its clusters are a start too and win
    unless clearly worse, and clusters keep their ids (see `matching`).

    Args:
        features: person_id (unique) and the configured columns; one row per person.
        config: what to compare persons by, and the numbers of clusters to try.
        previous: clusters/assignments of the refresh before.
        next_id: `ClusterModel.next_id` of the refresh before.

    Raises:
        ProjectError: a configured feature is missing or of a type that can't be compared.
    """
    import sklearn.cluster  # noqa: F401  the limit below holds only for libraries that are loaded by then
    from threadpoolctl import threadpool_limits

    used = [c for c in features.column_names if c == "person_id" or c in config.features]
    features = features.select(used).sort_by("person_id")
    person_ids = features["person_id"].to_numpy()
    space = learn_space(features, config.features)
    points = space.encode(features)
    with threadpool_limits(limits=1):  # the order of floating-point sums must not depend on the number of cores
        ks, note = _possible_ks(points, person_ids, config)
        if ks:
            candidates, found = _cluster(points, person_ids, ks, config, previous)
            labels, centres = _by_size(found)
        else:
            candidates = []
            labels, centres = np.zeros(len(points), np.intp), points.mean(axis=0, keepdims=True) if len(points) else points
        _, distances = _nearest(points, centres, labels)
    ids, next_id = stable_ids(person_ids, labels, previous, next_id)
    assignments = _assignments(features["person_id"], labels, distances, ids)
    return ClusterModel(space, centres, tuple(ids), assignments, tuple(candidates), next_id, note)


def _possible_ks(points: Matrix, person_ids: npt.NDArray[np.int64], config: ClusteringConfig) -> tuple[list[int], str]:
    """The numbers of clusters worth trying, or none and the reason."""
    persons = len(points)
    if not persons:
        return [], "no clusters: there are no persons"
    if persons < config.min_size * config.k_min:
        return [], f"one cluster: {persons} persons are too few for {config.k_min} clusters of at least {config.min_size}"
    distinct = len(np.unique(points[sample_rows(person_ids, TRIAL_ROWS, config.seed)], axis=0))
    most = min(config.k_max, persons // config.min_size, persons - 1, distinct)
    if most < config.k_min:
        return [], f"one cluster: there are only {distinct} different combinations of features"
    return list(range(config.k_min, most + 1)), ""


def _cluster(
    points: Matrix, person_ids: npt.NDArray[np.int64], ks: list[int], config: ClusteringConfig, previous: pa.Table | None
) -> tuple[list[Candidate], Partition]:
    trial = sample_rows(person_ids, TRIAL_ROWS, config.seed)
    draws = [sample_rows(person_ids[trial], config.sample, config.seed + 1 + draw) for draw in range(config.draws)]
    candidates = try_ks(points[trial], ks, draws if len(trial) > config.sample else draws[:1], config.seed)
    warm = _previous_centres(points, person_ids, previous)
    before = None if warm is None else len(warm)
    k = choose_k(candidates, min_share=config.min_share, before=before, keep_within=config.keep_k_within)
    sample = sample_rows(person_ids, FIT_ROWS, config.seed)
    return candidates, partition(points, sample, k, seed=config.seed, warm=warm if before == k else None)


def _previous_centres(points: Matrix, person_ids: npt.NDArray[np.int64], previous: pa.Table | None) -> Matrix | None:
    """Where the clusters of the refresh before lie now: the mean of their persons still here."""
    if previous is None:
        return None
    _, now, before = np.intersect1d(person_ids, previous["person_id"].to_numpy(), assume_unique=True, return_indices=True)
    old, labels, counts = np.unique(previous["cluster_id"].to_numpy()[before], return_inverse=True, return_counts=True)
    sums = np.zeros((len(old), points.shape[1]))
    np.add.at(sums, labels, points[now])
    return sums / counts[:, None] if len(old) else None


def _by_size(found: Partition) -> tuple[npt.NDArray[np.intp], Matrix]:
    """Labels and centres with the largest cluster first; equals by their centres."""
    sizes = np.bincount(found.labels, minlength=len(found.centres))
    order = np.array(sorted(range(len(sizes)), key=lambda c: (-sizes[c], *found.centres[c].tolist())))
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return rank[found.labels], found.centres[order]


def _nearest(points: Matrix, centres: Matrix, labels: npt.NDArray[np.intp] | None = None) -> tuple[npt.NDArray[np.intp], Matrix]:
    """Label of and distance to the nearest centre, or the distance to the centre `labels` names."""
    nearest, distances = np.empty(len(points), np.intp), np.empty(len(points))
    for start in range(0, len(points), CHUNK):
        rows = slice(start, start + CHUNK)
        if labels is None:
            nearest[rows] = (np.einsum("ij,ij->i", centres, centres) - 2 * points[rows] @ centres.T).argmin(axis=1)
        else:
            nearest[rows] = labels[rows]
        distances[rows] = np.linalg.norm(points[rows] - centres[nearest[rows]], axis=1)
    return nearest, distances


def _assignments(person_ids: pa.ChunkedArray, labels: npt.NDArray[np.intp], distances: Matrix, ids: Sequence[int]) -> pa.Table:
    cluster_ids = np.array(ids, np.int64)[labels] if len(labels) else np.empty(0, np.int64)
    return pa.table({"person_id": pc.cast(person_ids, pa.int64()), "cluster_id": cluster_ids, "distance": distances.round(6)})
