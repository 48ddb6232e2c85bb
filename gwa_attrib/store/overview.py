"""A run as a notebook shows it: what was recorded, and its last epochs."""

from typing import TYPE_CHECKING

import pandas as pd

from gwa_attrib.display.notebook import ROWS, small_html
from gwa_attrib.errors import GWAError

if TYPE_CHECKING:
    from gwa_attrib.store.run import Run

SHOWN = ("n", "mean", "excess_kurtosis", "gwa", "gwa_reliable", "fraction_negative", "coverage")
CLASSES = 6
"""Whose names are said."""


def run_html(run: "Run") -> str:
    """Small HTML; of a damaged run what can be read without its files, and the error."""
    names = run.class_names
    classes = f"{len(names):,}: {', '.join(names[:CLASSES])}{'…' if len(names) > CLASSES else ''}"
    facts = {"status": run.info.get("status"), "samples": run.info.get("num_samples"), "classes": classes}
    title = f"Run {run.path.name}"
    try:
        table = run.epochs()
        numbers = run.epoch_numbers
    except (GWAError, OSError) as error:
        return small_html(title, {**facts, "cannot be read:": str(error)})
    facts |= {"epochs": len(numbers), "layers": ", ".join(run.layers[:CLASSES]) or None}
    if not len(table):
        return small_html(title, {**facts, "no epoch yet:": "recorder.end_epoch() writes the first"})
    last: pd.DataFrame = table.set_index("epoch")[[name for name in SHOWN if name in table]].tail(ROWS)
    return small_html(title, facts, last, of=len(table), what="epochs, the last")
