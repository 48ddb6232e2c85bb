"""Figures: drawn by matplotlib without its global state, kept as SVG with text that can be selected."""

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from gwa_attrib.report.svg import page_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#1d2733", "#5b6673", "#dfe3e8"
CALM, SUSPECT = "#2c6496", "#b3430f"
"""All samples or a curve; suspects. Their lightness differs too, and so do line, hatch or marker."""
PALE = "#c9d3dd"

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def draw(name: str, title: str, size: tuple[int, int], paint: Callable[["Figure"], None]) -> Markup:
    """The SVG of what `paint` draws, the same bytes each time.

    Args:
        name: Unique in the page, for ids.
        title: What the figure shows, in words.
        size: Width and height in CSS pixels.
        paint: Draws on an empty figure.
    """
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {**STYLE, "svg.hashsalt": name}
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        # Text stays text: the reader's fonts draw it, so that a character without a glyph here is no concern.
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph .* missing from font")
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return Markup(page_svg(file.getvalue(), name, title))  # the XML writer has escaped every text


def plain_axes(axes: "Axes", *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Light grid lines behind the data."""
    axes.grid(axis=grid, color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
