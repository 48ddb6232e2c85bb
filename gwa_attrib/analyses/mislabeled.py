"""Which labels are probably wrong: the default ranking."""

import numpy as np
import torch

from gwa_attrib.analyses.consensus import consensus
from gwa_attrib.analyses.error_count import class_thresholds, confident_class, count_errors
from gwa_attrib.analyses.registry import analyses, class_name_column, scores_of
from gwa_attrib.scores import Scores
from gwa_attrib.store.run import Run

SHRINKAGE = 0.1
"""Added to both probabilities of the odds: how little a probability has to be to make no difference any more."""


@analyses.register("mislabeled", suspect="high", source="gwa_attrib; alignment weights: arXiv 2510.25480")
def mislabeled(run: Run) -> Scores:
    """Log-odds of the likeliest other class against the given label, in the alignment-weighted consensus of the epochs.

    Columns: `is_label_issue` (the worst samples, as many as there are estimated errors, if the consensus is another
    class), `label_score` in [0, 1] (the odds as a share; lower is worse), `given_label`, `predicted_label` (the
    consensus). ``meta["estimated_errors"]`` has `count`, `low` and `high`.
    """
    labels, classes = run.labels.astype(np.int64), len(run.class_names)
    size = len(labels)
    value, p_label = np.full(size, np.nan, dtype=np.float32), np.full(size, np.nan, dtype=np.float32)
    predicted = np.full(size, -1)
    for block, probabilities in consensus(run):
        odds, own, likeliest = _odds(probabilities, torch.from_numpy(labels[block]))
        value[block], p_label[block], predicted[block] = odds.numpy(), own.numpy(), likeliest.numpy()
    thresholds = class_thresholds(p_label, labels, classes)
    confident = np.full(size, -1)
    for block, probabilities in consensus(run):
        confident[block] = confident_class(np.nan_to_num(probabilities.numpy()), thresholds)
    errors = count_errors(labels, confident, predicted)
    issue = np.zeros(size, dtype=bool)
    order = np.argsort(-np.nan_to_num(value, nan=-np.inf), kind="stable")
    issue[order[: errors.count]] = True
    issue &= (predicted != labels) & (labels >= 0)
    columns = {
        "is_label_issue": issue,
        "label_score": 1.0 / (1.0 + np.exp(value)),
        "predicted_label": class_name_column(run, predicted),
    }
    return scores_of(run, "mislabeled", value, columns=columns, estimated_errors=vars(errors))


def _odds(probabilities: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-odds against the label, probability of the label, and likeliest class; NaN, NaN and -1 if never seen."""
    index = labels.clamp_min(0).unsqueeze(1)
    own = probabilities.gather(1, index).squeeze(1)
    other = probabilities.scatter(1, index, -1.0).amax(dim=1).clamp_min(0.0)
    odds = torch.log((other + SHRINKAGE) / (own + SHRINKAGE))
    return odds, own, torch.where(own.isnan(), -1, probabilities.nan_to_num().argmax(dim=1))
