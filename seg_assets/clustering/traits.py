"""What is unusual about a cluster, in figures: medians, shares and effect sizes beside everyone's. Putting them into words is in `personas.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seg_assets.clustering.space import is_number, is_text


@dataclass(frozen=True)
class NumberTrait:
    """A number of a cluster beside everyone's. Missing values are left out.

    Args:
        known: share of the cluster's persons that have a value, 0..1.
        median, overall: of the cluster and of everyone.
        positive, overall_positive: share of persons above 0, 0..1.
        effect: chance that a member has more than a person of another cluster, minus the chance of less, -1..1 (Cliff's delta,
            https://doi.org/10.1037/0033-2909.114.3.494); 0 is like the others, and where there are none.
    """

    known: float
    median: float
    overall: float
    positive: float
    overall_positive: float
    effect: float


@dataclass(frozen=True)
class WordTrait:
    """A word of a cluster beside everyone's: share of persons with it among those with any, 0..1."""

    word: str
    share: float
    overall: float

    @property
    def lift(self) -> float:
        return self.share - self.overall


@dataclass(frozen=True)
class ClusterTraits:
    """All traits of one cluster.

    Args:
        cluster_id: stable id.
        size: persons.
        share: of all clustered persons, 0..1.
        numbers: by feature.
        words: by feature, all words with members, most frequent first, ties by name.
    """

    cluster_id: int
    size: int
    share: float
    numbers: Mapping[str, NumberTrait]
    words: Mapping[str, tuple[WordTrait, ...]]

    def most_frequent(self, name: str) -> WordTrait | None:
        return next(iter(self.words.get(name, ())), None)

    def most_typical(self, name: str, *, share: float = 0.3, lift: float = 0.1) -> WordTrait | None:
        """The word by which the cluster differs most from everyone, if enough of it has that word."""
        typical = [w for w in self.words.get(name, ()) if w.share >= share and w.lift >= lift]
        return max(typical, key=lambda w: w.lift, default=None)


def cluster_traits(people: pa.Table) -> list[ClusterTraits]:
    """Traits of every cluster, in order of their ids.

    Args:
        people: cluster_id and whatever is known of the persons; numbers and words are used, columns ending in _id and instants are not.
    """
    clusters, labels, sizes = np.unique(people["cluster_id"].to_numpy(), return_inverse=True, return_counts=True)
    names = [f.name for f in people.schema if not f.name.endswith("_id")]
    numbers = {n: _number_traits(people[n], labels, len(clusters)) for n in names if is_number(people[n].type)}
    words = {n: _word_traits(people[n], labels, len(clusters)) for n in names if is_text(people[n].type)}
    return [
        ClusterTraits(
            cluster_id=int(cluster),
            size=int(sizes[i]),
            share=float(sizes[i] / len(people)),
            numbers={name: found for name, traits in numbers.items() if (found := traits[i]) is not None},
            words={name: traits[i] for name, traits in words.items() if traits[i]},
        )
        for i, cluster in enumerate(clusters)
    ]


def _number_traits(column: pa.ChunkedArray, labels: npt.NDArray[np.intp], count: int) -> list[NumberTrait | None]:
    value = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = np.isfinite(value)
    sizes = np.bincount(labels, minlength=count)
    value, labels = value[known], labels[known]
    if not value.size:
        return [None] * count
    _, position, times = np.unique(value, return_inverse=True, return_counts=True)
    above_minus_below = 2 * np.cumsum(times) - times - len(value)  # persons with less, minus persons with more, per distinct value
    members = [labels == i for i in range(count)]
    overall, overall_positive = float(np.median(value)), float((value > 0).mean())
    return [
        NumberTrait(
            known=float(m.sum() / sizes[i]),
            median=float(np.median(value[m])),
            overall=overall,
            positive=float((value[m] > 0).mean()),
            overall_positive=overall_positive,
            effect=float(above_minus_below[position[m]].sum() / max(int(m.sum() * (~m).sum()), 1)),
        )
        if m.any()
        else None
        for i, m in enumerate(members)
    ]


def _word_traits(column: pa.ChunkedArray, labels: npt.NDArray[np.intp], count: int) -> list[tuple[WordTrait, ...]]:
    encoded = column.combine_chunks().cast(pa.string()).dictionary_encode()
    words = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    known = codes >= 0
    counts = np.zeros((count, len(words)), np.int64)
    np.add.at(counts, (labels[known], codes[known]), 1)
    everyone, per_cluster = counts.sum(axis=0), counts.sum(axis=1)
    return [
        tuple(
            WordTrait(words[w], float(counts[i, w] / per_cluster[i]), float(everyone[w] / everyone.sum()))
            for w in sorted(np.flatnonzero(counts[i]), key=lambda w: (-counts[i, w], words[w]))
        )
        for i in range(count)
    ]
