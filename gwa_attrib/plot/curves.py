"""Curves over the epochs, with the best marked, and epochs in which GWA cannot be relied on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from gwa_attrib.plot.canvas import label_of
from gwa_attrib.plot.look import CALM, INK, MUTED, PALE, plain_axes
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
"""Line and marker of the curves in one panel: told apart without colour."""
UNRELIABLE = "not reliable"


@dataclass(frozen=True, eq=False)
class Curve:
    """A number per epoch; high is good."""

    name: str
    values: Float[np.ndarray, " epoch"]
    marked: bool = True
    """True where the highest value is the best. Not that of the training accuracy: wrong labels can be learnt too."""

    @property
    def best(self) -> int | None:
        """Position of its highest value; the first of equals; None without a value."""
        return None if np.isnan(self.values).all() else int(np.nanargmax(self.values))


@dataclass(frozen=True)
class Panel:
    """Curves with one unit."""

    unit: str
    curves: tuple[Curve, ...]


def paint_panel(axes: "Axes", panel: Panel, numbers: Array) -> None:
    """Paint the curves of a panel, the best value of each marked with its epoch."""
    plain_axes(axes)
    for curve, (line, marker) in zip(panel.curves, LINES * len(panel.curves), strict=False):
        colour = CALM if curve is panel.curves[0] else INK
        label = label_of(curve.name)
        axes.plot(numbers, curve.values, line, marker=marker, markersize=3.5, color=colour, label=label)
        if curve.marked and curve.best is not None:
            at = (numbers[curve.best], curve.values[curve.best])
            axes.plot(*at, marker, markersize=10, markerfacecolor="none", color=colour)
            axes.annotate(
                f"{at[0]}", at, xytext=(0, 9), textcoords="offset points", ha="center", fontsize=11, color=colour
            )
    if panel.unit == "GWA" and paint_missing(axes, panel.curves[0].values, numbers, UNRELIABLE):
        axes.legend(loc="lower right", labelcolor=MUTED)
    axes.margins(x=0.02, y=0.3)
    axes.set_ylabel(panel.unit)
    whole_epochs(axes, numbers)
    if len(panel.curves) > 1:
        axes.legend(loc="lower right", ncols=len(panel.curves))


def paint_missing(axes: "Axes", values: Float[np.ndarray, " epoch"], numbers: Array, label: str) -> bool:
    """Hatch the epochs in which there is no value; whether there are any."""
    missing = numbers[np.isnan(values)]
    for i, epoch in enumerate(missing):
        name = label if i == 0 else None
        axes.axvspan(epoch - 0.5, epoch + 0.5, facecolor="none", edgecolor=PALE, hatch="///", linewidth=0, label=name)
    return len(missing) > 0


def whole_epochs(axes: "Axes", numbers: Array) -> None:
    """Set ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    if len(numbers) == 1:
        axes.set_xlim(numbers[0] - 0.5, numbers[0] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
