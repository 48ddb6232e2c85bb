"""Alignment histograms over the epochs: where the suspects lie among all samples."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from gwa_attrib.plot.histograms import bar_edges, paint_groups
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import draw
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.signal_summaries import BINS
from gwa_attrib.reporting.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 8


def section(context: Context) -> Section | None:
    """Small multiples of some epochs, with one scale."""
    signals = context.signals
    total = signals.others + signals.suspects
    if not total.any():
        return None
    drawable = np.flatnonzero(total.any(axis=1)).tolist()
    chosen = [drawable[i] for i in chosen_epochs(len(drawable))]
    edges = bar_edges(total[chosen].sum(axis=0))
    title = f"Histograms of the alignments of suspects and of the other samples, in {len(chosen)} epochs"
    rows = 1 if len(chosen) <= PANELS // 2 else 2
    columns = -(-len(chosen) // rows)

    def paint(figure: "Figure") -> None:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, epoch in zip(grid.flat, chosen, strict=False):
            paint_groups(axes, signals.others[epoch], signals.suspects[epoch], edges)
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
