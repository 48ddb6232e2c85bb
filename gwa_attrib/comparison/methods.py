"""All methods on one run, in one table: how well each finds the wrong labels that are known, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gwa_attrib.auditing.audited_model import load_audited_model
from gwa_attrib.comparison.named_methods import NO_DETECTORS, SLOW, chosen_methods, run_methods
from gwa_attrib.comparison.removal_curves import measure_removal
from gwa_attrib.display.notebook import small_html
from gwa_attrib.errors import InputError
from gwa_attrib.evaluation import held_out, mislabel_metrics, verified_labels
from gwa_attrib.evaluation.intervals import METRICS, drawn_metrics, percentiles
from gwa_attrib.evaluation.removals import check_plan
from gwa_attrib.evaluation.truth import UNVERIFIED
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run
from gwa_attrib.value_types import Array, Bools, Floats, Ints

CURVES = 6
"""How many methods are removed by."""
SHOWN = ("average_precision", "average_precision_low", "average_precision_high", "auroc", "seconds", "trainings")
"""Columns of the table in a notebook."""
ALWAYS = ("mislabeled", "alignment", "random")
"""Methods that are always removed by, if they ran."""


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """The findings of `compare`."""

    table: pd.DataFrame
    """One row a method, the highest average precision first: the metrics, each with `_low` and `_high` (95 %); cost
    beyond the training as `seconds` and `megabytes`; how many `trainings` it needs; `suspect` and `source`."""
    skipped: Mapping[str, str]
    """Methods that did not run, with the reason."""
    scores: Mapping[str, Scores]
    """Scores of every sample, by method."""
    is_error: Bools
    """True where the given label differs from the verified one, among samples that have one."""
    known: Bools
    """Which samples have a verified label."""
    facts: Mapping[str, object]
    """About the run."""
    drawn: Mapping[str, Mapping[str, Floats]]
    """Values of each metric on each draw of the bootstrap, by method and metric; the draws are those of all methods."""
    removal: pd.DataFrame | None = None
    """The loss of held-out samples when the first suspects were removed; None where not asked for."""

    @property
    def agreement(self) -> pd.DataFrame:
        """Spearman correlation of the suspicion of every two methods, over all samples."""
        suspicion = pd.DataFrame({name: -self.scores[name].ranks() for name in self.table.index})
        return suspicion.corr(method="spearman")

    def overlap(self, k: int | None = None) -> pd.DataFrame:
        """Share of the first `k` suspects that every two methods have in common, 0 to 1; None for the true number.

        Raises:
            InputError: no suspects, or more than there are samples.
        """
        count = int(self.is_error.sum()) if k is None else k
        if not 0 < count <= len(self.known):
            raise InputError(
                expected=f"1 to {len(self.known)} suspects", found=f"{count}", todo="Pass k=100, for example."
            )
        first = {str(name): set(self.scores[name].top(count).tolist()) for name in self.table.index}
        shared = [[len(one & other) / count for other in first.values()] for one in first.values()]
        return pd.DataFrame(shared, index=list(first), columns=list(first))

    def ahead(self, reference: str = "mislabeled", metric: str = "average_precision") -> pd.DataFrame:
        """How far `reference` is above every other method: `difference`, and its 95 % interval, `low` to `high`.

        Paired: both are judged on the same drawn samples. Where `low` is above 0, `reference` is better.

        Raises:
            InputError: a reference that did not run, or an unknown metric.
        """
        if reference not in self.scores or metric not in METRICS:
            raise InputError(
                expected=f"a method that ran ({', '.join(self.scores)}) and a metric out of {', '.join(METRICS)}",
                found=f"{reference!r} and {metric!r}",
                todo="Choose from them.",
            )
        value = {str(name): float(number) for name, number in self.table[metric].items()}
        rows = {}
        for name in value:
            if name != reference:
                low, high = percentiles(self.drawn[reference][metric] - self.drawn[name][metric])
                rows[name] = {"difference": value[reference] - value[name], "low": low, "high": high}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "low", "high"])

    def _repr_html_(self) -> str:
        facts = {name: self.facts.get(name) for name in ("run", "samples", "errors", "truth")}
        facts |= {"not run": len(self.skipped) or None}
        table = self.table[[name for name in SHOWN if name in self.table]].rename_axis(index="method")
        return small_html("Methods compared", facts, table, what="methods, the best by average precision")

    def write(self, folder: str | Path) -> Path:
        """Write table.parquet, scores.parquet, removal.parquet, report.md and report.html; returns the last."""
        from gwa_attrib.reporting.comparison_page import write_methods

        return write_methods(self, Path(folder))


def compare(
    run: Run | str | Path,
    truth: str | Sequence[object] | Array,
    methods: Sequence[str] | None = None,
    *,
    draws: int = 1000,
    time_limit: float | None = None,
    removal: Sequence[float] = (),
    seeds: int = 3,
    workers: int = 1,
    patience: float | None = None,
) -> MethodComparison:
    """Compare methods on how they rank the samples of a run whose right labels are known.

    Args:
        run: A run; attributors need one that was made by `audit`, as they need its model and data.
        truth: Verified labels: the name of a column of the run (``label_before_flip`` after ``audit(flip=...)``), or
            one label per sample, NaN or None where it is not known.
        methods: Names of analyses, attributors (also as ``"ekfac:linear"``, see `attribute` for layers) or baselines;
            or groups: ``"own"``, all of the first two but the slowest, also for None; ``"baselines"``, what other
            libraries offer. Those train five more models, and stay out where the library is not installed.
        draws: Of the bootstrap that gives the intervals; the same samples are drawn for every method.
        time_limit: Seconds after which a method is given up, and listed with that reason; None: never.
        removal: Shares of the samples to remove, by a method's first suspects, before the model is trained again: for
            ours, a random order and the best of the others, six in all. Each share of each takes `seeds` trainings.
        seeds: Of these trainings.
        workers: Processes for them.
        patience: The former name of `time_limit`.

    Raises:
        UnknownNameError: a method that does not exist.
        InputError: no such column, truth that names no class of the run, or a removal that cannot be done.
        RunFormatError: the run has no epoch yet.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    chosen = chosen_methods(methods)
    name, verified = _truth(opened, truth)
    if len(removal):  # refused before any method runs
        check_plan(list(removal), seeds)
        held_out(verified)
        load_audited_model(opened)
    known = (verified != UNVERIFIED) & (opened.labels >= 0)
    is_error = (verified != opened.labels)[known]
    limit = _only_limit(time_limit, patience)
    scores, costs, skipped = run_methods(opened, chosen, limit)
    if "own" in (["own"] if methods is None else methods):
        skipped |= {slow: f"{other} gives the same, faster" for slow, other in SLOW.items() if slow not in chosen}
        skipped |= {name: "does not rank by suspicion" for name in NO_DETECTORS if name not in chosen}
    # Ranked on all samples, judged on those whose truth is known: a ranking must not gain from knowing which these are.
    judged = {method: _known(scores[method], known) for method in scores}
    drawn = {method: drawn_metrics(some, is_error, draws=draws) for method, some in judged.items()}
    metrics = {method: mislabel_metrics(some, is_error) for method, some in judged.items()}
    rows = {method: {**_judged(metrics[method], drawn[method]), **costs[method]} for method in scores}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="method")
    if len(table):
        table = table.sort_values("average_precision", ascending=False, kind="stable")
    facts = {
        "run": opened.path.name,
        "run_id": opened.info["run_id"],
        "samples": int(known.sum()),
        "errors": int(is_error.sum()),
        "epochs": len(opened.epoch_numbers),
        "truth": name,
        "column": isinstance(truth, str),
        "methods": list(methods or ()),
        "time_limit": limit,
        "removal": list(removal),
        "seeds": seeds,
    }
    curves = None
    if len(removal) and scores:
        shown = {method: scores[method] for method in _shown(list(table.index))}
        model = load_audited_model(opened)
        curves = measure_removal(model, shown, verified, shares=removal, seeds=seeds, workers=workers)
    return MethodComparison(table, skipped, scores, is_error, known, facts, drawn, curves)


