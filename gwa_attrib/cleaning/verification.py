"""Does cleaning help? Training again with and without the decisions, and without as many random samples."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gwa_attrib.audited_model import AuditedModel, audited_model
from gwa_attrib.cleaning.cleaned import Cleaned, clean
from gwa_attrib.cleaning.cleaned_copy import as_decisions
from gwa_attrib.cleaning.decisions import Auto, Decisions
from gwa_attrib.cleaning.examination import Examination, examination, share_right
from gwa_attrib.cleaning.paired import mean_of_both
from gwa_attrib.errors import InputError
from gwa_attrib.evaluation.resumable import run_resumable
from gwa_attrib.evaluation.verification import BY_CLASS, CHANGE, Verification
from gwa_attrib.store import Run, open_run

ARMS = AS_IT_IS, DECIDED, RANDOM = "as it is", "decisions", "random removal"
PAIRS = ((DECIDED, AS_IT_IS), (DECIDED, RANDOM), (RANDOM, AS_IT_IS))
FOLDER = "verify"

Array = np.ndarray[Any, np.dtype[Any]]


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
        seeds: Trainings of each of the three.
        workers: Processes.

    Raises:
        InputError: decisions of another run, or none about samples that are trained on; a test set that does not fit;
            no seed.
        NotRecordedError: the run is none of an audit, or its data cannot be read any more.
        RunError: a result cannot be written.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    if seeds < 1:
        raise InputError(expected="at least one training of each", found=f"{seeds} seeds", todo="Pass seeds=5.")
    cleaned = clean(opened, as_decisions(opened, decisions))
    model = audited_model(opened)
    asking = examination(opened, model, None if test is None else str(test), truth)
    plan = _Plan(opened, model, asking, cleaned)
    names = {(arm, seed): plan.name(arm, seed) for seed in range(seeds) for arm in ARMS}
    jobs = {name: job for job, name in names.items()}
    found = run_resumable(plan.right, jobs, opened.path / FOLDER, workers=workers)
    right = {arm: np.stack([found[names[arm, seed]] for seed in range(seeds)]) for arm in ARMS}
    result = _concluded(right, asking, opened.class_names, {**plan.facts, "seeds": seeds})
    result.keep(opened)
    return result


class _Plan:
    """The three ways to train, and what each is asked."""

    def __init__(self, run: Run, model: AuditedModel, asking: Examination, cleaned: Cleaned) -> None:
        self._model, self._asking = model, asking
        ids = run.sample_ids
        given, labels = run.labels.astype(np.int64), run.labels.astype(np.int64)
        rows = np.searchsorted(ids, cleaned.sample_ids)
        labels[rows] = cleaned.labels
        left = np.zeros(len(ids), dtype=bool)
        left[rows] = True
        pool = asking.pool[given[asking.pool] >= 0]
        self._labels = {AS_IT_IS: given, DECIDED: labels, RANDOM: given}
        self._kept: dict[str, Array] = {AS_IT_IS: pool, DECIDED: pool[left[pool]]}
        dropped, relabelled = int((~left[pool]).sum()), int((left & (labels != given))[pool].sum())
        self._pool, self._count = pool, dropped + relabelled
        if not self._count or not len(self._kept[DECIDED]):
            raise InputError(
                expected="decisions that drop or relabel some of the samples that are trained on, not all",
                found=f"{dropped} dropped and {relabelled} relabelled of {len(pool)}",
                todo="Decide on more of the suspects; a test set leaves all samples for the training.",
            )
        self._examined = sha256(run.info["run_id"].encode())
        for part in (pool, asking.asked, asking.answers, asking.inputs[asking.asked].numpy()):
            self._examined.update(np.ascontiguousarray(part).tobytes())
        self.facts = {
            "by": asking.by,
            "asked_of": asking.name,
            "asked": len(asking.asked),
            "trained_on": len(pool),
            "dropped": dropped,
            "relabelled": relabelled,
        }

    def name(self, arm: str, seed: int) -> str:
        """Of the file of a training, by what it is trained on and asked: other decisions share what is the same."""
        kept, digest = self._kept_by(arm, seed), self._examined.copy()
        digest.update(np.stack([kept, self._labels[arm][kept]]).tobytes())
        return f"{digest.hexdigest()[:24]}-seed={seed}"

    def right(self, arm: str, seed: int) -> Array:
        """Which of the samples that are asked a training gets right."""
        kept = self._kept_by(arm, seed)
        samples, labels = self._asking.inputs, torch.from_numpy(self._labels[arm])
        trained = self._model.trained_on(samples[kept], labels[kept], seed, draw=len(self._pool))
        return share_right(self._model.answers(trained, samples[self._asking.asked]), self._asking.answers)

    def _kept_by(self, arm: str, seed: int) -> Array:
        """Rows to train on; of random removals each seed has its own."""
        if arm in self._kept:
            return self._kept[arm]
        order = np.random.default_rng(seed).permutation(len(self._pool))
        kept: Array = np.sort(self._pool[order[self._count :]])
        return kept


def _concluded(
    right: Mapping[str, Array], asking: Examination, names: tuple[str, ...], facts: Mapping[str, Any]
) -> Verification:
    change = {f"{a} - {b}": mean_of_both((right[a] - right[b]).astype(np.float64)) for a, b in PAIRS}
    table = pd.DataFrame.from_dict(change, orient="index", columns=list(CHANGE))
    classes = {}
    for label in np.unique(asking.answers):
        of_class = asking.answers == label
        before, after = (right[arm][:, of_class].astype(np.float64) for arm in (AS_IT_IS, DECIDED))
        classes[names[label]] = (int(of_class.sum()), before.mean(), after.mean(), *mean_of_both(after - before))
    return Verification(
        table.rename_axis(index="comparison"),
        pd.Series({arm: float(values.mean()) for arm, values in right.items()}, name="accuracy"),
        pd.DataFrame.from_dict(classes, orient="index", columns=list(BY_CLASS)).rename_axis(index="class"),
        facts,
    )
