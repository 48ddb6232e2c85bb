"""Alignment layer by layer: where in the network suspects and other samples part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import INK, draw
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import shortened, visible
from gwa_attrib.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

MOST = 30
"""Layers in the figure: the whole, and the first of the others."""
NUMBERS_UP_TO = 12
"""Epochs up to which the cells have their numbers in them."""


@dataclass(frozen=True, eq=False)
class LayerMeans:
    """Mean alignment of two groups of samples."""

    suspects: Float[np.ndarray, "layer epoch"]
    others: Float[np.ndarray, "layer epoch"]


def section(context: Context) -> Section | None:
    """Two heat maps; None where the head alone was recorded."""
    if not context.run.layers:
        return None
    names = context.run.layers[:MOST]
    means = read_means(context.run, names, context.suspects.mask(len(context.run.sample_ids)))
    title = "Mean alignment of each layer in each epoch, of suspects and of the other samples"
    size = (1040, 90 + 26 * len(names))
    values: dict[str, object] = {
        "figure": draw("layers", title, size, lambda figure: _paint(figure, names, means, context)),
        "left_out": len(context.run.layers) - len(names),
    }
    return Section("layers", "Layer by layer", values)


def read_means(run: Run, names: tuple[str, ...], is_suspect: Bool[np.ndarray, " sample"]) -> LayerMeans:
    """One epoch of the run in memory at a time."""
    suspects, others = [], []
    ids = run.sample_ids[is_suspect]
    for epoch in run.epoch_numbers:
        frame = run.layer_observations(epoch=epoch).select(["sample_id", "layer", "alignment"]).to_pandas()
        frame["suspect"] = frame["sample_id"].isin(ids)
        means = frame.groupby(["suspect", "layer"], observed=True)["alignment"].mean()
        of = {side: means[means.index.get_level_values(0) == side].droplevel(0) for side in (True, False)}
        suspects.append(of[True].reindex(names).to_numpy(dtype=np.float64))
        others.append(of[False].reindex(names).to_numpy(dtype=np.float64))
    return LayerMeans(np.stack(suspects, axis=1), np.stack(others, axis=1))


def _paint(figure: "Figure", names: tuple[str, ...], means: LayerMeans, context: Context) -> None:
    largest = np.nan_to_num(np.abs([means.suspects, means.others])).max()
    limit = float(largest) if largest > 0 else 1.0
    left, right = figure.subplots(1, 2, sharey=True)
    epochs = context.signals.epochs
    _map(left, "suspects", means.suspects, names, epochs, limit)
    colours = _map(right, "other samples", means.others, names, epochs, limit)
    bar = figure.colorbar(colours, ax=[left, right], pad=0.02, fraction=0.04)
    bar.set_label("mean alignment")
    bar.outline.set_visible(False)


def _map(
    axes: "Axes",
    title: str,
    values: Float[np.ndarray, "layer epoch"],
    names: tuple[str, ...],
    epochs: Sequence[int],
    limit: float,
) -> "QuadMesh":
    """Rows are layers from input to head, the whole first; columns are epochs."""
    colours = axes.pcolormesh(values, cmap="PuOr", vmin=-limit, vmax=limit, edgecolors="white", linewidth=0.6)
    axes.set_title(title)
    axes.set_yticks(np.arange(len(names)) + 0.5, [shortened(visible(name), 24) for name in names])
    step = max(1, -(-len(epochs) // NUMBERS_UP_TO))
    axes.set_xticks(np.arange(0, len(epochs), step) + 0.5, [str(epoch) for epoch in epochs[::step]])
    axes.set_xlabel("epoch")
    axes.tick_params(length=0)
    axes.set_ylim(len(names), 0)
    for side in axes.spines.values():
        side.set_visible(False)
    if len(epochs) <= NUMBERS_UP_TO:
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            ink = "white" if abs(value) > 0.6 * limit else INK
            axes.text(column + 0.5, row + 0.5, _short(value), ha="center", va="center", color=ink, fontsize=9)
    return colours


def _short(value: float) -> str:
    """Three decimals without the zero before the point: there is little room."""
    text = f"{abs(value):.3f}".removeprefix("0")
    return text if value >= 0 or text == ".000" else f"−{text}"
