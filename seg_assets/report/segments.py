"""Pictures of segments: how large they are, and which of them hold the same people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.report.canvas import BLUE, GREY, INK, blank, canvas, counts_on, panels, percent, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SEGMENTS = 20
"""Largest segments shown; more can't be read."""


@picture
def segment_sizes(health: pa.Table) -> Figure:
    """How many members each segment has.

    Args:
        health: segments/health.
    """
    rows = sorted(health.to_pylist(), key=lambda row: (-row["size"], row["segment"]))
    if not rows:
        return blank("Segments", "No segments are defined.")
    shown = rows[:MOST_SEGMENTS]
    empty = sum(not row["size"] for row in rows)
    says = f"{len(rows)} segment{'s' if len(rows) > 1 else ''}" + (f", {empty} without members" if empty else "")
    figure, axes = canvas(1.2 + 0.36 * len(shown), says + (f" (the {MOST_SEGMENTS} largest)" if len(rows) > len(shown) else ""))
    axes.barh(range(len(shown)), [row["size"] for row in shown], 0.68, color=[GREY if row["below_minimum"] else BLUE for row in shown])
    for i, row in enumerate(shown):
        note = "  below its minimum size" if row["below_minimum"] else ""
        axes.annotate(
            f"{row['size']:,}  {percent(row['share'])}{note}", (row["size"], i), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(range(len(shown)), [textwrap.shorten(row["title"], 34, placeholder="…") for row in shown])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.25)
    axes.set_xlabel("Members (and share of all persons)")
    counts_on(axes.xaxis)
    axes.xaxis.grid(visible=True)
    return figure


@picture
def segment_history(steps: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Figure:
    """How each segment's size went from evaluation to evaluation: one small plot each, all of the same instants.

    Args:
        steps: rows of `segments.log.movements`, by segment and evaluation.
        titles: title of each segment that is defined, by id; others are not shown.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    sizes: dict[str, list[tuple[datetime, int]]] = {}
    for step in steps:
        if step["segment"] in titles:
            sizes.setdefault(step["segment"], []).append((step["as_of"], step["size"]))
    if not sizes:
        return blank("Members over time", "Nobody has entered a segment yet.")
    first, last = (pick(at for points in sizes.values() for at, _ in points) for pick in (min, max))
    if first == last:
        return blank("Members over time", f"There is one evaluation so far, of {first:%Y-%m-%d}. The next one begins the lines.")
    shown = sorted(sizes, key=lambda s: (-sizes[s][-1][1], s))[:MOST_SEGMENTS]
    figure, axes = panels(len(shown), 3, 1.05, f"Members over time, {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    for plot, name in zip(axes, shown, strict=True):
        at, members = zip(*sizes[name], (last, sizes[name][-1][1]), strict=True)
        plot.step(at, members, where="post", color=BLUE, linewidth=1.6)
        plot.plot(at[-1:], members[-1:], "o", color=BLUE, markersize=4)
        plot.set_title(f"{textwrap.shorten(titles[name], 26, placeholder='…')}  {members[-1]:,}", fontsize=8.5, loc="left")
        plot.set_ylim(0, max(members) * 1.25 or 1)
        plot.set_yticks([])
        plot.spines["left"].set_visible(False)
        plot.set_xlim(date2num(first), date2num(last + (last - first) / 40))
        locator = AutoDateLocator(minticks=2, maxticks=3)
        plot.xaxis.set_major_locator(locator)
        plot.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        plot.tick_params(axis="x", labelsize=7)
    return figure


def segment_overlaps(memberships: ir.Table) -> ir.Table:
    """How many members any two segments share, for `segment_overlap_matrix`: segment, other, persons. A segment shares all with itself."""
    mine = memberships.select("person_id", "segment")
    theirs = mine.view().rename(other="segment")
    pairs = mine.join(theirs, "person_id")
    return pairs.group_by("segment", "other").aggregate(persons=pairs.count())


@picture
def segment_overlap_matrix(overlaps: pa.Table, titles: Mapping[str, str]) -> Figure:
    """Which segments hold the same people: members in both, by members in either (Jaccard).

    Args:
        overlaps: result of `segment_overlaps`.
        titles: title of each segment, by id.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    shared = {(row["segment"], row["other"]): row["persons"] for row in overlaps.to_pylist()}
    sizes = {a: n for (a, b), n in shared.items() if a == b}
    names = sorted(sizes, key=lambda s: (-sizes[s], s))[:MOST_SEGMENTS]
    if len(names) < 2:
        return blank("Overlap of segments", "There are no two segments with members.")
    jaccard = np.array([[shared.get((a, b), 0) / (sizes[a] + sizes[b] - shared.get((a, b), 0)) for b in names] for a in names])
    below = [(jaccard[i, j], i, j) for i in range(len(names)) for j in range(i)]
    most, i, j = max(below, key=lambda pair: (pair[0], -pair[1], -pair[2]))
    pair = " and ".join(textwrap.shorten(titles[names[n]], 24, placeholder="…") for n in (j, i))
    figure, axes = canvas(1.5 + 0.42 * len(names), f"Most alike: {pair} ({most:.0%})" if most else "No two segments share a member")
    hidden = np.triu(np.ones_like(jaccard, bool))
    colours = LinearSegmentedColormap.from_list("blues", ["#F4F8FB", BLUE, "#00304D"])
    axes.imshow(np.ma.masked_array(jaccard, hidden), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for value, row, column in below:
        text = "–" if value == 0 else "<1" if value < 0.01 else f"{value:.0%}".rstrip("%")
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if value > 0.4 else INK)
    axes.set_xticks(
        range(len(names) - 1), [textwrap.shorten(titles[n], 22, placeholder="…") for n in names[:-1]], rotation=35, ha="right", fontsize=9
    )
    axes.set_yticks(range(1, len(names)), [textwrap.shorten(titles[n], 30, placeholder="…") for n in names[1:]], fontsize=9)
    axes.set_xlim(-0.5, len(names) - 1.5)
    axes.set_ylim(len(names) - 0.5, 0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Members in both, in percent of members in either")
    return figure
