"""Samples of persons that hardly change from refresh to refresh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def sample_rows(person_ids: npt.NDArray[np.int64], size: int, seed: int) -> npt.NDArray[np.intp]:
    """Rows of the persons with the lowest hashes: whoever was sampled stays so while others come and go (SplitMix64, Steele et al. 2014)."""
    if len(person_ids) <= size:
        return np.arange(len(person_ids))
    with np.errstate(over="ignore"):
        bits = person_ids.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    return np.sort(np.argsort(bits, kind="stable")[:size])
