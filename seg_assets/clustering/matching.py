"""Cluster ids that survive refreshes: a new cluster takes over the id of the old one it shares most persons with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MIN_OVERLAP = 0.3
"""Jaccard overlap from which on a new cluster is the old one. Halves of a split cluster reach at most 0.5, unrelated clusters far less."""


def stable_ids(
    person_ids: npt.NDArray[np.int64], labels: npt.NDArray[np.integer], previous: pa.Table | None, next_id: int = 0
) -> tuple[list[int], int]:
    """Ids for the clusters of a refresh: the best one-to-one match by Jaccard overlap keeps its id, the others get ids never used before.

    Overlap is counted among persons of both refreshes, so arrivals and departures do not weaken a match. The match maximises total overlap
    (Hungarian method, Kuhn 1955).

    Args:
        person_ids: ascending.
        labels: cluster 0..k-1 of each person.
        previous: clusters/assignments of the refresh before; None at first.
        next_id: lowest id never given out, as returned by the refresh before.

    Returns:
        The id of each label, and the lowest id never given out now.
    """
    from scipy.optimize import linear_sum_assignment

    count = int(labels.max()) + 1 if len(labels) else 0
    ids: list[int | None] = [None] * count
    if previous is not None and len(previous):
        old_ids, old_labels = np.unique(previous["cluster_id"].to_numpy(), return_inverse=True)
        next_id = max(next_id, int(old_ids[-1]) + 1)
        _, now, before = np.intersect1d(person_ids, previous["person_id"].to_numpy(), assume_unique=True, return_indices=True)
        shared = np.zeros((count, len(old_ids)))
        np.add.at(shared, (labels[now], old_labels[before]), 1)
        union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
        overlap = shared / np.maximum(union, 1)
        for new, old in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[new, old] >= MIN_OVERLAP:
                ids[new] = int(old_ids[old])
    for label, taken in enumerate(ids):
        if taken is None:
            ids[label], next_id = next_id, next_id + 1
    return [i for i in ids if i is not None], next_id
