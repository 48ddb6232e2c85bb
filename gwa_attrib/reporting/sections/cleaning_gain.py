"""Before and after: what training again with decisions did to the accuracy, where it was measured."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from gwa_attrib.evaluation.verification import Verification, kept_verification
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import CALM, INK, MUTED, draw, plain_axes
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import NOTHING, count, number, percent, shortened, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASSES = 30
"""In the figure: those that changed most."""
ASKED = {
    "test": "samples of a test set",
    "verified": "held-out samples with verified labels",
    "given": "held-out samples, by their given labels: where some are wrong, so are some answers",
}
WAYS = {
    "decisions - as it is": "with the decisions",
    "decisions - random removal": "with them, against as many removed at random",
    "random removal - as it is": "as many removed at random",
}


def section(context: Context) -> Section | None:
    """A sentence, a picture with intervals and a table; None where it was not measured."""
    found = kept_verification(context.run)
    if found is None:
        return None
    facts = found.facts
    done = [f"{count(facts[name], 'sample')} {name}" for name in ("dropped", "relabelled") if facts[name]]
    values: dict[str, object] = {
        "done": " and ".join(done),
        "trained_on": count(facts["trained_on"], "sample"),
        "intervals": found.has_intervals,
        "seeds": count(facts["seeds"], "training") + ("" if found.has_intervals else ", too few for an interval,"),
        "asked": f"{facts['asked']:,} {ASKED.get(facts['by'], visible(facts['by']))}",
        "asked_of": visible(facts["asked_of"]),
        "also_trained_on": facts["also_trained_on"] and count(facts["also_trained_on"], "sample"),
        "shows_nothing": found.shows_nothing,
        "before": percent(found.accuracy.get("as it is")),
        "after": percent(found.accuracy.get("decisions")),
        "changes": [_row(WAYS.get(str(name), visible(name)), row) for name, row in found.table.iterrows()],
        "classes": _classes(found.classes),
        "figure": _figure(found),
    }
    return Section("cleaning", "Before and after cleaning", values, in_navigation=False)


def points(share: float) -> str:
    """A change of a share, in points, with its sign."""
    text = number(100 * share, 2)
    return text if text == NOTHING or share < 0 else f"+{text}"


def _row(name: str, row: pd.Series) -> dict[str, str]:
    sure = "yes" if row["low"] > 0 or row["high"] < 0 else "no"
    return {
        "name": name,
        "change": points(row["change"]),
        "interval": NOTHING if np.isnan(row["low"]) else f"{points(row['low'])} to {points(row['high'])}",
        "sure": NOTHING if np.isnan(row["low"]) else sure,
    }


def _classes(classes: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "asked": f"{int(row['asked']):,}",
            "before": percent(row["before"]),
            "after": percent(row["after"]),
            **_row(shortened(visible(name), 60), row),
        }
        for name, row in classes.iterrows()
    ]


def _figure(found: Verification) -> Markup:
    classes = found.classes.loc[found.classes["change"].abs().sort_values(ascending=False).index[:CLASSES]]
    classes = classes.sort_values("change", ascending=False, kind="stable")
    rows = len(found.table) + len(classes)
    shown = "with 95 % intervals" if found.has_intervals else "without intervals, as there is one training of each"
    title = f"Change of the accuracy in points, {shown}: of all samples asked, and class by class"

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        ways = found.table.rename(index=lambda name: WAYS.get(str(name), visible(name)))
        _intervals(axes, ways, 0, CALM, "o")
        _intervals(axes, classes, len(ways) + 0.6, INK, "s")
        names = [*ways.index, *(f"{shortened(visible(name), 30)}" for name in classes.index)]
        places = [*range(len(ways)), *(len(ways) + 0.6 + i for i in range(len(classes)))]
        axes.set_yticks(places, names)
        axes.set_ylim(places[-1] + 0.7 if places else 1, -0.7)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.axhline(len(ways) - 0.2, color=MUTED, linewidth=0.6)
        axes.set_xlabel("change of the accuracy in points; right is better")

    return draw("cleaning", title, (760, 90 + 24 * rows), paint)


def _intervals(axes: "Axes", frame: pd.DataFrame, first: float, colour: str, marker: str) -> None:
    plain_axes(axes, grid="x")
    places = first + np.arange(len(frame))
    low, high = 100 * frame["low"], 100 * frame["high"]
    axes.hlines(places, low, high, color=colour, linewidth=2)
    axes.plot(100 * frame["change"], places, marker, color=colour, markersize=6)
