"""Silhouettes of many clusterings of the same points at once: the distances, which cost most, are computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seg_assets.clustering.space import Matrix

CHUNK = 250
"""Points whose distances to all others are held at a time."""


def mean_silhouettes(points: Matrix, clusterings: Sequence[npt.NDArray[np.integer]]) -> list[float]:
    """Mean silhouette width of each clustering (Rousseeuw 1987, https://doi.org/10.1016/0377-0427(87)90125-7). Persons alone in a cluster have 0.

    Args:
        points: n persons by d axes.
        clusterings: labels 0..k-1 of the n persons, per clustering; a label may have no person here.

    Returns:
        One width per clustering, -1..1; NaN with fewer than two clusters that have persons.
    """
    squares = np.einsum("ij,ij->i", points, points)
    members = [np.eye(int(labels.max()) + 1, dtype=np.float32)[labels] for labels in clusterings]
    sizes = [member.sum(axis=0) for member in members]
    edges = np.cumsum([member.shape[1] for member in members])[:-1]
    every_cluster = np.hstack(members)
    totals = np.zeros(len(members))
    for start in range(0, len(points), CHUNK):
        rows = slice(start, start + CHUNK)
        squared = squares[rows, None] + squares[None, :] - 2 * points[rows] @ points.T
        distances = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
        sums = np.split(distances @ every_cluster, edges, axis=1)
        totals += [_widths(sums[i], labels[rows], sizes[i]) for i, labels in enumerate(clusterings)]
    return [float(total / len(points)) if np.count_nonzero(size) > 1 else float("nan") for total, size in zip(totals, sizes, strict=True)]


def _widths(sums: npt.NDArray[np.float32], labels: npt.NDArray[np.integer], sizes: npt.NDArray[np.float32]) -> float:
    """Sum of silhouette widths of persons, from the sums of their distances to every cluster."""
    own = np.arange(len(labels)), labels
    with np.errstate(divide="ignore", invalid="ignore"):
        within = sums[own] / (sizes[labels] - 1)
        means = np.where(sizes > 0, sums / sizes, np.inf)
        means[own] = np.inf
        nearest = means.min(axis=1)
        width = (nearest - within) / np.maximum(nearest, within)
    return float(np.where((sizes[labels] > 1) & np.isfinite(width), width, 0).sum())
