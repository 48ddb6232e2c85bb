"""The registry of analyses: functions from a recorded run to Scores."""

import numpy as np

from gwa_attrib._registry import Registry
from gwa_attrib.scores import Scores
from gwa_attrib.store.run import Run
from gwa_attrib.value_types import Array

analyses = Registry("analysis")


def class_name_column(run: Run, classes: Array) -> Array:
    """Names for class numbers, as an object array; None for -1."""
    names = np.array([*run.class_names, None], dtype=object)
    return names[classes]


def scores_of(
    run: Run, method: str, values: Array, *, columns: dict[str, Array] | None = None, **meta: object
) -> Scores:
    """Scores of every sample of the run, with the direction that `method` is registered with."""
    entry = analyses[method]
    facts = {"key": run.samples["key"].to_numpy(), "given_label": class_name_column(run, run.labels)}
    return Scores(
        values=values,
        sample_ids=run.sample_ids,
        method=method,
        suspect=entry.suspect or "high",
        columns={**facts, **(columns or {})},
        meta={"run_id": run.info["run_id"], "source": entry.source, **meta},
    )


def rank(run: Run, by: str = "mislabeled", **options: object) -> Scores:
    """Rank the samples of a run; `by` names a registered analysis.

    Example:
        ``rank(run, "mislabeled").to_frame().sort_values("rank").head(20)``

    Raises:
        UnknownNameError: no analysis of that name; the error lists them.
        RunFormatError: the run has no epoch yet, or lacks a signal that the analysis needs.
    """
    scores: Scores = analyses[by](run, **options)
    return scores
