"""What all pictures share: size, colours, type, and how they become bytes. The pictures themselves are in the modules beside this one."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

WIDTH = 7.0
"""Inches; shown about 600 pixels wide, 10-point type stays readable."""
DPI = 130
COLOURS = 128
"""Of a picture's palette."""

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#9A9A9A"
"""Okabe and Ito's colours, told apart with any colour vision (https://jfly.uni-koeln.de/color/)."""
MANY = ("#332288", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#661100", "#6699CC", "#888888")
"""Paul Tol's muted scheme, for up to twelve groups (https://personal.sron.nl/~pault/)."""
INK, FAINT = "#222222", "#DDDDDD"

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def picture(draw: Callable[P, Figure]) -> Callable[P, bytes]:
    """Turns a function that draws a figure into one that returns it as PNG: the same bytes for the same arguments, whatever the user's matplotlibrc."""

    @wraps(draw)
    def render(*args: P.args, **kwargs: P.kwargs) -> bytes:
        import matplotlib
        import numpy as np
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(cast(Any, STYLE))
            figure = draw(*args, **kwargs)
            drawn = FigureCanvasAgg(figure)
            drawn.draw()
        image = Image.fromarray(np.asarray(drawn.buffer_rgba())).convert("RGB")
        out = io.BytesIO()
        # A palette makes the file three times smaller, and these pictures have few colours.
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(out, format="png", optimize=True)
        return out.getvalue()

    return render


def canvas(height: float, title: str) -> tuple[Figure, Axes]:
    """An empty figure of the usual width with one plot.

    Args:
        height: inches.
        title: what the picture says.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    figure.suptitle(textwrap.fill(title, 74), x=0.01, ha="left")
    return figure, axes


def panels(count: int, across: int, height: float, title: str) -> tuple[Figure, list[Axes]]:
    """An empty figure of the usual width with several small plots.

    Args:
        count: how many.
        across: how many beside each other.
        height: of one plot, inches.
        title: what the picture says.
    """
    from matplotlib.figure import Figure

    down = -(-count // across)
    figure = Figure(figsize=(WIDTH, 0.6 + height * down), dpi=DPI, layout="constrained", facecolor="white")
    figure.suptitle(textwrap.fill(title, 74), x=0.01, ha="left")
    return figure, [figure.add_subplot(down, across, i + 1) for i in range(count)]


def blank(title: str, reason: str) -> Figure:
    """A picture that says why there is nothing to show."""
    figure, axes = canvas(1.4, title)
    axes.set_axis_off()
    axes.text(0, 0.5, reason, transform=axes.transAxes, va="center")
    return figure


def counts_on(axis: Any) -> None:
    """Thousands separators, and whole numbers only, on an axis of counts."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def percent(share: float) -> str:
    """A share with one decimal where it has one: 12.3%, 50%, <0.1%."""
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}".replace(".0%", "%")


def as_markdown(png: bytes, title: str = "") -> str:
    """The picture as Markdown with the image inside it, for Dagster's metadata panel."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"
