"""The picture of several runs side by side."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gwa_attrib.reporting.figures.figure import CALM, draw, plain_axes
from gwa_attrib.reporting.wording import shortened, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


NAMED = 12
"""Runs up to which each has its name in the picture; of more only the best by either measure, and the worst."""
ALONE = 'xmlns="http://www.w3.org/2000/svg" style="background: white; font-family: sans-serif"'
"""Settings of a picture that is a file, and no part of a page."""


def comparison_svg(table: pd.DataFrame, by: str) -> str:
    """The values `by` of each run against its `accuracy` if there is one, else as bars; runs are the table's index."""
    names = [shortened(visible(str(name)), 40) for name in table.index]
    values = table[by].to_numpy(dtype=np.float64)
    known = "accuracy" in table

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        if known:
            _against(axes, names, values, table["accuracy"].to_numpy(dtype=np.float64))
        else:
            _bars(axes, names, values)
        axes.set_xlabel(by.replace("_", " "))

    size = (720, 480) if known else (720, 80 + 30 * len(names))
    svg = str(draw("comparison", f"Runs compared by {by}", size, paint))
    return svg.replace("<svg ", f"<svg {ALONE} ", 1)


def _against(axes: "Axes", names: list[str], values: np.ndarray, accuracy: np.ndarray) -> None:
    plain_axes(axes, grid="both")
    axes.plot(values, accuracy, "o", color=CALM, markersize=7)
    named = range(len(names)) if len(names) <= NAMED else {int(np.nanargmax(values)), *_ends(accuracy)}
    for i in named:
        axes.annotate(names[i], (values[i], accuracy[i]), xytext=(7, 4), textcoords="offset points", fontsize=10)
    axes.set_ylabel("accuracy")
    axes.margins(0.12)


def _ends(values: np.ndarray) -> tuple[int, int]:
    return int(np.nanargmax(values)), int(np.nanargmin(values))


def _bars(axes: "Axes", names: list[str], values: np.ndarray) -> None:
    plain_axes(axes, grid="x")
    rows = np.arange(len(names))
    axes.barh(rows, values, color=CALM, height=0.6)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
