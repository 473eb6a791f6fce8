"""Pictures of scores: how engagement spreads, and where buyers stand in recency and frequency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.report.canvas import BLUE, FAINT, GREEN, GREY, INK, blank, canvas, counts_on, percent, picture
from seg_assets.scoring.engagement import ENGAGEMENT_LABELS, HIGHLY, LURKER, MODERATELY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 2
"""Bars per doubling of points."""
LEAST = -6 * STEPS
"""Step all lower ones are counted with: hundredths of a point make no difference that matters."""


def engagement_histogram(scores: ir.Table) -> ir.Table:
    """Persons per label and step of points, for `engagement_distribution`.

    Args:
        scores: scores/engagement.

    Returns:
        step (half doublings above 1 point, `LEAST` and below together; null for 0 points), engagement_label, persons.
    """
    points: Any = scores.engagement
    step: Any = ibis.greatest((points.log2() * STEPS).floor().cast("int64"), LEAST)
    step = ibis.ifelse(points > 0, step, None)
    return scores.group_by(step=step, engagement_label=scores.engagement_label).aggregate(persons=scores.count())


@picture
def engagement_distribution(histogram: pa.Table, thresholds: Mapping[str, float | None]) -> Figure:
    """How many persons have how many points, and where the labels begin.

    Args:
        histogram: result of `engagement_histogram`.
        thresholds: highly, moderately: points from which on the labels hold; None where nobody has the label.
    """
    import numpy as np

    rows = histogram.to_pylist()
    total = sum(row["persons"] for row in rows)
    if not total:
        return blank("Engagement", "No persons yet.")
    shares = {label: sum(r["persons"] for r in rows if r["engagement_label"] == label) / total for label in ENGAGEMENT_LABELS}
    figure, axes = canvas(3.4, f"{shares[HIGHLY]:.0%} of {total:,} persons are highly engaged, {shares[MODERATELY]:.0%} moderately")
    steps = [row["step"] for row in rows if row["step"] is not None] or [0]
    low, high = min(steps), max(steps)
    nothing = low - 2
    base: dict[int, int] = {}
    for label, colour in ((LURKER, GREY), (MODERATELY, BLUE), (HIGHLY, GREEN)):
        mine = {nothing if r["step"] is None else r["step"]: r["persons"] for r in rows if r["engagement_label"] == label}
        at = sorted(mine)
        axes.bar(np.array(at) + 0.5, [mine[s] for s in at], 0.92, bottom=[base.get(s, 0) for s in at], color=colour, label=label)
        base |= {s: base.get(s, 0) + n for s, n in mine.items()}
    every = max(1, round((high - low) / 9 / STEPS)) * STEPS
    ticks = [t for t in range(low - low % STEPS, high + 2) if t % every == 0 and low <= t <= high + 1]
    axes.set_xticks(
        [nothing + 0.5, *(t + 0.5 * (t == LEAST) for t in ticks)], ["0", *("less" if t == LEAST else f"{2.0 ** (t / STEPS):,.6g}" for t in ticks)]
    )
    for name in ("moderately", "highly"):
        if points := thresholds.get(name):
            axes.axvline(np.log2(points) * STEPS, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.text(np.log2(points) * STEPS, 1.0, f" {points:,.3g}", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
    axes.set_xlabel("Engagement (points, doubling scale)")
    axes.set_ylabel("Persons")
    counts_on(axes.yaxis)
    axes.yaxis.grid(visible=True)
    axes.margins(y=0.1)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure


def rfm_counts(rfm: ir.Table) -> ir.Table:
    """Buyers per recency and frequency score, for `rfm_heat_map`: recency, frequency, persons."""
    return rfm.group_by("recency", "frequency").aggregate(persons=rfm.count())


@picture
def rfm_heat_map(counts: pa.Table) -> Figure:
    """How many buyers stand where in recency and frequency.

    Args:
        counts: result of `rfm_counts`.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    grid = np.zeros((5, 5), np.int64)
    for row in counts.to_pylist():
        grid[row["frequency"] - 1, row["recency"] - 1] = row["persons"]
    total = int(grid.sum())
    if not total:
        return blank("Recency and frequency", "Nobody has ordered in the window.")
    best = grid[3:, 3:].sum() / total
    figure, axes = canvas(4.2, f"{best:.0%} of {total:,} buyers bought both lately and often")
    colours = LinearSegmentedColormap.from_list("blues", ["#F4F8FB", BLUE, "#00304D"])
    axes.imshow(grid, origin="lower", cmap=colours, vmin=0, aspect="auto")
    for frequency, recency in np.ndindex(5, 5):
        persons = grid[frequency, recency]
        dark = persons > 0.4 * grid.max()
        text = f"{persons:,}\n{percent(float(persons / total))}" if persons else "–"
        axes.text(recency, frequency, text, ha="center", va="center", color="white" if dark else INK, fontsize=9.5)
    axes.set_xticks(range(5), ["1\nlongest ago", "2", "3", "4", "5\nlatest"])
    axes.set_yticks(range(5), ["1\nleast often", "2", "3", "4", "5\nmost often"])
    axes.set_xlabel("Recency score")
    axes.set_ylabel("Frequency score")
    axes.set_xticks(np.arange(-0.5, 5), minor=True)
    axes.set_yticks(np.arange(-0.5, 5), minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.spines[:].set_color(FAINT)
    return figure
