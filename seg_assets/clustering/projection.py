"""A flat map of the clusters, for the eye only: nothing is computed from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seg_assets.clustering.model import ClusterModel
from seg_assets.clustering.sampling import sample_rows
from seg_assets.clustering.space import Matrix
from seg_assets.clustering.words import plain

MAP_ROWS = 2_000


@dataclass(frozen=True)
class ClusterMap:
    """Persons on the plane that spreads the clusters most.

    Args:
        points: person_id, cluster_id, x, y (standard deviations of the feature space).
        centres: cluster_id, x, y of every cluster.
        axes: what grows along x and y: the features that weigh most, most first; "less ..." where one shrinks.
        kept: share of the variance between the clusters that the plane shows, 0..1.
    """

    points: pa.Table
    centres: pa.Table
    axes: tuple[str, str]
    kept: float


def cluster_map(model: ClusterModel, features: pa.Table, *, rows: int = MAP_ROWS, seed: int = 0) -> ClusterMap:
    """Projects a sample of persons on the first two principal components of the cluster centres, weighted by size.

    Args:
        model: the clusters.
        features: the table the model was fitted to.
        rows: most persons on the map.
        seed: of the sample.
    """
    assigned = model.assignments["cluster_id"].to_numpy()
    people = model.assignments.take(pa.array(sample_rows(model.assignments["person_id"].to_numpy(), rows, seed)))
    chosen = pa.table({"person_id": people["person_id"]}).join(features, "person_id").sort_by("person_id")
    weights = np.array([np.count_nonzero(assigned == c) for c in model.cluster_ids]) / max(len(assigned), 1)
    middle = weights @ model.centres
    plane, kept = _plane(np.sqrt(weights)[:, None] * (model.centres - middle))
    xy = ((model.space.encode(chosen) - middle) @ plane).round(4)
    centres = ((model.centres - middle) @ plane).round(4)
    return ClusterMap(
        points=people.select(["person_id", "cluster_id"]).append_column("x", pa.array(xy[:, 0])).append_column("y", pa.array(xy[:, 1])),
        centres=pa.table({"cluster_id": list(model.cluster_ids), "x": centres[:, 0], "y": centres[:, 1]}),
        axes=(_meaning(model, plane[:, 0]), _meaning(model, plane[:, 1])),
        kept=kept,
    )


def _plane(offsets: Matrix) -> tuple[Matrix, float]:
    """Two directions (d x 2) along which the weighted centres lie farthest apart, and the share of their variance that is theirs."""
    _, spread, directions = np.linalg.svd(offsets, full_matrices=False)
    plane = np.zeros((offsets.shape[1], 2))
    for i, direction in enumerate(directions[:2]):
        plane[:, i] = direction * np.sign(direction[np.abs(direction).argmax()])
    variance = spread**2
    return plane, round(float(variance[:2].sum() / variance.sum()), 4) if variance.sum() > 0 else 1.0


def _meaning(model: ClusterModel, direction: Matrix) -> str:
    """The two things that weigh most in a direction."""
    names = model.space.directions
    most = sorted(range(len(names)), key=lambda i: (-round(abs(direction[i]), 6), names[i]))[:2]
    return ", ".join(("" if direction[i] > 0 else "less ") + plain(names[i]) for i in most if abs(direction[i]) > 0.2)
