"""K-Means: how many clusters, and where their centres are. Knows points only; persons, ids and features are the business of `model.py`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seg_assets.clustering.silhouette import mean_silhouettes
from seg_assets.clustering.space import Matrix

T = TypeVar("T")
R = TypeVar("R")

INITS = 10
"""Starts per number of clusters; the best one counts."""
PASSES = 30
"""Most Lloyd passes over everybody; what still moves then moves little."""
WARM_MARGIN = 0.005
"""How much larger the inertia from the old centres may be than from the best new start: below, staying put is worth more."""


@dataclass(frozen=True)
class Candidate:
    """How well the sample falls into k clusters.

    Args:
        k: number of clusters.
        silhouette: mean silhouette width over the draws, -1..1; higher is better.
        silhouette_sd: its standard deviation over the draws.
        calinski_harabasz: variance between by variance within clusters; higher is better.
        davies_bouldin: mean similarity of each cluster to its nearest; lower is better.
        smallest: share of the smallest cluster, 0..1.
    """

    k: int
    silhouette: float
    silhouette_sd: float
    calinski_harabasz: float
    davies_bouldin: float
    smallest: float


@dataclass(frozen=True)
class Partition:
    """k clusters: the centre of each (k x d), the label of each point, and the sum of squared distances to the centres."""

    centres: Matrix
    labels: npt.NDArray[np.int32]
    inertia: float


def try_ks(points: Matrix, ks: Sequence[int], draws: Sequence[npt.NDArray[np.intp]], seed: int) -> list[Candidate]:
    """Clusters the points for every k and measures how well each fits.

    Args:
        points: sample of persons (n x d).
        ks: numbers of clusters, each below the number of distinct points.
        draws: rows the silhouette is computed on, per draw.
        seed: of the starting centres.
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    labelled = _side_by_side(lambda k: lloyd(points, k, seed=seed, inits=INITS).labels, ks)
    widths = np.array(_side_by_side(lambda rows: mean_silhouettes(points[rows], [labels[rows] for labels in labelled]), draws))
    return [
        Candidate(
            k=k,
            silhouette=round(float(widths[:, i].mean()), 6),
            silhouette_sd=round(float(widths[:, i].std()), 6),
            calinski_harabasz=round(float(calinski_harabasz_score(points, labelled[i])), 4),
            davies_bouldin=round(float(davies_bouldin_score(points, labelled[i])), 6),
            smallest=round(float(np.bincount(labelled[i], minlength=k).min() / len(points)), 6),
        )
        for i, k in enumerate(ks)
    ]


def _side_by_side(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What `work` makes of each item, on every core. Each item has one of them: the order of floating-point sums must not depend on their number."""
    from threadpoolctl import threadpool_limits

    with ThreadPoolExecutor(os.cpu_count(), initializer=threadpool_limits, initargs=(1,)) as cores:
        return [*cores.map(work, items)]


def choose_k(candidates: Sequence[Candidate], *, min_share: float, before: int | None, keep_within: float) -> int:
    """The k of the highest silhouette; the smaller one of equals.

    Candidates with a cluster below `min_share` are passed over unless all have one. The number of clusters of the refresh before is kept while
    its silhouette is within `keep_within` of the best.
    """
    eligible = [c for c in candidates if c.smallest >= min_share] or list(candidates)
    best = max(eligible, key=lambda c: (c.silhouette, -c.k))
    stays = any(c.k == before and c.silhouette >= best.silhouette - keep_within for c in eligible)
    return before if stays and before is not None else best.k


def partition(points: Matrix, sample: npt.NDArray[np.intp], k: int, *, seed: int, warm: Matrix | None) -> Partition:
    """k clusters of all points: many starts on a sample, then Lloyd passes over everybody from the best.

    Args:
        points: all persons (n x d).
        sample: rows the starts are tried on.
        k: number of clusters.
        seed: of the starting centres.
        warm: centres of the refresh before in today's space; taken as the start unless a new start is clearly better.
    """
    best = lloyd(points[sample], k, seed=seed, inits=INITS)
    stays = warm is not None and lloyd(points[sample], k, start=warm).inertia <= best.inertia * (1 + WARM_MARGIN)
    return lloyd(points, k, start=warm if stays else best.centres)


def lloyd(points: Matrix, k: int, *, seed: int = 0, inits: int = 1, start: Matrix | None = None) -> Partition:
    """Lloyd's algorithm: from given centres until nobody moves (at most `PASSES` times), or the best of `inits` k-means++ starts."""
    from sklearn.cluster import KMeans

    options: dict[str, Any] = {"n_init": inits, "random_state": seed} if start is None else {"init": start, "n_init": 1, "max_iter": PASSES, "tol": 0}
    fitted: Any = KMeans(k, **options).fit(points)
    return Partition(fitted.cluster_centers_, fitted.labels_, float(fitted.inertia_))
