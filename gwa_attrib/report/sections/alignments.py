"""Alignment histograms over the epochs: where the suspects lie among all samples."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from gwa_attrib.report.context import Context
from gwa_attrib.report.figure import CALM, PALE, SUSPECT, draw, plain_axes
from gwa_attrib.report.section import Section
from gwa_attrib.report.signals import BINS
from gwa_attrib.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 8
BARS = 40
"""Of each histogram, at most."""


def alignments(context: Context) -> Section:
    """Small multiples of some epochs, with one scale."""
    signals = context.signals
    total = signals.others + signals.suspects
    if not total.any():
        return Section("alignments", "Alignments over the epochs", {"figure": None})
    drawable = np.flatnonzero(total.any(axis=1)).tolist()
    chosen = [drawable[i] for i in chosen_epochs(len(drawable))]
    edges = bar_edges(total[chosen].sum(axis=0))
    title = f"Histograms of the alignments of suspects and of the other samples, in {len(chosen)} epochs"
    rows = 1 if len(chosen) <= PANELS // 2 else 2
    columns = -(-len(chosen) // rows)

    def paint(figure: "Figure") -> None:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, epoch in zip(grid.flat, chosen, strict=False):
            _histogram(axes, signals.others[epoch], signals.suspects[epoch], edges)
            axes.set_title(f"epoch {signals.epochs[epoch]}")
        for axes in grid.flat[len(chosen) :]:
            axes.remove()
        grid[0, 0].set_ylim(bottom=0)
        named = {str(artist.get_label()): artist for axes in figure.axes for artist in axes.patches}
        figure.legend(list(named.values()), list(named), loc="outside upper right", ncols=2)
        figure.supxlabel("alignment (cosine, −1 to 1; low is suspicious)", fontsize=12)
        figure.supylabel("share of the group (%)", fontsize=12)

    width = min(1040, 110 + 310 * columns)
    last = chosen[-1]
    values = {
        "figure": draw("alignments", title, (width, 90 + 165 * rows), paint),
        "last": signals.epochs[last],
        "negative": [_negative(group[last]) for group in (signals.suspects, signals.others)],
        "suspects": len(context.suspects),
        "all_shown": len(chosen) == len(signals.epochs),
    }
    return Section("alignments", "Alignments over the epochs", values)


def _negative(counts: Int[np.ndarray, " bin"]) -> str:
    return percent(counts[: BINS // 2].sum() / counts.sum() if counts.any() else None, 0)


def chosen_epochs(epochs: int) -> list[int]:
    """At most `PANELS` positions, evenly spread, with the first and the last."""
    return sorted({round(i) for i in np.linspace(0, epochs - 1, min(PANELS, epochs))})


def bar_edges(counts: Int[np.ndarray, " bin"]) -> Int[np.ndarray, " edge"]:
    """Positions among the fine bins between which a bar lies: equal bars over all that is not empty."""
    filled = np.flatnonzero(counts)
    begin, end = int(filled[0]), int(filled[-1]) + 1
    width = max(1, -(-(end - begin) // BARS))
    middle = BINS // 2  # zero is always an edge, so that a bar is of one sign
    first = middle - width * -(-(middle - begin) // width)
    return np.arange(first, end + width, width)


def joined(counts: Int[np.ndarray, " bin"], edges: Int[np.ndarray, " edge"]) -> Int[np.ndarray, " bar"]:
    """Counts of the fine bins within each bar."""
    total = np.concatenate([[0], np.cumsum(counts)])
    inside = np.clip(edges, 0, BINS)
    return np.diff(total[inside])


def _histogram(
    axes: "Axes", others: Int[np.ndarray, " bin"], suspects: Int[np.ndarray, " bin"], edges: Int[np.ndarray, " edge"]
) -> None:
    at = edges / (BINS / 2) - 1.0
    plain_axes(axes)
    axes.axvline(0, color=CALM, linewidth=0.8, linestyle=(0, (2, 2)))
    if others.any():
        axes.stairs(100 * joined(others, edges) / others.sum(), at, fill=True, color=PALE, label="other samples")
    if suspects.any():
        share = 100 * joined(suspects, edges) / suspects.sum()
        heights = np.where(share > 0, share, np.nan)  # no line along the axis where there is none
        axes.stairs(heights, at, color=SUSPECT, linewidth=1.4, hatch="////", fill=False, label="suspects")
