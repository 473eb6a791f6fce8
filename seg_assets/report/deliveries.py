"""Pictures of deliveries: how fast operations went out, and why some did not arrive. What became of all of them is in `flows.delivery_funnel`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seg_assets.report.canvas import BLUE, GREY, ORANGE, RED, blank, canvas, counts_on, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_REASONS = 8
"""Reasons with a bar of their own; the others are one."""
SHADES = {"rejected": RED, "in_doubt": ORANGE, "retry_wait": BLUE, "gated": GREY}
NAMES = {"rejected": "rejected for good", "in_doubt": "in doubt", "retry_wait": "to be sent again", "gated": "held back"}


@picture
def delivery_throughput(points: Sequence[tuple[float, int]]) -> Figure:
    """Operations answered over the time of a delivery.

    Args:
        points: seconds since the start and operations answered by then, one per batch, in order.
    """
    if not points or not points[-1][1]:
        return blank("Throughput", "Nothing was sent.")
    seconds, answered = [0.0, *(at for at, _ in points)], [0, *(n for _, n in points)]
    duration = max(seconds[-1], 1e-3)
    rate = answered[-1] / duration
    figure, axes = canvas(2.4, f"{answered[-1]:,} operations in {duration:,.1f} s: {f'{rate:,.0f}' if rate >= 10 else f'{rate:.1f}'} per second")
    axes.step(seconds, answered, where="post", color=BLUE, linewidth=2)
    axes.fill_between(seconds, answered, step="post", color=BLUE, alpha=0.15)
    axes.set_xlabel("Seconds since the first batch was ready")
    axes.set_ylabel("Operations answered")
    axes.set_xlim(0)
    axes.set_ylim(0)
    counts_on(axes.yaxis)
    axes.yaxis.grid(visible=True)
    return figure


@picture
def delivery_errors(reasons: Mapping[tuple[str, str], int]) -> Figure:
    """Why operations did not arrive.

    Args:
        reasons: state (rejected, in_doubt, retry_wait, gated) and reason to how many operations.
    """
    total = sum(reasons.values())
    if not total:
        return blank("Errors", "Every operation that was sent has arrived.")
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ranked[:MOST_REASONS], sum(n for _, n in ranked[MOST_REASONS:])
    labels = ["\n".join(textwrap.wrap(reason or "no reason given", 44)[:2]) for (_, reason), _ in shown]
    counts, colours = [n for _, n in shown], [SHADES.get(state, GREY) for (state, _), _ in shown]
    if rest:
        labels, counts, colours = [*labels, "other reasons"], [*counts, rest], [*colours, GREY]
    figure, axes = canvas(1.3 + 0.42 * len(counts), f"{total:,} operations have not arrived, for {len(reasons):,} reason{'s'[: len(reasons) > 1]}")
    bars = axes.barh(range(len(counts)), counts, 0.68, color=colours)
    axes.bar_label(bars, [f"{n:,}" for n in counts], padding=4, fontsize=9)
    axes.set_yticks(range(len(counts)), labels)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.margins(x=0.12)
    axes.set_xlim(0)
    axes.set_xlabel("Operations")
    counts_on(axes.xaxis)
    axes.xaxis.grid(visible=True)
    states = [state for state in SHADES if any(state == known for (known, _), _ in shown)]
    handles = [bars.patches[next(i for i, ((known, _), _) in enumerate(shown) if known == state)] for state in states]
    axes.legend(handles, [NAMES[state] for state in states], loc="lower right", fontsize=9)
    return figure