def _only_limit(time_limit: float | None, patience: float | None) -> float | None:
    if time_limit is not None and patience is not None:
        raise InputError(
            expected="one limit of time",
            found=f"time_limit={time_limit} and patience={patience}",
            todo="Leave patience out.",
        )
    return patience if time_limit is None else time_limit


def _truth(run: Run, truth: str | Sequence[object] | Array) -> tuple[str, Ints]:
    """Find the name of the truth, and a class for each sample: see `verified_labels`."""
    columns: dict[str, Array] = {
        str(name): run.samples[name].to_numpy() for name in run.samples if name not in ("sample_id", "key")
    }
    name = truth if isinstance(truth, str) else "truth"
    if not isinstance(truth, str):
        if len(truth) != len(run.sample_ids):
            raise InputError(
                expected=f"one verified label per sample, {len(run.sample_ids)}",
                found=f"{len(truth)}",
                todo="Give None where the label is not known.",
            )
        columns = {name: np.asarray(truth)}
    return name, verified_labels(columns, name, run.class_names)


def _shown(best_first: list[str]) -> list[str]:
    always = [name for name in ALWAYS if name in best_first]
    others = [name for name in best_first if name not in always]
    return always + others[: CURVES - len(always)]


def _judged(metrics: Mapping[str, float], drawn: Mapping[str, Array]) -> dict[str, float]:
    row: dict[str, float] = {}
    for name in METRICS:
        row[name] = metrics[name]
        row[f"{name}_low"], row[f"{name}_high"] = percentiles(drawn[name])
    row["false_negative_rate"] = 1.0 - row["precision_at_errors"]
    row["false_negative_rate_low"] = 1.0 - row["precision_at_errors_high"]
    row["false_negative_rate_high"] = 1.0 - row["precision_at_errors_low"]
    return row


def _known(scores: Scores, known: Array) -> Scores:
    """Scores of the samples with a verified label."""
    return Scores(scores.values[known], scores.sample_ids[known], method=scores.method, suspect=scores.suspect)
