"""The space persons are compared in: features of any scale, skew and type become axes of about equal weight. Clustering itself is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seg_assets.errors import ProjectError

Matrix = npt.NDArray[np.float64]

CLIP = 4.0
"""Farthest a person can be from the mean on one axis, in standard deviations: outliers count, but do not decide."""
TAIL = 0.005
"""Share of values at each end that does not influence mean and deviation."""
MIN_WORD_SHARE = 0.02
"""Words rarer than this among the persons get no axis."""


@dataclass(frozen=True)
class NumberAxis:
    """A number as signed log1p, cut at `low` and `high`, with mean 0 and deviation 1. Missing values lie at `missing`."""

    name: str
    missing: float
    low: float
    high: float
    mean: float
    deviation: float

    @property
    def directions(self) -> tuple[str, ...]:
        """What grows along each axis."""
        return (self.name,)

    def encode(self, column: pa.ChunkedArray) -> Matrix:
        value = _logs(column)
        value = np.clip(np.where(np.isnan(value), self.missing, value), self.low, self.high)
        return np.clip((value - self.mean) / self.deviation, -CLIP, CLIP)[:, None]


@dataclass(frozen=True)
class WordAxes:
    """A word as one axis per frequent value, 0 or `height`; all of them together vary as much as one number."""

    name: str
    words: tuple[str, ...]
    height: float

    @property
    def directions(self) -> tuple[str, ...]:
        """What grows along each axis."""
        return self.words

    def encode(self, column: pa.ChunkedArray) -> Matrix:
        values = column.to_numpy(zero_copy_only=False)
        return np.column_stack([values == word for word in self.words]) * self.height


@dataclass(frozen=True)
class FeatureSpace:
    """How persons become points.

    Args:
        axes: one entry per feature used.
        unused: features that are the same for everybody (or always missing) and so tell nobody apart.
    """

    axes: tuple[NumberAxis | WordAxes, ...]
    unused: tuple[str, ...]

    @property
    def directions(self) -> tuple[str, ...]:
        """What grows along each axis of the points: a feature's name, or the word."""
        return tuple(direction for axis in self.axes for direction in axis.directions)

    def encode(self, features: pa.Table) -> Matrix:
        """Persons as points: one row each, in the order of the table."""
        return np.hstack([np.empty((len(features), 0)), *(axis.encode(features[axis.name]) for axis in self.axes)])


def learn_space(features: pa.Table, names: Sequence[str]) -> FeatureSpace:
    """The space in which the persons of a table vary about equally along each feature.

    Numbers: signed log1p, winsorised at the 0.5% tails, standardised, cut at 4 deviations; a missing or infinite value counts as the median, for
    `days_since_...` (never happened) as the largest. Words: one axis per value of at least 2% of the persons.

    Args:
        features: one row per person, in a fixed order.
        names: columns to use; numbers, booleans or text.

    Raises:
        ProjectError: a column is missing or neither number nor text.
    """
    axes = [_axis(features, name) for name in names]
    return FeatureSpace(
        axes=tuple(axis for axis in axes if axis is not None),
        unused=tuple(name for name, axis in zip(names, axes, strict=True) if axis is None),
    )


def _axis(features: pa.Table, name: str) -> NumberAxis | WordAxes | None:
    if name not in features.column_names:
        raise ProjectError(f"clustering uses the unknown feature {name!r}", hint="name a column of profiles/features or scores/")
    column = features[name]
    if is_text(column.type):
        return _word_axes(name, column)
    if not (is_number(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type)):
        raise ProjectError(f"clustering can't use the feature {name!r}: a {column.type} is neither a number nor a word")
    return _number_axis(name, column)


def _number_axis(name: str, column: pa.ChunkedArray) -> NumberAxis | None:
    value = _logs(column)
    known = value[~np.isnan(value)]
    if not known.size:
        return None
    missing = float(known.max() if name.startswith("days_since_") else np.quantile(known, 0.5, method="lower"))
    value = np.where(np.isnan(value), missing, value)
    low, high = np.quantile(value, [TAIL, 1 - TAIL], method="nearest")
    if low == high:
        low, high = value.min(), value.max()
    value = np.clip(value, low, high)
    deviation = float(value.std())
    if not deviation > 1e-9 * max(abs(low), abs(high), 1e-300):
        return None
    return NumberAxis(name, missing, float(low), float(high), float(value.mean()), deviation)


def _word_axes(name: str, column: pa.ChunkedArray) -> WordAxes | None:
    counts = {row["values"].as_py(): row["counts"].as_py() for row in column.value_counts() if row["values"].is_valid}
    frequent = sorted((w for w, n in counts.items() if n >= MIN_WORD_SHARE * len(column)), key=lambda w: (-counts[w], w))
    shares = np.array([counts[w] / len(column) for w in frequent])
    variance = float((shares * (1 - shares)).sum())
    return WordAxes(name, tuple(frequent), variance**-0.5) if variance > 0 else None


def _logs(column: pa.ChunkedArray) -> Any:
    """sign(x) * log(1 + |x|); NaN for what is missing or not finite."""
    value = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    value = np.where(np.isfinite(value), value, np.nan)
    return np.sign(value) * np.log1p(np.abs(value))


def is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
