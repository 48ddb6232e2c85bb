"""The comparison of methods on paper: a page with figures, the same table as Markdown, and parquet for programs."""

import shlex
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypedDict

import pandas as pd

from gwa_attrib._version import __version__
from gwa_attrib.files.whole import write_text
from gwa_attrib.reporting.figures.method_figures import agreement_svg, recall_svg, removal_svg
from gwa_attrib.reporting.page import environment, policy, texts
from gwa_attrib.reporting.wording import visible
from gwa_attrib.scores import Scores
from gwa_attrib.value_types import Array

SHOWN = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "precision_at_errors": "Precision at the true count",
    "recall_at_10_percent": "Found in 10 %",
    "recall_at_20_percent": "Found in 20 %",
}
"""Metrics and their headings; high is good in all of them."""
OURS, AHEAD = "mislabeled", "Ours ahead"


class Compared(Protocol):
    """The part of a comparison that the page needs."""

    @property
    def table(self) -> pd.DataFrame: ...
    @property
    def skipped(self) -> Mapping[str, str]: ...
    @property
    def scores(self) -> Mapping[str, Scores]: ...
    @property
    def is_error(self) -> Array: ...
    @property
    def known(self) -> Array: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def removal(self) -> pd.DataFrame | None: ...
    @property
    def agreement(self) -> pd.DataFrame: ...
    def ahead(self, reference: str = "mislabeled", metric: str = "average_precision") -> pd.DataFrame: ...
    def overlap(self, k: int | None = None) -> pd.DataFrame: ...


class Row(TypedDict):
    """A method as text."""

    method: str
    cells: list[dict[str, str]]
    """`value` and `interval` of each metric."""
    seconds: str
    megabytes: str
    trainings: str
    source: str


def write_methods(compared: Compared, folder: Path) -> Path:
    """Write report.html, report.md, table.parquet, scores.parquet and, if there is one, removal.parquet.

    Raises:
        RunError: a file cannot be written.
    """
    from gwa_attrib.files.frames import write_frame

    write_text(folder / "report.html", page(compared))
    write_text(folder / "report.md", markdown(compared))
    write_frame(compared.table, folder / "table.parquet")
    if compared.removal is not None:
        write_frame(compared.removal, folder / "removal.parquet")
    columns = {name: scores.values for name, scores in compared.scores.items()}
    if compared.scores:
        ids = next(iter(compared.scores.values())).sample_ids
        write_frame(pd.DataFrame(columns, index=pd.Index(ids, name="sample_id")), folder / "scores.parquet")
    return folder / "report.html"


def command(compared: Compared) -> str:
    """The command that makes the comparison again."""
    if not compared.facts["column"]:
        return f"gwa.compare({compared.facts['run']!r}, truth, ...)"
    run, truth = (shlex.quote(str(compared.facts[name])) for name in ("run", "truth"))
    methods = "".join(f" --methods {shlex.quote(name)}" for name in compared.facts["methods"])
    limit = compared.facts["time_limit"]
    methods += "" if limit is None else f" --time-limit {limit:g}"
    removal = "".join(f" --removal {share:g}" for share in compared.facts["removal"])
    seeds = f" --seeds {compared.facts['seeds']}" if removal else ""
    return f"gwa-attrib compare {run} --truth {truth}{methods}{removal}{seeds}"


def rows_of(compared: Compared) -> list[Row]:
    """Each method as text: metrics with their intervals, cost, source."""
    rows: list[Row] = []
    ahead = compared.ahead(OURS).to_dict("index") if OURS in compared.scores else None
    for name, row in compared.table.iterrows():
        cells = [
            {"value": f"{row[metric]:.3f}", "interval": f"{row[f'{metric}_low']:.3f} to {row[f'{metric}_high']:.3f}"}
            for metric in SHOWN
        ]
        if ahead is not None:
            cells.append(_behind(ahead[str(name)]) if name != OURS else {"value": "", "interval": ""})
        rows.append(
            {
                "method": str(name),
                "cells": cells,
                "seconds": f"{row['seconds']:.1f}",
                "megabytes": f"{row['megabytes']:.0f}",
                "trainings": str(row["trainings"]),
                "source": row["source"],
            }
        )
    return rows


def _behind(row: Mapping[Hashable, float]) -> dict[str, str]:
    return {"value": f"{row['difference']:+.3f}", "interval": f"{row['low']:+.3f} to {row['high']:+.3f}"}


def heads_of(compared: Compared) -> dict[str, str]:
    """Headings of the cells of `rows_of`, and how to read each."""
    heads = dict.fromkeys(SHOWN.values(), "high is good")
    return {**heads, AHEAD: "by average precision"} if OURS in compared.scores else heads


def markdown(compared: Compared) -> str:
    """The table and what was skipped."""
    facts = compared.facts
    heads = ["Method", *heads_of(compared), "Seconds", "MB", "Trainings", "Source"]
    counts = f"{facts['samples']:,} samples, {facts['errors']:,} wrong labels (`{facts['truth']}`)"
    lines = [
        f"# Methods on {visible(str(facts['run']))}",
        "",
        f"{counts}, {facts['epochs']} epochs. Intervals: 95 %, bootstrap over the samples, the same draws for every "
        "method. Ours ahead: how far `mislabeled` is above the method in average precision, paired. Seconds and "
        "memory: beyond the training.",
        "",
        f"`{command(compared)}`",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    for row in rows_of(compared):
        cells = [f"{cell['value']} ({cell['interval']})" if cell["value"] else "" for cell in row["cells"]]
        cost = [row["seconds"], row["megabytes"], row["trainings"]]
        lines.append("| " + " | ".join([row["method"], *cells, *cost, row["source"]]) + " |")
    if compared.removal is not None:
        lines += ["", *_removed(compared.removal)]
    if compared.skipped:
        lines += ["", "Not run:", "", *(f"- `{name}`: {reason}" for name, reason in compared.skipped.items())]
    return "\n".join(lines) + "\n"


def _removed(removal: pd.DataFrame) -> list[str]:
    """The change of the loss, methods by shares."""
    shares = sorted(removal["share"].unique())
    lines = [
        "Change of the held-out loss (nats) when the first suspects are removed and the model is trained again, with "
        "the 95 % interval over the seeds:",
        "",
        "| Method | " + " | ".join(f"{100 * share:g} % removed" for share in shares) + " |",
        "|---" * (1 + len(shares)) + "|",
    ]
    for method, rows in removal.groupby("method", sort=False):
        cells = [
            f"{row.change:+.4f} ({row.low:+.4f} to {row.high:+.4f})" for row in rows.sort_values("share").itertuples()
        ]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def page(compared: Compared) -> str:
    """The whole HTML document."""
    styles = texts(("page.css",))
    order = list(compared.table.index)
    return environment().get_template("methods_page.html").render(
        facts={**compared.facts, "run": visible(str(compared.facts["run"]))},
        heads=heads_of(compared),
        rows=rows_of(compared),
        skipped=compared.skipped,
        recall=recall_svg({name: compared.scores[name] for name in order}, compared.known, compared.is_error),
        removal=removal_svg(compared.removal),
        seeds=compared.facts["seeds"],
        agreement=agreement_svg(compared.agreement, compared.overlap() if compared.is_error.any() else None),
        command=command(compared),
        styles=styles,
        policy=policy(styles, ()),
        version=__version__,
    )  # fmt: skip
