"""The samples that the model stands on: those whose gradients built its weights."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32

from gwa_attrib.analyses.registry import analyses, scores_of
from gwa_attrib.errors import NotRecordedError
from gwa_attrib.functional.norm_growth import Steps, growth_of_observations, steps_of
from gwa_attrib.scores import Scores
from gwa_attrib.store.run import Run
from gwa_attrib.store.tables import positions
from gwa_attrib.value_types import Array, Ints

COLUMNS = ("sample_id", "step", "dot", "alignment", "grad_norm", "learning_rate")


@dataclass(frozen=True)
class Conservation:
    """A check that the shares add up to the growth that was seen, in units of the squared norm of the head's kernel."""

    predicted: float
    """The shares of all samples, less what weight decay took, over all steps but the last."""
    seen: float
    """Growth of the squared norm as it was, from the first recorded step to the last."""
    residual: float
    """``|predicted - seen| / |seen|``; 0 is exact."""
    rule: str
    """The rule that the update was taken for."""


@analyses.register("influential", suspect="high", source="gwa_attrib; the identity behind arXiv 2510.25480")
def rank_influential(run: Run) -> Scores:
    """How much of the growth of the head's squared weight norm a sample's gradients made, over the whole run.

    High is influential, not wrong: ``2 · learning rate · <negative gradient, weight> / batch size``, added up over the
    sample's observations; negative where its gradients shrank the weight, as those of wrong labels do. The values of
    all samples add up to the growth that training made, to the first order in the learning rate, for gradient descent
    without momentum; ``meta["conservation"]`` says how far they do in this run. A heavy-ball momentum multiplies all
    by 1 / (1 - momentum); of other optimizers the values are those that plain steps would have made. With accumulated
    batches all values are too large by one factor. What it does not say: whether test accuracy needs the sample; for
    that ask `gwa.attribute` with queries, or train without it.

    Columns: `share_of_class`, of the growth that the samples with its given label made (NaN where that is none);
    `alignment_early` and `alignment_late`, the mean alignment over the first and the last third of the epochs.

    Raises:
        NotRecordedError: the run was recorded without ``optimizer=``, or without dot and grad_norm.
    """
    epochs = run.epoch_numbers
    third = max(1, len(epochs) // 3)
    growth = np.zeros(len(run.sample_ids))
    seen = np.zeros(len(run.sample_ids), dtype=bool)
    early, late = _Means(len(growth)), _Means(len(growth))
    steps: list[Steps] = []
    factor, decay, rule = _update_of(run)
    for number, epoch in enumerate(epochs):
        columns = _columns(run, epoch)
        where = positions(run.sample_ids, columns.pop("sample_id"))
        made = growth_of_observations(columns["dot"], columns["learning_rate"], columns["step"])
        growth += factor * np.bincount(where, weights=np.nan_to_num(made), minlength=len(growth))
        seen[where] = True
        steps.append(steps_of(**columns))
        for means, third_has_it in ((early, number < third), (late, number >= len(epochs) - third)):
            if third_has_it:
                means.add(where, columns["alignment"])
    values = np.where(seen, growth, np.nan)
    facts = {
        "share_of_class": _share_of_class(values, run.labels),
        "alignment_early": early.mean(),
        "alignment_late": late.mean(),
    }
    return scores_of(
        run,
        "influential",
        values,
        columns=facts,
        conservation=vars(_conservation(steps, factor, decay, rule)),
    )


def _columns(run: Run, epoch: int) -> dict[str, Array]:
    table = run.observations(COLUMNS, epoch=epoch)
    found = {name: table[name].to_numpy() for name in COLUMNS}
    if np.isnan(found["learning_rate"]).all():
        raise NotRecordedError(
            expected="learning rates in the run",
            found="none",
            todo="Record it with gwa.record(..., optimizer=optimizer).",
        )
    return found


def _update_of(run: Run) -> tuple[float, float, str]:
    """Read from the optimizer what the growth is multiplied by and its weight decay, and put both in words."""
    facts = run.info.get("optimizer") or {}
    name, momentum = facts.get("name", "unknown optimizer"), float(facts.get("momentum", 0.0))
    decay = float(facts.get("weight_decay", 0.0))
    if name == "SGD":
        words = "gradient descent" + (f" with momentum {momentum:g}" if momentum else "")
        return 1.0 / (1.0 - momentum), decay, words + (f" and weight decay {decay:g}" if decay else "")
    return 1.0, 0.0, f"plain steps; trained with {name}"


def _conservation(steps: list[Steps], factor: float, decay: float, rule: str) -> Conservation:
    norms = np.concatenate([part.squared_norm for part in steps])
    growth, rates = (np.concatenate([getattr(part, name) for part in steps]) for name in ("growth", "learning_rate"))
    known = np.flatnonzero(np.isfinite(norms))
    if len(known) < 2:
        return Conservation(np.nan, np.nan, np.nan, rule)
    first, last = known[0], known[-1]
    between = slice(first, last)
    kept = 1.0 - factor * np.nan_to_num(rates[between]) * decay
    lost = (1.0 - kept**2) * np.nan_to_num(norms[between], nan=float(np.nanmean(norms)))
    predicted = float((factor * kept * growth[between] - lost).sum())
    seen = float(norms[last] - norms[first])
    return Conservation(predicted, seen, abs(predicted - seen) / abs(seen) if seen else np.nan, rule)


def _share_of_class(
    values: Float[np.ndarray, " sample"], labels: Int32[np.ndarray, " sample"]
) -> Float[np.ndarray, " sample"]:
    shares = np.full(len(values), np.nan)
    for label in np.unique(labels[labels >= 0]):
        rows = labels == label
        total = np.nansum(values[rows])
        if total > 0:
            shares[rows] = values[rows] / total
    return shares


class _Means:
    """Means of each sample over some epochs, added up as they are read."""

    def __init__(self, samples: int) -> None:
        self._sum, self._count = np.zeros(samples), np.zeros(samples)

    def add(self, where: Ints, values: Array) -> None:
        known = ~np.isnan(values)
        self._sum += np.bincount(where[known], weights=values[known].astype(np.float64), minlength=len(self._sum))
        self._count += np.bincount(where[known], minlength=len(self._sum))

    def mean(self) -> Float[np.ndarray, " sample"]:
        empty = np.full(len(self._sum), np.nan)
        found: Float[np.ndarray, " sample"] = np.divide(self._sum, self._count, out=empty, where=self._count > 0)
        return found
