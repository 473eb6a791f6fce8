"""Ranks that treat equal values equally: what percentiles and quintiles of every score are made of."""

from __future__ import annotations

from typing import Any

import ibis


def midrank_share(value: Any) -> Any:
    """Share of rows with a lower value, counting half of those with the same value.

    Rows with equal values get equal shares, and the mean over all rows is exactly 1/2 whatever the ties
    (https://en.wikipedia.org/wiki/Percentile_rank).

    Args:
        value: a numeric Ibis column without nulls.

    Returns:
        A column: share between 0 and 1, both excluded. Counts only, so it does not depend on row order.
    """
    lower, same, rows = _counts(value)
    return (2 * lower + same) / (2 * rows)


def part(value: Any, parts: int, *, skipped: Any = 0) -> Any:
    """Which of `parts` equal parts of the rows a value falls into by its midrank. Equal values fall into the same part.

    Args:
        value: a numeric Ibis column without nulls.
        parts: how many parts, e.g. 5 for quintiles.
        skipped: number of lowest rows to leave out of the ranking; their own part is meaningless.

    Returns:
        A column: 1 (lowest) to `parts` (highest).
    """
    lower, same, rows = _counts(value)
    ranked: Any = ibis.greatest(rows - skipped, 1)
    return 1 + (parts * (2 * (lower - skipped) + same)) // (2 * ranked)


def _counts(value: Any) -> tuple[Any, Any, Any]:
    """Rows with a lower value, rows with the same value, all rows."""
    lower = ibis.rank().over(ibis.window(order_by=value))
    return lower, value.count().over(ibis.window(group_by=value)), value.count().over(ibis.window())
