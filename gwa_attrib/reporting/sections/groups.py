"""Groups of samples with more wrong labels than elsewhere: by the columns of the run, and by clusters of features."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from gwa_attrib.analyses import groups as groups_of
from gwa_attrib.errors import InputError
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.figures.figure import CALM, MUTED, draw, plain_axes
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import number, percent, shortened, visible
from gwa_attrib.store.run_json import AuditNotes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8
"""Columns of the run that are looked at."""
SHOWN = 12
SMALLEST, FEWEST = 5, 1.0
"""Samples that a group must have to be shown, and wrong labels that are expected among them."""
NOT_GROUPS = ("sample_id", "key", "label", "label_before_flip")


def section(context: Context) -> Section | None:
    """The groups that stand out most, as a picture and a table."""
    verified = AuditNotes.read(context.run.info).truth
    columns = [str(name) for name in context.run.samples if name not in (*NOT_GROUPS, verified)]
    tables: list[pd.DataFrame] = []
    for by in ("class", *columns[:COLUMNS], "cluster"):
        try:
            found = groups_of(context.run, by, scores=context.mislabeled)
        except InputError:
            continue  # no groups: too many different values, or no features
        found = found[found["samples"] >= SMALLEST].reset_index(names="group")
        tables.append(found.assign(by="given label" if by == "class" else by))
    if not tables:
        return None
    every = pd.concat(tables, ignore_index=True)
    stands_out = (every["low"] > 0) & (every["errors"] >= FEWEST)
    worst = every[stands_out].sort_values("low", ascending=False, kind="stable").head(SHOWN)
    rows = [_row(row) for row in worst.to_dict(orient="records")]
    if not rows:
        return None
    values = {"rows": rows, "looked_at": len(every), "figure": _figure(worst)}
    return Section("groups", "Groups with more wrong labels", values, short="Groups")


def _row(row: dict[Hashable, Any]) -> dict[str, str]:
    return {
        "by": shortened(visible(row["by"]), 40),
        "name": shortened(visible(row["group"]), 60),
        "samples": f"{row['samples']:,}",
        "errors": number(row["errors"], 1),
        "rate": percent(row["rate"]),
        "excess": f"+{number(100 * row['excess'], 1)}",
        "interval": f"{number(100 * row['low'], 1)} to {number(100 * row['high'], 1)}",
        "alignment": number(row["alignment"], 3),
    }


def _figure(worst: pd.DataFrame) -> Markup:
    names = [
        shortened(f"{visible(by)}: {visible(group)}", 48) for by, group in zip(worst["by"], worst["group"], strict=True)
    ]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        plain_axes(axes, grid="x")
        places = list(range(len(worst)))
        axes.hlines(places, 100 * worst["low"], 100 * worst["high"], color=CALM, linewidth=2)
        axes.plot(100 * worst["excess"], places, "o", color=CALM, markersize=6)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_yticks(places, names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("estimated share of wrong labels above that of the other samples, in points; low is good")

    return draw("groups", "Groups with more wrong labels than elsewhere", (820, 70 + 26 * len(names)), paint)
