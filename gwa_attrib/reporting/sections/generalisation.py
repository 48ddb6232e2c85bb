"""Generalisation over the epochs: mean alignment, GWA where it is reliable, and accuracies."""

from typing import TYPE_CHECKING

import numpy as np

from gwa_attrib.plot.curves import Curve, Panel, paint_panel
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import draw
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import number, percent, shortened, visible
from gwa_attrib.stopping import choices
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(context: Context) -> Section:
    """One panel for each of the measures that has a value, and the numbers of every epoch."""
    panels = panels_of(context)
    numbers = np.array(context.signals.epochs)
    unreliable = numbers[~context.reliable]
    values: dict[str, object] = {
        "figure": None,
        "drawable": bool(panels),
        "best": [_best(curve, numbers) for panel in panels for curve in panel.curves if curve.marked],
        "unreliable": len(unreliable) if any(panel.unit == "GWA" for panel in panels) else 0,
        "validated": any(len(panel.curves) > 1 for panel in panels if panel.unit == "accuracy"),
        "probed": bool(_probe(context)),
        "rules": _rules(context),
        "table": _table(context),
        "metrics": [visible(name) for name in context.metrics],
    }
    if panels and len(numbers) > 1:
        title = "Curves over the epochs: " + ", ".join(curve.name for panel in panels for curve in panel.curves)

        def paint(figure: "Figure") -> None:
            grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
            for axes, panel in zip(grid.flat, panels, strict=True):
                paint_panel(axes, panel, numbers)
            grid[-1, 0].set_xlabel("epoch")
            figure.align_ylabels()

        values["figure"] = draw("generalisation", title, (1040, 60 + 145 * len(panels)), paint)
    return Section("generalisation", "Generalisation over the epochs", values)


def panels_of(context: Context) -> list[Panel]:
    """Mean alignment; GWA in reliable epochs; the training accuracy and metrics that are accuracies by their name."""
    gwa = np.where(context.reliable, context.column("gwa"), np.nan)
    accuracies = [Curve("training accuracy", context.signals.accuracy, marked=False)]
    accuracies += [
        Curve(shortened(visible(name), 40), context.column(name)) for name in context.metrics if is_accuracy(name)
    ]
    panels = [
        Panel("mean alignment", (Curve("mean alignment", context.column("mean")), *_probe(context))),
        Panel("GWA", (Curve("GWA", gwa),)),
        Panel("accuracy", tuple(accuracies)),
    ]
    drawable = [Panel(panel.unit, tuple(curve for curve in panel.curves if curve.best is not None)) for panel in panels]
    return [panel for panel in drawable if panel.curves]


def _probe(context: Context) -> tuple[Curve, ...]:
    """Describe what was measured in evaluation mode, if it was."""
    if "probe_mean" not in context.epochs:
        return ()
    return (Curve("in evaluation mode", context.column("probe_mean")),)


def _rules(context: Context) -> list[dict[str, str]]:
    """The epoch that each stopping rule would have chosen, where it could decide."""
    if not len(context.run.epochs()):
        return []
    table = choices(context.run).dropna(subset=["epoch"])
    return [{name: str(row[name]) for name in ("rule", "epoch", "reason")} for row in table.to_dict("records")]


def is_accuracy(name: str) -> bool:
    """Tell whether a metric is drawn beside the training accuracy, which is known without it."""
    words = name.lower().replace("/", "_").replace("-", "_").split("_")
    return any(word.startswith("acc") for word in words) and not any(word.startswith("train") for word in words)


def _best(curve: Curve, numbers: Array) -> dict[str, str]:
    at = curve.best or 0
    return {"name": curve.name, "epoch": str(numbers[at]), "value": number(float(curve.values[at]), 3)}


def _table(context: Context) -> list[list[str]]:
    """The rows of the table of all epochs, as its template has the columns."""
    columns = {
        name: context.column(name)
        for name in ("n", "mean", "excess_kurtosis", "gwa", "fraction_negative", "coverage", "prediction_changes")
    }
    rows = []
    for i, epoch in enumerate(context.signals.epochs):
        at = {name: float(values[i]) for name, values in columns.items()}
        rows.append(
            [
                str(epoch),
                number(at["n"], 0),
                number(at["mean"], 4),
                number(at["excess_kurtosis"], 2),
                number(at["gwa"], 4),
                "yes" if context.reliable[i] else "no",
                percent(at["fraction_negative"]),
                percent(at["coverage"]),
                number(at["prediction_changes"], 0),
                percent(float(context.signals.accuracy[i])),
                *(number(float(context.column(name)[i]), 4) for name in context.metrics),
            ]
        )
    return rows
