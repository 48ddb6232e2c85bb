"""Influential samples: whose gradients built the head's weights, and how unevenly."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from gwa_attrib.analyses import rank
from gwa_attrib.errors import NotRecordedError, RunFormatError
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import CALM, MUTED, SUSPECT, draw, plain_axes
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.suspects.tiles import tile, wide
from gwa_attrib.reporting.wording import number, percent
from gwa_attrib.value_types import Bools

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12
POINTS = 200
"""Points of the curve."""


def section(context: Context) -> Section | None:
    """A curve, the first samples, and how far the shares add up; None where the run does not know."""
    try:
        scores = rank(context.run, "influential")
    except (NotRecordedError, RunFormatError):
        return None
    growth = np.nan_to_num(np.asarray(scores.values, dtype=np.float64))
    total = float(growth.sum())
    order = np.argsort(-growth, kind="stable")
    tiles = [
        tile(
            context,
            row,
            percent(growth[row] / total, 2) if total > 0 else number(growth[row]),
            f"alignment {number(scores.columns['alignment_early'][row], 2)} early, "
            f"{number(scores.columns['alignment_late'][row], 2)} late",
        )
        for row in order[:SHOWN].tolist()
    ]
    conservation = scores.meta["conservation"]
    is_suspect = context.suspects.mask(len(growth))
    values: dict[str, object] = {
        "tiles": tiles,
        "wide": wide(tiles),
        "rule": conservation["rule"],
        "residual": percent(conservation["residual"]),
        "exact": conservation["residual"] < 0.1,
        "negative": percent(float((growth < 0).mean()) if len(growth) else None),
        "suspects": percent(float(growth[is_suspect].sum()) / total) if total > 0 else None,
        "share": percent(float(is_suspect.mean()) if len(growth) else None),
        "figure": _figure(growth, is_suspect) if total > 0 else None,
    }
    reserve = None
    if not values["exact"]:
        reserve = "in this run only their order means something: its large steps changed the weights in other ways, too"
    return Section("influential", "Influential samples", values, reserve=reserve)


def _figure(growth: Float[np.ndarray, " sample"], is_suspect: Bools) -> Markup:
    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        plain_axes(axes, grid="both")
        for name, values, colour, style in (
            ("all samples", growth, CALM, "-"),
            ("without the suspects", growth[~is_suspect], SUSPECT, "--"),
        ):
            if not len(values):
                continue
            curve = np.concatenate([[0.0], np.cumsum(np.sort(values)[::-1])]) / growth.sum()
            at = np.unique(np.linspace(0, len(values), min(POINTS, len(values) + 1)).round().astype(int))
            axes.plot(100 * at / len(values), 100 * curve[at], style, color=colour, label=name)
        axes.plot([0, 100], [0, 100], ":", color=MUTED, label="if all were equal")
        axes.set_xlabel("share of the samples in %, the most influential first")
        axes.set_ylabel("share of the growth in %")
        axes.legend()

    return draw("influential", "How the growth of the weights is shared out among the samples", (620, 330), paint)
