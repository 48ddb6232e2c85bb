"""Figures: drawn by matplotlib without its global state, kept as SVG with text that can be selected."""

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from markupsafe import Markup

from gwa_attrib.plot.look import CALM, INK, MUTED, PALE, RULE, STYLE, SUSPECT, plain_axes
from gwa_attrib.reporting.figures.svg import page_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CALM", "INK", "MUTED", "PALE", "RULE", "STYLE", "SUSPECT", "draw", "plain_axes"]


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
