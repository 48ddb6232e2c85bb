"""Comparing models by what was recorded while they trained, without a validation set."""

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import spearmanr

from gwa_attrib.display.notebook import small_html
from gwa_attrib.errors import InputError
from gwa_attrib.files.places import local
from gwa_attrib.files.whole import write_text
from gwa_attrib.reporting.figures.comparison_figure import comparison_svg
from gwa_attrib.stopping import choose_epoch, measure, proxies
from gwa_attrib.stopping.history import history_of
from gwa_attrib.store import Run, open_run

Runs = Mapping[str, Run | str | Path] | Sequence[Run | str | Path]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several trainings side by side, best first."""

    by: str
    """The proxy that they are ordered by."""
    table: pd.DataFrame
    """One row a run: the best value of the proxy and its epoch; the epoch that the rule chooses, with GWA, mean
    alignment and training accuracy in it; `features` of the head; `accuracy` if it is known."""

    @property
    def spearman(self) -> float:
        """Rank correlation of the proxy (turned so that high is good) with the accuracy; NaN where it is not known."""
        if "accuracy" not in self.table or len(self.table) < 3:
            return float("nan")
        sign = 1.0 if proxies[self.by].suspect == "low" else -1.0
        known = self.table.dropna(subset=[self.by, "accuracy"])
        return float(spearmanr(sign * known[self.by], known["accuracy"])[0]) if len(known) > 2 else float("nan")

    def _repr_html_(self) -> str:
        facts = {"runs": len(self.table), "by": self.by}
        if "accuracy" in self.table and self.by in proxies:
            facts["rank correlation with the accuracy"] = self.spearman
        return small_html("Runs compared", facts, self.table.rename_axis(index="run"), what="runs, the best")

    def plot(self, path: str | Path) -> Path:
        """Write an SVG: the proxy against the accuracy if it is known, else a bar for each run."""
        target = local(path, "the report")
        write_text(target, comparison_svg(self.table, self.by))
        return target


def compare_runs(
    runs: Runs,
    by: str = "mean_alignment",
    *,
    rule: str = "paper",
    accuracy: str | Mapping[str, float] | None = None,
) -> Comparison:
    """Order trainings by the best value that a proxy reached in any epoch: by default the largest mean alignment.

    The magnitude of an alignment depends on the number of features: compare models whose heads are equally wide, or
    record them with ``measures=["projected_alignment"]`` and compare by "projected_alignment".

    Args:
        runs: Runs or their folders, by name; in a list each is named after its folder.
        by: A registered proxy.
        rule: The stopping rule that chooses each run's epoch.
        accuracy: To compare with: the name of a metric that was passed to `end_epoch` (its value in the chosen epoch),
            or the accuracy of each run by name. It is only shown.

    Raises:
        InputError: no run, two of one name, or a run without the metric.
        NotRecordedError: a run lacks what the proxy or the rule needs.

    Source: Hölzl et al. 2025, arXiv 2510.25480, who compare by the largest mean alignment.
    """
    opened = _opened(runs)
    rows = {name: _row(name, run, by, rule, accuracy) for name, run in opened.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
    widths = set(table["features"].dropna())
    if len(widths) > 1 and by != "projected_alignment":
        warnings.warn(
            f"Expected runs whose heads have as many features. Found {', '.join(f'{w:.0f}' for w in sorted(widths))}. "
            "The magnitude of an alignment depends on it: compare by='projected_alignment', recorded with measures=.",
            stacklevel=2,
        )
    return Comparison(by, table.sort_values(by, ascending=proxies[by].suspect == "high", kind="stable"))


def _opened(runs: Runs) -> dict[str, Run]:
    named = [*runs.items()] if isinstance(runs, Mapping) else [(_folder(run), run) for run in runs]
    names = [name for name, _ in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not named or twice:
        raise InputError(
            expected="at least one run, each with its own name",
            found=f"several of the name {', '.join(twice)}" if twice else "none",
            todo="Pass a dict of names to runs.",
        )
    return {str(name): run if isinstance(run, Run) else open_run(run) for name, run in named}


def _folder(run: Run | str | Path) -> str:
    return Path(run.path if isinstance(run, Run) else run).name


def _row(
    name: str, run: Run, by: str, rule: str, accuracy: str | Mapping[str, float] | None
) -> dict[str, str | float | None]:
    values = measure(run, by)
    high = proxies[by].suspect == "low"
    known = values.dropna()
    turned = known.to_numpy() if high else -known.to_numpy()
    at = int(turned.argmax()) if len(known) else None
    choice = choose_epoch(run, rule)
    chosen: dict[Hashable, Any] = history_of(run).table.set_index("epoch").loc[choice.epoch].to_dict()
    row = {
        by: float("nan") if at is None else float(known.iloc[at]),
        "at_epoch": None if at is None else int(known.index[at]),
        "epochs": len(values),
        "chosen_epoch": choice.epoch,
        "chosen_by": choice.measure,
        "gwa": float(chosen["gwa"]),
        "gwa_reliable": bool(chosen["gwa_reliable"]),
        "mean": float(chosen["mean"]),
        "train_accuracy": float(chosen["online_accuracy"]),
        "features": run.info.get("head_features"),
    }
    if accuracy is None:
        return row
    found = chosen.get(accuracy) if isinstance(accuracy, str) else accuracy.get(name)
    if found is None:
        raise InputError(
            expected=f"the accuracy of {name!r}", found=f"none in {accuracy!r}", todo="Pass one for each run."
        )
    return {**row, "accuracy": float(found)}
