"""Does cleaning help? Training again with and without the decisions, and without as many random samples."""

from pathlib import Path

import numpy as np
import pandas as pd

from gwa_attrib.cleaning.cleaned_copy import as_decisions
from gwa_attrib.cleaning.decisions import Auto, Decisions
from gwa_attrib.cleaning.retrain import AS_IT_IS, DECIDED, RANDOM, Retrained, retrain_with
from gwa_attrib.evaluation.intervals import mean_of_both
from gwa_attrib.evaluation.verification import BY_CLASS, CHANGE, Verification
from gwa_attrib.store import Run, open_run

PAIRS = ((DECIDED, AS_IT_IS), (DECIDED, RANDOM), (RANDOM, AS_IT_IS))


def verify(
    run: Run | str | Path,
    decisions: Decisions | Auto | str | Path,
    *,
    test: str | Path | None = None,
    truth: str | None = None,
    seeds: int = 5,
    workers: int = 1,
) -> Verification:
    """Train as the audit did with the decisions, without them, and with as many random samples removed; compare.

    Every training has as many steps, the same first weights for the same seed, and is asked the same samples. Each
    leaves a file in the run's folder, so that a call that was cut off goes on. The result is kept there, too: the
    report shows it.

    Args:
        run: An audited run, or its folder.
        decisions: As in `apply`.
        test: A test set, as `audit` reads it, with the columns and classes of the data that were audited.
        truth: Without a test set: the column of the run with verified labels (``label_before_flip`` after
            ``audit(flip=...)``). A fifth of the samples that have one is held out of all trainings and asked. Without
            it, too, the given labels of a fifth of the samples are asked: if some are wrong, so are some answers, and
            the change is rather too small.
        seeds: Trainings of each of the three. One gives no interval: `low` and `high` are NaN.
        workers: Processes.

    Raises:
        InputError: decisions of another run, or none about samples that are trained on; a test set that does not fit;
            no seed.
        NotRecordedError: the run is none of an audit, or its data cannot be read any more.
        RunError: a result cannot be written.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    chosen = as_decisions(opened, decisions)
    path = None if test is None else str(test)
    result = _concluded(retrain_with(opened, chosen, test=path, truth=truth, seeds=seeds, workers=workers), opened)
    result.keep(opened)
    return result


def _concluded(found: Retrained, run: Run) -> Verification:
    right, answers = found.right, found.asking.answers
    change = {f"{a} - {b}": mean_of_both((right[a] - right[b]).astype(np.float64)) for a, b in PAIRS}
    classes = {}
    for label in np.unique(answers):
        before, after = (right[arm][:, answers == label].astype(np.float64) for arm in (AS_IT_IS, DECIDED))
        facts = (before.shape[1], before.mean(), after.mean(), *mean_of_both(after - before))
        classes[run.class_names[label]] = facts
    return Verification(
        pd.DataFrame.from_dict(change, orient="index", columns=list(CHANGE)).rename_axis(index="comparison"),
        pd.Series({arm: float(values.mean()) for arm, values in right.items()}, name="accuracy"),
        pd.DataFrame.from_dict(classes, orient="index", columns=list(BY_CLASS)).rename_axis(index="class"),
        found.facts,
    )
