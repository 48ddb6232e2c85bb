"""The data map of Swayamdipta et al. 2020 (arXiv 2009.10795): how sure, and how steadily, the model was of a label."""

from typing import TYPE_CHECKING

import numpy as np

from gwa_attrib.plot.mapping import POINTS, paint_map
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import draw
from gwa_attrib.reporting.section import Section
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(context: Context) -> Section | None:
    """Points or hexagons over variability and confidence, the suspects marked; None where nothing varies, or the
    probability of the given label was not recorded."""
    signals = context.signals
    if signals.confidence is None or signals.variability is None or len(signals.epochs) < 2:
        return None
    values = {"suspects": len(context.suspects), **_figure(context, signals.variability, signals.confidence)}
    return Section("data_map", "Data map", values)


def _figure(context: Context, variability: Array, confidence: Array) -> dict[str, object]:
    seen = np.flatnonzero(~np.isnan(confidence))
    columns = (
        variability[seen],
        confidence[seen],
        context.signals.correctness[seen],
        context.suspects.mask(len(confidence))[seen],
    )

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        paint_map(axes, *columns)
        axes.set_xlabel("variability (standard deviation of p(given label) over the epochs; high is ambiguous)")
        axes.set_ylabel("confidence (mean p(given label); low is suspicious)")
        figure.legend(loc="outside right upper", title="correctness", alignment="left")

    title = (
        "Data map: every sample by the variability and the mean of the probability of its label; suspects are marked"
    )
    return {"figure": draw("data-map", title, (1040, 470), paint), "hexagons": len(seen) > POINTS}
