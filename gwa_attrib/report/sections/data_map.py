"""The data map of Swayamdipta et al. 2020 (arXiv 2009.10795): how sure, and how steadily, the model was of a label."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gwa_attrib.report.context import Context
from gwa_attrib.report.figure import INK, SUSPECT, draw, plain_axes
from gwa_attrib.report.section import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 2000
"""Samples up to which each is a point; more are joined to hexagons."""
LEVELS = ("#16294d", "#3d5b80", "#7f95a3", "#c2b48a", "#f2d75c")
"""Of correctness, low to high: from dark to light, so that the order survives in grey."""
SIZES = (4.5, 8.0, 11.5, 15.0)
"""Of the hexagons with fewer than 10, 100, 1,000 samples, and of larger ones."""
OUTLINE: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": SUSPECT, "linestyle": "none"}
NAMES = ("under 20 %", "20–40 %", "40–60 %", "60–80 %", "80 % and over")

Column = np.ndarray[Any, np.dtype[Any]]


def data_map(context: Context) -> Section:
    """Points or hexagons over variability and confidence, the suspects marked."""
    signals = context.signals
    values: dict[str, Any] = {"figure": None, "reason": None, "hexagons": False, "suspects": len(context.suspects)}
    if signals.confidence is None or signals.variability is None:
        values["reason"] = "The probability of the given label (p_label) was not recorded in this run."
    elif len(signals.epochs) < 2:
        values["reason"] = "It needs at least two epochs: with one, nothing varies."
    else:
        values |= _figure(context, signals.variability, signals.confidence)
    return Section("data_map", "Data map", values)


def _figure(context: Context, variability: Column, confidence: Column) -> dict[str, Any]:
    seen = np.flatnonzero(~np.isnan(confidence))
    many = len(seen) > POINTS
    columns = (
        variability[seen],
        confidence[seen],
        context.signals.correctness[seen],
        context.suspects.mask(len(confidence))[seen],
    )

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        plain_axes(axes, grid="both")
        (_hexagons if many else _points)(axes, *columns)
        axes.set_xlim(left=-0.01)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("variability (standard deviation of p(given label) over the epochs; high is ambiguous)")
        axes.set_ylabel("confidence (mean p(given label); low is suspicious)")
        figure.legend(loc="outside right upper", title="correctness", alignment="left")

    title = (
        "Data map: every sample by the variability and the mean of the probability of its label; suspects are marked"
    )
    return {"figure": draw("data-map", title, (1040, 470), paint), "hexagons": many}


def levels_of(correctness: Column) -> Column:
    """Which fifth of [0, 1] each value is in."""
    return np.clip(np.floor(correctness * len(LEVELS) + 1e-9), 0, len(LEVELS) - 1).astype(np.int64)


def _points(axes: "Axes", x: Column, y: Column, correctness: Column, suspect: Column) -> None:
    level = levels_of(correctness)
    for i, (colour, name) in enumerate(zip(LEVELS, NAMES, strict=True)):
        at = level == i
        label = name if at.any() else None
        axes.plot(
            x[at], y[at], "o", color=colour, markersize=3.2, markeredgecolor=INK, markeredgewidth=0.2, label=label
        )
    label = "suspect" if suspect.any() else None
    axes.plot(x[suspect], y[suspect], "o", markersize=6, markeredgewidth=0.8, label=label, **OUTLINE)


def _hexagons(axes: "Axes", x: Column, y: Column, correctness: Column, suspect: Column) -> None:
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


def hexagons(x: Column, y: Column, *values: Column) -> list[Column]:
    """Centres ``[hexagon, 2]``, number of samples, and the mean of each of `values`, of the hexagons not empty."""
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    facts: dict[str, Any] = {"gridsize": (46, 26), "extent": (0.0, max(float(x.max()), 1e-6), 0.0, 1.0), "mincnt": 1}
    counted = axes.hexbin(x, y, **facts)
    averaged = [axes.hexbin(x, y, C=value, reduce_C_function=np.mean, **facts) for value in values]
    return [np.asarray(counted.get_offsets()), *(np.asarray(bins.get_array()) for bins in (counted, *averaged))]
