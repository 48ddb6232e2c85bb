"""Does cleaning help? Training again with and without the decisions, and without as many random samples."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.atomic import atomic_write
from gwa_attrib.store.schema import VERIFICATION

AS_IT_IS, DECIDED, RANDOM = "as it is", "decisions", "random removal"
PAIRS = ((DECIDED, AS_IT_IS), (DECIDED, RANDOM), (RANDOM, AS_IT_IS))
FOLDER = "verify"

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Verification:
    """What training again showed. Accuracies and their changes are shares, 0 to 1; intervals are of 95 %."""

    table: pd.DataFrame
    """By comparison, "decisions - as it is", "decisions - random removal" and "random removal - as it is": the mean
    `change` of the accuracy, `low` and `high`, for other trainings and other samples to ask; paired by both."""
    accuracy: pd.Series
    """By way to train: "as it is", "decisions", "random removal"."""
    classes: pd.DataFrame
    """By class: number of samples `asked`, accuracy `before` and `after` the decisions, `change`, `low` and `high`."""
    facts: Mapping[str, Any]
    """`by` ("test", "verified" or "given" labels), `asked`, `seeds`, what was decided of the samples trained on."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN as None."""
        return {
            **self.facts,
            "accuracy": self.accuracy.to_dict(),
            "changes": json.loads(self.table.reset_index().to_json(orient="records")),
            "classes": json.loads(self.classes.reset_index().to_json(orient="records")),
        }


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
    jobs = {f"{arm.replace(' ', '-')}-seed={seed}": (arm, seed) for seed in range(seeds) for arm in plan.arms}
    root = opened.path / FOLDER / plan.digest()
    found = run_resumable(plan.right, jobs, root, workers=workers)
    right = {arm: np.stack([found[name] for name, job in jobs.items() if job[0] == arm]) for arm in plan.arms}
    result = _concluded(right, asking, opened.class_names, {**plan.facts, "seeds": seeds})
    text = json.dumps({"run_id": opened.info["run_id"], **result.to_dict()}, ensure_ascii=False)
    atomic_write(opened.path, opened.path / VERIFICATION, lambda path: _save(path, text))
    return result


class _Plan:
    """The three ways to train, and what each is asked."""

    arms = (AS_IT_IS, DECIDED, RANDOM)

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
        self._kept = {AS_IT_IS: pool, DECIDED: pool[left[pool]]}
        dropped, relabelled = int((~left[pool]).sum()), int((left & (labels != given))[pool].sum())
        self._pool, self._count = pool, dropped + relabelled
        if not self._count or not len(self._kept[DECIDED]):
            raise InputError(
                expected="decisions that drop or relabel some of the samples that are trained on, not all",
                found=f"{dropped} dropped and {relabelled} relabelled of {len(pool)}",
                todo="Decide on more of the suspects; a test set leaves all samples for the training.",
            )
        self.facts = {
            "by": asking.by,
            "asked_of": asking.name,
            "asked": len(asking.asked),
            "trained_on": len(pool),
            "dropped": dropped,
            "relabelled": relabelled,
        }

    def digest(self) -> str:
        """Names the folder of these trainings: others do not mix with them."""
        digest = sha256(repr(self.facts).encode())
        for part in (self._labels[DECIDED], self._kept[DECIDED], self._pool, self._asking.asked, self._asking.answers):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]

    def right(self, arm: str, seed: int) -> Array:
        """Which of the samples that are asked a training gets right."""
        kept = self._random(seed) if arm == RANDOM else self._kept[arm]
        samples, labels = self._asking.inputs, torch.from_numpy(self._labels[arm])
        trained = self._model.trained_on(samples[kept], labels[kept], seed, draw=len(self._pool))
        return share_right(self._model.answers(trained, samples[self._asking.asked]), self._asking.answers)

    def _random(self, seed: int) -> Array:
        order = np.random.default_rng(seed).permutation(len(self._pool))
        return np.sort(self._pool[order[self._count :]])


def _concluded(
    right: Mapping[str, Array], asking: Examination, names: tuple[str, ...], facts: Mapping[str, Any]
) -> Verification:
    change = {f"{a} - {b}": mean_of_both((right[a] - right[b]).astype(np.float64)) for a, b in PAIRS}
    table = pd.DataFrame.from_dict(change, orient="index", columns=["change", "low", "high"])
    classes = {}
    for label in np.unique(asking.answers):
        of_class = asking.answers == label
        before, after = (right[arm][:, of_class].astype(np.float64) for arm in (AS_IT_IS, DECIDED))
        classes[names[label]] = (int(of_class.sum()), before.mean(), after.mean(), *mean_of_both(after - before))
    columns = ["asked", "before", "after", "change", "low", "high"]
    return Verification(
        table.rename_axis(index="comparison"),
        pd.Series({arm: float(values.mean()) for arm, values in right.items()}, name="accuracy"),
        pd.DataFrame.from_dict(classes, orient="index", columns=columns).rename_axis(index="class"),
        facts,
    )


def _save(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
