"""Pictures of a comparison of methods: what is found for how much looking, and who agrees with whom."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gwa_attrib.plot.look import INK, LOOKS, PALE, SUSPECT, plain_axes
from gwa_attrib.plot.removal import OURS, paint_removal
from gwa_attrib.reporting.figures.figure import draw
from gwa_attrib.scores import Scores
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 400
"""Most points of a curve."""
BEST = 3
"""How many of the best of the others have a colour and a name."""


def recall_svg(scores: Mapping[str, Scores], known: Array, is_error: Array) -> Markup | None:
    """Share of the wrong labels found against the share of the samples looked at; `scores` best first.

    None where there is nothing to find.
    """
    if not scores or not is_error.any():
        return None
    best = [name for name in scores if name not in OURS][:BEST]
    share = np.arange(1, len(is_error) + 1) / len(is_error)
    drawn = np.unique(np.linspace(0, len(share) - 1, POINTS).astype(int))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        plain_axes(axes, grid="both")
        for name in reversed(list(scores)):
            some = Scores(
                scores[name].values[known], np.arange(len(is_error)), method=name, suspect=scores[name].suspect
            )
            found = np.cumsum(is_error[some.order()]) / is_error.sum()
            if name in OURS:
                line = "-" if name == OURS[0] else (0, (5, 1))
                axes.plot(share[drawn], found[drawn], color=SUSPECT, lw=2.4, ls=line, label=name, zorder=4)
            elif name in best:
                colour, dashes = LOOKS[best.index(name)]
                axes.plot(share[drawn], found[drawn], color=colour, lw=1.8, ls=dashes, label=name, zorder=3)
            else:
                axes.plot(share[drawn], found[drawn], color=PALE, lw=1, zorder=1)
        rate = float(is_error.mean())
        axes.plot([0, rate, 1], [0, 1, 1], color="k", lw=0.8, ls=(0, (1, 2)), label="perfect")
        axes.set_xlim(0, min(1.0, max(0.3, 4 * rate)))
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("share of the samples looked at, worst first")
        axes.set_ylabel("share of the wrong labels found")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="lower right")

    return draw("recall", "Wrong labels found against samples looked at", (720, 440), paint)


def removal_svg(removal: pd.DataFrame | None) -> Markup | None:
    """Change of the loss of held-out samples against the share removed, with intervals; None where not asked for."""
    if removal is None:
        return None

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        paint_removal(axes, removal)
        axes.legend(loc="best")

    return draw("removal", "Loss of held-out samples after removing the first suspects", (720, 440), paint)


def agreement_svg(agreement: pd.DataFrame, overlap: pd.DataFrame | None = None) -> Markup | None:
    """Heat map of rank correlations, below the diagonal of `overlap` if that is given; None for less than two."""
    if len(agreement) < 2:
        return None
    names, values = [str(name) for name in agreement.index], agreement.to_numpy(dtype=np.float64)
    if overlap is not None:
        values = np.where(np.tri(len(names), k=-1, dtype=bool), overlap.to_numpy(dtype=np.float64), values)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0, labelsize=10)
        axes.spines[:].set_visible(False)
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.7 else INK
                axes.text(j, i, f"{round(100 * value)}", ha="center", va="center", fontsize=8, color=colour)

    size = 170 + 26 * len(names)
    return draw("agreement", "Rank correlation of the methods", (size, size), paint)
