"""Removal curves: what became of held-out samples when a method's first suspects were left out of the training."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from gwa_attrib.plot.canvas import axes_for, label_of
from gwa_attrib.plot.look import LOOKS, SUSPECT, add_legend_above, plain_axes
from gwa_attrib.plot.series import nothing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = ("mislabeled", "alignment")
"""Drawn thick, whatever their place."""
CHANCE = "random"
COMPARE = "Compare methods with removal: gwa.compare(run, truth, removal=[0.1, 0.2])."


class Compared(Protocol):
    """The part of a comparison of methods that this picture needs."""

    @property
    def removal(self) -> pd.DataFrame | None:
        """The table of that name in `MethodComparison`."""


def removal_curves(comparison: Compared | pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the change of the loss of held-out samples against the share of the samples removed, by method.

    Args:
        comparison: What `compare` found with ``removal=``, or its table `removal`.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        NotRecordedError: the methods were compared without removal.
    """
    removal = comparison if isinstance(comparison, pd.DataFrame) else comparison.removal
    if removal is None or not len(removal):
        raise nothing("a comparison of methods with removal", "none", COMPARE)
    axes = axes_for(ax)
    paint_removal(axes, removal)
    add_legend_above(axes)
    return axes


def paint_removal(axes: "Axes", removal: pd.DataFrame) -> None:
    """Paint a curve with intervals for each method, in the order in which the table has them."""
    methods = [str(name) for name in removal["method"].unique()]
    others = [name for name in methods if name not in (*OURS, CHANCE)]
    plain_axes(axes, grid="both")
    axes.axhline(0, color="k", lw=0.8)
    for number, (name, rows) in enumerate(removal.sort_values("share", kind="stable").groupby("method", sort=False)):
        look = _look(str(name), others)
        x = 100 * rows["share"].to_numpy() + 0.12 * (number - len(methods) / 2)  # side by side
        middle = rows["change"].to_numpy()
        spread = np.stack([middle - rows["low"].to_numpy(), rows["high"].to_numpy() - middle])
        axes.plot([0, x[0]], [0, middle[0]], **look)
        axes.errorbar(x, middle, np.nan_to_num(spread), label=label_of(name), capsize=3, elinewidth=0.9, **look)
    axes.set_xlabel("first suspects removed, in % of the samples")
    axes.set_ylabel("change of the held-out loss, in nats")


def _look(method: str, others: list[str]) -> dict[str, Any]:
    if method in OURS:
        return {"color": SUSPECT, "ls": "-" if method == OURS[0] else (0, (5, 1)), "lw": 2.4}
    if method == CHANCE:
        return {"color": "0.55", "ls": "-", "lw": 1.2}
    colour, dashes = LOOKS[others.index(method) % len(LOOKS)]
    return {"color": colour, "ls": dashes, "lw": 1.8}
