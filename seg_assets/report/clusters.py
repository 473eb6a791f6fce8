"""Pictures of clusters and personas: how many there are, where they lie, and what each is like."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from seg_assets.clustering.kmeans import Candidate
from seg_assets.clustering.projection import ClusterMap
from seg_assets.clustering.words import FEATURES, UNTOLD, amount, plain
from seg_assets.report.canvas import BLUE, GREY, INK, MANY, ORANGE, blank, canvas, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TRAITS = 6
"""Columns of the persona profiles."""


@picture
def silhouette_by_k(candidates: Sequence[Candidate], chosen: int, note: str = "") -> Figure:
    """How well each number of clusters fits, and which one was chosen.

    Args:
        candidates: the numbers of clusters tried.
        chosen: the one taken.
        note: why nothing was tried, if so.
    """
    if not candidates:
        return blank("Number of clusters", note or "No numbers of clusters were tried.")
    figure, axes = canvas(3.2, f"{chosen} clusters fit best")
    best = max(candidates, key=lambda c: c.silhouette)
    if best.k != chosen:
        figure.suptitle(f"{chosen} clusters were taken; {best.k} would score higher, but are less stable")
    ks, widths = [c.k for c in candidates], [c.silhouette for c in candidates]
    axes.errorbar(ks, widths, yerr=[c.silhouette_sd for c in candidates], color=GREY, marker="o", markersize=6, capsize=3, linewidth=1.5)
    taken = [c for c in candidates if c.k == chosen]
    axes.plot([c.k for c in taken], [c.silhouette for c in taken], "o", markersize=11, color=ORANGE, zorder=3)
    for c in taken:
        axes.annotate(f"{c.silhouette:.2f}", (c.k, c.silhouette), xytext=(0, 10), textcoords="offset points", ha="center", weight="bold")
    axes.margins(y=0.25)
    axes.set_xticks(ks)
    axes.set_xlabel("Number of clusters")
    axes.set_ylabel("Mean silhouette (-1 to 1)\n± deviation over samples")
    axes.yaxis.grid(visible=True)
    return figure


@picture
def cluster_map(found: ClusterMap, labels: Mapping[int, str]) -> Figure:
    """Where the clusters lie: a sample of persons on the plane that spreads the clusters most.

    Args:
        found: the map.
        labels: name of each cluster.
    """
    clusters = found.centres.to_pylist()
    if not len(found.points):
        return blank("Map of the clusters", "No persons yet.")
    figure, axes = canvas(
        4.6 + 0.19 * ((len(clusters) + 1) // 2), f"{len(clusters)} clusters on the plane that shows {found.kept:.0%} of their differences"
    )
    points = found.points.to_pydict()
    place = {row["cluster_id"]: i for i, row in enumerate(clusters)}
    colours = [MANY[place[c] % len(MANY)] for c in points["cluster_id"]]
    axes.scatter(points["x"], points["y"], s=7, c=colours, alpha=0.5, linewidths=0)
    for row in clusters:
        axes.plot(row["x"], row["y"], "o", markersize=17, color=MANY[place[row["cluster_id"]] % len(MANY)], markeredgecolor="white", label="")
        axes.text(row["x"], row["y"], str(row["cluster_id"]), ha="center", va="center", color="white", weight="bold", fontsize=9.5)
    for across, values in ((axes.set_xlim, points["x"]), (axes.set_ylim, points["y"])):
        across(*_inner(values))
    axes.set_xlabel(f"{found.axes[0]} →" if found.axes[0] else "")
    axes.set_ylabel(f"{found.axes[1]} →" if found.axes[1] else "")
    axes.set_xticks([])
    axes.set_yticks([])
    handles = [
        axes.plot(
            [], [], "o", color=MANY[i % len(MANY)], markersize=7, label=f"{row['cluster_id']}  {textwrap.shorten(labels[row['cluster_id']], 46)}"
        )[0]
        for i, row in enumerate(clusters)
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9, handletextpad=0.2, columnspacing=1.2)
    return figure


@picture
def persona_profiles(personas: pa.Table) -> Figure:
    """What each persona has more or less of than the others: its typical figure, coloured by how unusual it is.

    Args:
        personas: clusters/personas.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    rows = personas.to_pylist()
    traits = [json.loads(row["traits"])["features"] for row in rows]
    strength = {n: max(abs(t[n]["effect"]) for t in traits if n in t) for n in {n for t in traits for n in t} - UNTOLD}
    names = _one_per_family(sorted(strength, key=lambda n: (-round(strength[n], 6), n)))[:MOST_TRAITS]
    if not names or len(rows) < 2:
        return blank("Personas", "There are no two personas to compare.")
    figure, axes = canvas(2.2 + 0.42 * len(rows), "What sets each persona apart (its typical figures)")
    everyone = {n: next(t[n] for t in traits if n in t) for n in names}
    traits.append({n: {"median": trait["overall"], "effect": 0, "known": 1} for n, trait in everyone.items()})
    shown = [{n: t[n] for n in names if n in t and t[n]["known"] >= 0.5} for t in traits]
    effects = np.array([[t[n]["effect"] if n in t else 0 for n in names] for t in shown])
    colours = LinearSegmentedColormap.from_list("less to more", [ORANGE, "#FFFFFF", BLUE])
    image = axes.imshow(effects, cmap=colours, vmin=-1, vmax=1, aspect="auto")
    for row, column in np.ndindex(effects.shape):
        trait = shown[row].get(names[column])
        text = amount(trait["median"]) if trait else "–"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if effects[row, column] > 0.75 else INK)
    axes.axhline(len(rows) - 0.5, color=GREY, linewidth=1)
    axes.set_xticks(range(len(names)), [textwrap.fill(plain(n), 10, break_long_words=False) for n in names], fontsize=8.5)
    labels = [f"{row['label']} ({row['share']:.0%})" for row in rows]
    axes.set_yticks(range(len(traits)), [textwrap.fill(label, 30) for label in (*labels, "Everyone")], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.05, pad=0.03, aspect=40, ticks=[-1, 0, 1])
    ends = bar.ax.set_xticklabels(["less than all others", "like the others", "more than all others"], fontsize=9)
    ends[0].set_horizontalalignment("left")
    ends[-1].set_horizontalalignment("right")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def _one_per_family(names: Sequence[str]) -> list[str]:
    """The first feature of each family: those of one family say the same."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(FEATURES[name].family if name in FEATURES else name, name)
    return list(first.values())


def _inner(values: Sequence[float]) -> tuple[float, float]:
    """The span most values lie in, so that a few far ones do not squeeze the rest."""
    import numpy as np

    low, high = np.quantile(values, [0.005, 0.995])
    room = 0.06 * (high - low) or 1
    return float(low - room), float(high + room)
