"""The data map of Swayamdipta et al. 2020 (arXiv 2009.10795): how sure, and how steadily, the model was of a label."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gwa_attrib.analyses import rank
from gwa_attrib.plot.canvas import axes_for
from gwa_attrib.plot.look import INK, SUSPECT, add_legend, plain_axes
from gwa_attrib.plot.series import nothing, opened, suspects_in
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 2000
"""Samples up to which each is a point; more are joined to hexagons."""
LEVELS = ("#16294d", "#3d5b80", "#7f95a3", "#c2b48a", "#f2d75c")
"""Colours of correctness, low to high: from dark to light, so that the order survives in grey."""
SIZES = (4.5, 8.0, 11.5, 15.0)
"""Sizes of the hexagons with fewer than 10, 100, 1,000 samples, and of larger ones."""
OUTLINE: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": SUSPECT, "linestyle": "none"}
NAMES = ("under 20 %", "20–40 %", "40–60 %", "60–80 %", "80 % and over")


def data_map(run: Run | str | Path, *, scores: Scores | None = None, ax: "Axes | None" = None) -> "Axes":
    """Draw each sample by the spread and the mean of the probability of its label over the epochs, suspects marked.

    Up to 2,000 samples are points; of more, hexagons grow with the number of samples they stand for.

    Args:
        run: A run, or its folder.
        scores: Whose suspects; those of ``rank(run, "mislabeled")`` if None.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        RunFormatError: the run has no epoch yet.
        NotRecordedError: it has one alone, or the probability of the given label was not recorded.
        InputError: scores of other samples.
    """
    read = opened(run)
    epochs = len(read.epoch_numbers)
    if "p_label" not in read.info["signals"]:
        raise nothing("the probability of the given label", "none", 'Record it: gwa.record(..., signals=["p_label"]).')
    if epochs < 2:
        raise nothing("at least two epochs", f"{epochs}", "With one, nothing varies.")
    suspect = suspects_in(read, scores)
    confidence, variability = (rank(read, name).values for name in ("confidence", "variability"))
    seen = ~np.isnan(confidence)
    share = share_right(read)
    axes = axes_for(ax, (8.2, 4.6))
    paint_map(axes, variability[seen], confidence[seen], share[seen], suspect[seen])
    axes.set_xlabel("variability over the epochs (high is ambiguous)")
    axes.set_ylabel("confidence (low is suspicious)")
    add_legend(axes, loc="upper left", bbox_to_anchor=(1.0, 1.0), title="correctness", alignment="left")
    return axes


def share_right(run: Run) -> Array:
    """In which share of the epochs in which a sample was seen the prediction was its label."""
    right, seen = np.zeros(len(run.sample_ids)), np.zeros(len(run.sample_ids))
    for _, dense in run.by_epoch("correct"):
        right += np.nan_to_num(dense["correct"])
        seen += ~np.isnan(dense["correct"])
    return right / np.where(seen > 0, seen, np.nan)


def paint_map(axes: "Axes", variability: Array, confidence: Array, correctness: Array, suspect: Array) -> bool:
    """Paint the samples, which all have values, as points or hexagons; whether they are hexagons."""
    many = len(confidence) > POINTS
    plain_axes(axes, grid="both")
    (_hexagons if many else _points)(axes, variability, confidence, correctness, suspect)
    axes.set_xlim(left=-0.01)
    axes.set_ylim(-0.03, 1.03)
    return many


def levels_of(correctness: Array) -> Array:
    """Which fifth of [0, 1] each value is in."""
    return np.clip(np.floor(correctness * len(LEVELS) + 1e-9), 0, len(LEVELS) - 1).astype(np.int64)


def _points(axes: "Axes", x: Array, y: Array, correctness: Array, suspect: Array) -> None:
    level = levels_of(correctness)
    for i, (colour, name) in enumerate(zip(LEVELS, NAMES, strict=True)):
        at = level == i
        label = name if at.any() else None
        axes.plot(
            x[at], y[at], "o", color=colour, markersize=3.2, markeredgecolor=INK, markeredgewidth=0.2, label=label
        )
    label = "suspect" if suspect.any() else None
    axes.plot(x[suspect], y[suspect], "o", markersize=6, markeredgewidth=0.8, label=label, **OUTLINE)


def _hexagons(axes: "Axes", x: Array, y: Array, correctness: Array, suspect: Array) -> None:
    """A hexagon's size says how many samples it stands for, in four steps; its colour their mean correctness."""
    centres, number, mean, suspicious = hexagons(x, y, correctness, suspect)
    level, step = levels_of(mean), np.clip(np.floor(np.log10(number)), 0, 3).astype(np.int64)
    for i, (colour, name) in enumerate(zip(LEVELS, NAMES, strict=True)):
        axes.plot([], [], "h", color=colour, markersize=8, label=name if (level == i).any() else None)
        for size in range(4):
            at = (level == i) & (step == size)
            axes.plot(*centres[at].T, "h", color=colour, markersize=SIZES[size], markeredgewidth=0)
    for size in range(4):
        at = (suspicious > 0.5) & (step == size)
        axes.plot(*centres[at].T, "h", markersize=SIZES[size] + 1, markeredgewidth=1.2, **OUTLINE)
    label = "mostly suspects" if (suspicious > 0.5).any() else None
    axes.plot([], [], "h", markersize=9, markeredgewidth=1.2, label=label, **OUTLINE)


def hexagons(x: Array, y: Array, *values: Array) -> list[Array]:
    """Centres ``[hexagon, 2]``, number of samples, and the mean of each of `values`, of the hexagons not empty."""
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    facts: dict[str, Any] = {"gridsize": (46, 26), "extent": (0.0, max(float(x.max()), 1e-6), 0.0, 1.0), "mincnt": 1}
    counted = axes.hexbin(x, y, **facts)
    averaged = [axes.hexbin(x, y, C=value, reduce_C_function=np.mean, **facts) for value in values]
    return [np.asarray(counted.get_offsets()), *(np.asarray(bins.get_array()) for bins in (counted, *averaged))]
