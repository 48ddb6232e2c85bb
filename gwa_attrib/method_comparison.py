"""All methods on one run, in one table: how well each finds the wrong labels that are known, and what it costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as F
from tqdm.auto import tqdm

from gwa_attrib.analyses import analyses, rank
from gwa_attrib.attributors import attributors, self_influence
from gwa_attrib.audited_model import AuditedModel, audited_model
from gwa_attrib.cost import measured
from gwa_attrib.errors import GWAError, InputError, UnknownNameError
from gwa_attrib.evaluation import mislabel_intervals, mislabel_metrics, verified_labels
from gwa_attrib.evaluation.intervals import METRICS
from gwa_attrib.evaluation.verified import UNVERIFIED
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run

SLOW = {"influence_cg": "influence", "lissa": "influence"}
"""Left out unless they are named: of the head the other solves the same system exactly, and faster."""
NOT_ALONE = {"grad_cos": "the cosine of a gradient with itself is 1 for every sample"}
WIDER = ("tracin:all", "ekfac:linear")
"""Attributors that are tried on more than the head too."""
OVER_CHECKPOINTS = ("tracin", "trak")


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """What `compare` found."""

    table: pd.DataFrame
    """One row a method, the highest average precision first: the metrics, each with `_low` and `_high` (95 %); cost
    beyond the training as `seconds` and `megabytes`; how many `trainings` it needs; `suspect` and `source`."""
    skipped: Mapping[str, str]
    """Methods that did not run, with the reason."""
    scores: Mapping[str, Scores]
    """Of every sample, by method."""
    is_error: np.ndarray[Any, np.dtype[np.bool_]]
    """Of the samples with a verified label, whether the given one differs."""
    known: np.ndarray[Any, np.dtype[np.bool_]]
    """Which samples have a verified label."""
    facts: Mapping[str, Any]
    """About the run."""

    @property
    def agreement(self) -> pd.DataFrame:
        """Spearman correlation of the suspicion of every two methods, over all samples."""
        suspicion = pd.DataFrame({name: -self.scores[name].ranks() for name in self.table.index})
        return suspicion.corr(method="spearman")

    def write(self, folder: str | Path) -> Path:
        """Write table.parquet, scores.parquet, report.md and report.html; returns the last."""
        from gwa_attrib.report.methods import write_methods

        return write_methods(self, Path(folder))


def method_names() -> tuple[str, ...]:
    """All that can be compared: analyses of the run, and self-influence by attributors (`name` or `name:layers`)."""
    return (*analyses.names(), *attributors.names(), *WIDER)


def compare(
    run: Run | str | Path,
    truth: str | Sequence[Any] | np.ndarray[Any, Any],
    methods: Sequence[str] | None = None,
    *,
    draws: int = 1000,
) -> MethodComparison:
    """Compare methods on how they rank the samples of a run whose right labels are known.

    Args:
        run: A run; attributors need one that was made by `audit`, as they need its model and data.
        truth: Verified labels: the name of a column of the run (``label_before_flip`` after ``audit(flip=...)``), or
            one label per sample, NaN or None where it is not known.
        methods: Names of analyses or attributors, the latter also as ``"ekfac:linear"`` (see `attribute` for layers);
            None for all but the slowest.
        draws: Of the bootstrap that gives the intervals; the same samples are drawn for every method.

    Raises:
        UnknownNameError: a method that does not exist.
        InputError: no such column, or truth that names no class of the run.
        RunFormatError: the run has no epoch yet.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    chosen = _chosen(methods)
    columns: dict[str, Any] = {
        str(name): opened.samples[name].to_numpy() for name in opened.samples if name not in ("sample_id", "key")
    }
    name = truth if isinstance(truth, str) else "truth"
    if not isinstance(truth, str):
        if len(truth) != len(opened.sample_ids):
            raise InputError(
                expected=f"one verified label per sample, {len(opened.sample_ids)}",
                found=f"{len(truth)}",
                todo="Give None where the label is not known.",
            )
        columns = {name: np.asarray(truth)}
    verified = verified_labels(columns, name, opened.class_names)
    known = (verified != UNVERIFIED) & (opened.labels >= 0)
    is_error = (verified != opened.labels)[known]
    scores, costs, skipped = _run(opened, chosen, named=methods is not None)
    rows = {method: {**_judged(scores[method], known, is_error, draws), **costs[method]} for method in scores}
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
    }
    return MethodComparison(table, skipped, scores, is_error, known, facts)


def _chosen(methods: Sequence[str] | None) -> list[str]:
    if methods is None:
        return [name for name in method_names() if name not in SLOW]
    for name in methods:
        if name.partition(":")[0] not in (*analyses.names(), *attributors.names()):
            raise UnknownNameError(
                expected=f"a method out of: {', '.join(method_names())}", found=repr(name), todo="Choose one of them."
            )
    return list(dict.fromkeys(methods))


Costs = dict[str, dict[str, Any]]


def _run(run: Run, methods: list[str], *, named: bool) -> tuple[dict[str, Scores], Costs, dict[str, str]]:
    scores: dict[str, Scores] = {}
    costs: Costs = {}
    skipped = {} if named else {name: f"{other} gives the same, faster" for name, other in SLOW.items()}
    audited = _once(lambda: audited_model(run))
    for method in tqdm(methods, desc="methods", disable=None):
        registry, base = (analyses, method) if method in analyses else (attributors, method.partition(":")[0])
        if base in NOT_ALONE:
            skipped[method] = NOT_ALONE[base]
            continue
        try:
            model = None if registry is analyses else audited()
            with measured() as cost:
                scores[method] = rank(run, method) if model is None else _self_influence(model, method)
        except GWAError as error:
            skipped[method] = str(error)
            continue
        entry = registry[base]
        costs[method] = {
            "suspect": entry.suspect,
            "seconds": cost.seconds,
            "megabytes": cost.megabytes,
            "trainings": 1,
            "source": entry.source,
        }
    return scores, costs, skipped


def _once(make: Callable[[], AuditedModel]) -> Callable[[], AuditedModel]:
    """Make it when it is first asked for; an error is raised again each time."""
    made: list[AuditedModel] = []

    def get() -> AuditedModel:
        if not made:
            made.append(make())
        return made[0]

    return get


def _self_influence(audited: AuditedModel, method: str) -> Scores:
    base, _, layers = method.partition(":")
    options: dict[str, Any] = {"layers": layers or "head"}
    if base in OVER_CHECKPOINTS:
        options["checkpoints"] = audited.checkpoints
    if base == "tracin":
        options["learning_rates"] = audited.learning_rates
    return self_influence(audited.model, F.cross_entropy, (audited.inputs, audited.labels), base, **options)


def _judged(
    scores: Scores, known: np.ndarray[Any, Any], is_error: np.ndarray[Any, Any], draws: int
) -> dict[str, float]:
    some = Scores(scores.values[known], scores.sample_ids[known], method=scores.method, suspect=scores.suspect)
    metrics, intervals = mislabel_metrics(some, is_error), mislabel_intervals(some, is_error, draws=draws)
    row: dict[str, float] = {}
    for name in METRICS:
        row[name] = metrics[name]
        row[f"{name}_low"], row[f"{name}_high"] = intervals[name]
    return row
