"""The noise matrix as a heat map: which classes carry which labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gwa_attrib.display.text import legible
from gwa_attrib.errors import InputError
from gwa_attrib.plot.canvas import LITERAL, axes_for
from gwa_attrib.plot.look import CALM, INK, MUTED, RULE
from gwa_attrib.plot.series import nothing, opened, ranked
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATRIX = "noise_matrix"
WRITTEN = 15
"""Classes up to which each cell has its number."""
MOST = 30
"""Classes that are shown, unless more are asked for."""
NAME = 24
"""Characters of a class name."""

Matrix = Float[np.ndarray, "class class"]


def noise_matrix(
    run: Run | str | Path | Scores,
    *,
    class_names: Sequence[object] | None = None,
    most: int = MOST,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw which share of the samples of each class (rows) carries each label (columns), as a heat map in percent.

    Colours grow with the square root of the share, so that a few per cent can be seen beside the diagonal. A class that
    no sample is estimated to be of has an empty row.

    Args:
        run: A run (or its folder), which is ranked; or Scores with ``meta["noise_matrix"]``.
        class_names: Names in the order of the classes; those of the run if None, of Scores the numbers.
        most: Classes that are shown. Of more, those which most samples' share goes out of or into; a title says so.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        RunFormatError: the run has no epoch yet.
        InputError: scores without a noise matrix, another number of names, or fewer than two classes to show.
    """
    read = None if isinstance(run, Scores) else opened(run)
    scores = run if isinstance(run, Scores) else ranked(read, None)  # type: ignore[arg-type]
    if MATRIX not in scores.meta:
        raise InputError(
            expected="scores with a noise matrix", found=f"{scores.method!r}", todo='Pass rank(run, "mislabeled").'
        )
    matrix = np.asarray(scores.meta[MATRIX], dtype=np.float64)
    given = (range(len(matrix)) if read is None else read.class_names) if class_names is None else class_names
    if len(given) != len(matrix) or most < 2:
        raise InputError(
            expected=f"{len(matrix)} class names, and 2 classes to show at least",
            found=f"{len(given)} names, most={most}",
            todo="Pass run.class_names, and most=30, for example.",
        )
    if np.isnan(matrix).all():
        raise nothing("samples whose class is estimated", "none", "Rank a run in which samples were seen.")
    shown = busiest(matrix, most)
    names = [legible(given[i], NAME) for i in shown]
    axes = axes_for(ax, size_for(len(shown)))
    paint_matrix(axes, matrix[np.ix_(shown, shown)], names)
    if len(shown) < len(matrix):
        axes.set_title(f"the {len(shown)} of {len(matrix)} classes with most errors", fontsize="medium")
    return axes


def size_for(classes: int) -> tuple[float, float]:
    """Width and height in inches for so many classes."""
    inches = 3.4 + (0.36 if classes <= WRITTEN else 0.2) * classes
    return inches, inches * 0.9


def busiest(matrix: Matrix, most: int) -> Int[np.ndarray, " shown"]:
    """Numbers of at most `most` classes, ascending: those with the most going out of or into them."""
    away = np.nan_to_num(np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix))
    traffic = away.sum(axis=0) + away.sum(axis=1)
    return np.sort(np.argsort(-traffic, kind="stable")[:most])


def paint_matrix(axes: "Axes", matrix: Matrix, names: Sequence[str]) -> None:
    """Paint shares, a row for each class and a column for each label, with numbers if there is room, else a scale."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("shares", ["white", CALM]).with_extremes(bad=RULE)
    image = axes.imshow(100 * matrix, cmap=colours, norm=PowerNorm(0.5, vmin=0.0, vmax=100.0))
    places = range(len(names))
    size = 10 if len(names) <= WRITTEN else 8
    upright = sum(max(4, len(name)) for name in names) > 60
    axes.set_xticks(places, names, rotation=90 if upright else 0, fontsize=size, **LITERAL)
    axes.set_yticks(places, names, fontsize=size, **LITERAL)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("given label")
    axes.set_ylabel("estimated class")
    if len(names) > WRITTEN:
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.7)
        bar.set_label("share of the class (%)", color=axes.xaxis.label.get_color())
        bar.ax.tick_params(labelcolor=axes.xaxis.label.get_color())
        bar.outline.set_visible(False)
        return
    for (i, j), value in np.ndenumerate(100 * matrix):
        if np.isfinite(value) and value > 0:
            colour = "white" if value > 45 else INK if value >= 1 else MUTED
            text = f"{value:.0f}" if value >= 1 else "<1"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
