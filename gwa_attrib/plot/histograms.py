"""Histograms: of alignments, suspects beside the others, and of label scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gwa_attrib.plot.canvas import axes_for
from gwa_attrib.plot.look import CALM, INK, PALE, SUSPECT, add_legend_above, plain_axes
from gwa_attrib.plot.series import alignment_in, column_of, nothing, opened, ranked, suspects_in
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 40
"""Most bins of a histogram."""
FINE = 2000
"""Bins over [-1, 1] that alignments are counted in before they are joined to bars."""
EVEN = 0.5
"""Label score below which a sample is a suspect."""


def alignments(
    run: Run | str | Path, *, epoch: int | None = None, scores: Scores | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw a histogram of the alignments of one epoch, the suspects against the other samples, each as shares.

    Args:
        run: A run, or its folder.
        epoch: Its number; the last recorded one if None.
        scores: Whose suspects; those of ``rank(run, "mislabeled")`` if None.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        RunFormatError: the run has no epoch yet.
        InputError: no such epoch, or scores of other samples.
        NotRecordedError: no alignment is defined in the epoch.
    """
    read = opened(run)
    number, values = alignment_in(read, epoch)
    suspect = suspects_in(read, scores)
    others, suspects = (fine_counts(values[group]) for group in (~suspect, suspect))
    if not (others + suspects).any():
        found = "none: all gradients or weights were zero"
        raise nothing(f"alignments in epoch {number}", found, "Choose another epoch.")
    axes = axes_for(ax)
    paint_groups(axes, others, suspects, bar_edges(others + suspects))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"alignment in epoch {number} (cosine; low is suspicious)")
    axes.set_ylabel("share of the group (%)")
    add_legend_above(axes, side="right")
    return axes


def label_scores(scores: Scores | Run | str | Path, *, ax: "Axes | None" = None) -> "Axes":
    """Draw a histogram of the label scores, with the line at 0.5 below which a sample is a suspect.

    The number of samples is on a logarithmic scale: suspects are few.

    Args:
        scores: Scores with a label score, or a run (or its folder), whose default ranking is taken.
        ax: Axes to draw on; those of a new figure if None.

    Raises:
        InputError: scores without label scores.
        NotRecordedError: no sample has one.
    """
    found = scores if isinstance(scores, Scores) else ranked(opened(scores), None)
    values = column_of(found, "label_score").astype(np.float64)
    known = values[~np.isnan(values)]
    if not len(known):
        raise nothing("samples with a label score", "none", "Rank a run in which samples were seen.")
    axes = axes_for(ax)
    paint_label_scores(axes, known)
    without = len(values) - len(known)
    left_out = f"; not counted: {without:,} without one" if without else ""
    axes.set_xlabel(f"label score (low is suspicious{left_out})")
    return axes


def fine_counts(values: Float[np.ndarray, " sample"]) -> Int[np.ndarray, " bin"]:
    """Counts of the defined values in `FINE` equal bins over [-1, 1]; rounding beyond the ends counts for these."""
    defined = np.clip(values[~np.isnan(values)].astype(np.float64), -1.0, 1.0)
    return np.histogram(defined, bins=FINE, range=(-1.0, 1.0))[0]


def bar_edges(counts: Int[np.ndarray, " bin"]) -> Int[np.ndarray, " edge"]:
    """Positions among the fine bins between which a bar lies: equal bars over all that is not empty."""
    filled = np.flatnonzero(counts)
    begin, end = int(filled[0]), int(filled[-1]) + 1
    width = max(1, -(-(end - begin) // BARS))
    middle = len(counts) // 2  # zero is always an edge, so that a bar is of one sign
    first = middle - width * -(-(middle - begin) // width)
    return np.arange(first, end + width, width)


def joined(counts: Int[np.ndarray, " bin"], edges: Int[np.ndarray, " edge"]) -> Int[np.ndarray, " bar"]:
    """Counts of the fine bins within each bar."""
    total = np.concatenate([[0], np.cumsum(counts)])
    inside = np.clip(edges, 0, len(counts))
    return np.diff(total[inside])


def paint_groups(
    axes: "Axes", others: Int[np.ndarray, " bin"], suspects: Int[np.ndarray, " bin"], edges: Int[np.ndarray, " edge"]
) -> None:
    """Paint shares of two groups, counted in fine bins over [-1, 1]: the others filled, the suspects hatched."""
    at = edges / (len(others) / 2) - 1.0
    plain_axes(axes)
    axes.axvline(0, color=CALM, linewidth=0.8, linestyle=(0, (2, 2)))
    if others.any():
        axes.stairs(100 * joined(others, edges) / others.sum(), at, fill=True, color=PALE, label="other samples")
    if suspects.any():
        share = 100 * joined(suspects, edges) / suspects.sum()
        heights = np.where(share > 0, share, np.nan)  # no line along the axis where there is none
        axes.stairs(heights, at, color=SUSPECT, linewidth=1.4, hatch="////", fill=False, label="suspects")


def paint_label_scores(axes: "Axes", values: Float[np.ndarray, " sample"]) -> None:
    """Paint how many samples have which label score, in bars of 1/40."""
    edges = np.linspace(0.0, 1.0, BARS + 1)
    counts = np.histogram(values, bins=edges)[0]
    middle = BARS // 2  # an edge lies at 0.5, so that a bar is of suspects or of others
    plain_axes(axes)
    hatched: dict[str, Any] = {"color": SUSPECT, "hatch": "////", "fill": False, "linewidth": 1.4}
    filled: dict[str, Any] = {"color": PALE, "fill": True}
    for name, part, look in (
        ("suspects", slice(0, middle), hatched),
        ("other samples", slice(middle, BARS), filled),
    ):
        if counts[part].any():
            heights = np.where(counts[part] > 0, counts[part], np.nan)
            label = f"{counts[part].sum():,} {name}"
            axes.stairs(heights, edges[part.start : part.stop + 1], baseline=0.5, label=label, **look)
    axes.axvline(EVEN, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")  # the scale's own writes powers as mathematics
    axes.set_ylim(bottom=0.5)
    axes.set_xlim(0, 1)
    axes.set_ylabel("samples (logarithmic)")
    add_legend_above(axes, side="right")
