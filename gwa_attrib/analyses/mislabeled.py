"""Labels that are probably wrong: the default ranking, and an estimated count between a strict and a lax one.

A run has no truth to calibrate against, so the interval of the count is no confidence interval: it is what the count
becomes when twenty to one is asked for, one way and the other, and wide where the model itself is often unsure. How
often it held where the truth is known is in `docs/detection.md`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gwa_attrib.analyses.class_evidence import Consensus, class_probabilities, find_consensus
from gwa_attrib.analyses.probabilities import Recorded
from gwa_attrib.analyses.registry import analyses, class_name_column, scores_of
from gwa_attrib.scores import Scores
from gwa_attrib.store.run import Run
from gwa_attrib.thresholds import COUNT_ERRORS

MARGIN = 2.0
"""Weight of the difference of the two probabilities beside that of their logarithms."""
OFFSET = 1.5
"""Added, so that 0 is even-handed: measured where the truth is known, see `benchmarks/detection.py`."""
SEEN = 1.25
"""Divisor of the probability of the given label before a class is proposed: training has seen that label."""


@analyses.register("mislabeled", suspect="high", source="gwa_attrib; epochs weighted by alignment, arXiv 2510.25480")
def rank_mislabeled(run: Run) -> Scores:
    """Log-odds that the given label is wrong, in nats: by the class probabilities of all epochs together, and by which
    classes are taken for which.

    Columns: `label_score` in [0, 1] (see `label_score`; lower is worse), `is_label_issue` (a label score below 1/2),
    `given_label`, `predicted_label` (the likeliest class if the given label, which training has seen, counts a fifth
    less; of an issue, the likeliest other). ``meta["estimated_errors"]`` has `count`, `low` and `high`, see
    `ErrorCount`; ``meta["noise_matrix"]``, ``[class, label]``, which share of the samples of each class carries each
    label, if the issues are of the classes proposed for them.
    """
    labels, judged = run.labels.astype(np.int64), judge(run)
    value, predicted = judged.log_odds, judged.predicted
    columns = {
        "is_label_issue": is_issue(value),
        "label_score": label_score(value),
        "predicted_label": class_name_column(run, predicted),
    }
    estimated = np.where(is_issue(value), predicted, labels)
    return scores_of(
        run,
        "mislabeled",
        value,
        columns=columns,
        estimated_errors=vars(count_errors(value)),
        noise_matrix=noise_of(labels, estimated, len(run.class_names)),
    )


class Judged(NamedTuple):
    """The judgement of the epochs together on each label."""

    log_odds: Float[np.ndarray, " sample"]
    """That it is wrong, in nats; NaN for a sample never seen."""
    predicted: Int[np.ndarray, " sample"]
    """Number of the class to propose; -1 for a sample never seen."""
    consensus: Consensus


def judge(run: Recorded, held: int | None = None) -> Judged:
    """The ranking's numbers, of a run on disk or in memory; `held` class probabilities at a time."""
    labels, consensus = run.labels.astype(np.int64), find_consensus(run)
    value, predicted = np.full(len(labels), np.nan, dtype=np.float32), np.full(len(labels), -1)
    noise = np.asfortranarray(consensus.noise, dtype=np.float32)  # as it is read: by the label
    for block, probabilities in class_probabilities(run, consensus.weights, held):
        odds, likeliest = log_odds(probabilities, torch.from_numpy(labels[block]), noise)
        value[block], predicted[block] = odds.numpy(), likeliest.numpy()
    return Judged(value, predicted, consensus)


def label_score(log_odds: Float[np.ndarray, " sample"]) -> Float[np.ndarray, " sample"]:
    """The odds on the scale of the probability that the label is right, in [0, 1]; low is suspicious.

    A rank rather than a probability: no run has a truth to calibrate it on. How often labels were right at which score
    where the truth is known is in `docs/detection.md`: with hard pictures more often than it says, where samples are
    ambiguous less often.
    """
    return np.asarray(1.0 / (1.0 + np.exp(log_odds)))


def noise_of(
    labels: Int[np.ndarray, " sample"], estimated: Int[np.ndarray, " sample"], classes: int
) -> Float[np.ndarray, "class class"]:
    """``[k, j]``: share of the samples estimated to be of class k that carry the label j; NaN for a class without."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (estimated[labels >= 0], labels[labels >= 0]), 1.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def log_odds(
    probabilities: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    noise: Float[np.ndarray, "class class"],
    margin: float = MARGIN,
) -> tuple[Float[Tensor, " sample"], Int[Tensor, " sample"]]:
    """Weigh the odds against each label, and choose the class to propose; NaN and -1 for rows of NaN."""
    given = labels.clamp_min(0)
    own, others = (
        probabilities.gather(1, given.unsqueeze(1)).squeeze(1),
        probabilities.scatter(1, given.unsqueeze(1), 0.0),
    )
    best, other = others.max(dim=1)
    of_label = torch.from_numpy(np.ascontiguousarray(noise.T, dtype=np.float32))
    against = others.mul_(of_label[given]).sum(dim=1)
    pro = own * of_label.diagonal()[given]
    odds = against.clamp_min(1e-12).log() - pro.clamp_min(1e-12).log() + OFFSET
    odds += margin * (best - own)
    anew = (best > own / SEEN) | (odds > 0)
    return odds, torch.where(odds.isnan(), -1, torch.where(anew, other, given))


SURE = 20.0
"""Odds against a label from which it counts for `low`; odds for it up to which it counts for `high`."""


@dataclass(frozen=True)
class ErrorCount:
    """Estimated number of wrong labels."""

    count: int
    """Samples with the odds against their label: a label score below 1/2."""
    low: int
    """Those with odds of twenty to one against the label; less the sampling error of that number."""
    high: int
    """All but those with odds of twenty to one for the label; and the sampling error of that number."""


def count_errors(log_odds: Float[np.ndarray, " sample"]) -> ErrorCount:
    """Count the samples by their log-odds against the given label; NaN (never seen) counts for nothing."""
    count, strict, lax = (int(np.sum(log_odds > np.log(odds))) for odds in (1.0, SURE, 1 / SURE))
    low = max(0, int(strict - COUNT_ERRORS * np.sqrt(strict)))
    high = min(int(np.sum(~np.isnan(log_odds))), int(np.ceil(lax + COUNT_ERRORS * np.sqrt(lax))))
    return ErrorCount(count, low, high)


def is_issue(log_odds: Float[np.ndarray, " sample"]) -> Bool[np.ndarray, " sample"]:
    """The samples that make up `ErrorCount.count`."""
    return np.asarray(log_odds > 0)
