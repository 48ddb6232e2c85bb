"""Training again with decisions, without them, and without as many random samples: who is right about which sample."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from jaxtyping import Float

from gwa_attrib.auditing.audited_model import AuditedModel, load_audited_model
from gwa_attrib.cleaning.cleaned import Cleaned, clean, labels_after
from gwa_attrib.cleaning.decisions import Decisions
from gwa_attrib.cleaning.evaluation_set import Examination, examination, share_right
from gwa_attrib.errors import InputError
from gwa_attrib.evaluation.retraining import run_resumable
from gwa_attrib.files.places import local
from gwa_attrib.store import Run
from gwa_attrib.value_types import Array

ARMS = AS_IT_IS, DECIDED, RANDOM = "as it is", "decisions", "random removal"
FOLDER = "verify"


@dataclass(frozen=True, eq=False)
class Retrained:
    """Three ways to train, the same seeds and the same samples asked for each."""

    right: Mapping[str, Float[np.ndarray, "seed asked"]]
    """1.0 or 0.0, by way to train: "as it is", "decisions", "random removal"."""
    asking: Examination
    facts: Mapping[str, object]
    """See `Verification`."""


def retrain_with(
    run: Run, decisions: Decisions, *, test: str | None, truth: str | None, seeds: int, workers: int
) -> Retrained:
    """Train the three ways, each with every seed; see `gwa_attrib.cleaning.verify`."""
    if seeds < 1:
        raise InputError(expected="at least one training of each", found=f"{seeds} seeds", todo="Pass seeds=5.")
    cleaned = clean(run, decisions)
    model = load_audited_model(run)
    asking = examination(run, model, test, truth)
    plan = _Plan(run, model, asking, cleaned)
    names = {(arm, seed): plan.name(arm, seed) for seed in range(seeds) for arm in ARMS}
    jobs = {name: job for job, name in names.items()}
    found = run_resumable(plan.right, jobs, local(run.path, "the run") / FOLDER, workers=workers)
    right = {arm: np.stack([found[names[arm, seed]] for seed in range(seeds)]) for arm in ARMS}
    return Retrained(right, asking, {**plan.facts, "seeds": seeds})


class _Plan:
    """The three ways to train, and what each is asked."""

    def __init__(self, run: Run, model: AuditedModel, asking: Examination, cleaned: Cleaned) -> None:
        self._model, self._asking = model, asking
        given = run.labels.astype(np.int64)
        labels, left = labels_after(cleaned, run.sample_ids, given)
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
            "also_trained_on": asking.also_trained_on,
        }

    def name(self, arm: str, seed: int) -> str:
        """Name the file of a training by what it is trained on and asked: other decisions share what is the same."""
        kept, digest = self._kept_by(arm, seed), self._examined.copy()
        digest.update(np.stack([kept, self._labels[arm][kept]]).tobytes())
        return f"{digest.hexdigest()[:24]}-seed={seed}"

    def right(self, arm: str, seed: int) -> Array:
        """Train once, and say which of the samples that are asked it gets right."""
        kept = self._kept_by(arm, seed)
        labels = torch.from_numpy(self._labels[arm])
        # As many steps as on all samples: a shorter training would be a difference that the decisions did not make.
        model = replace(self._model, inputs=self._asking.inputs, labels=labels, draw=len(self._pool))
        return share_right(model.train_and_ask(kept, self._asking.asked, seed), self._asking.answers)

    def _kept_by(self, arm: str, seed: int) -> Array:
        """Choose the rows to train on; of random removals each seed has its own."""
        if arm in self._kept:
            return self._kept[arm]
        order = np.random.default_rng(seed).permutation(len(self._pool))
        kept: Array = np.sort(self._pool[order[self._count :]])
        return kept
