"""Which labels are probably wrong: the default ranking."""

import numpy as np
import torch
from torch import Tensor

from gwa_attrib.analyses.consensus import consensus
from gwa_attrib.analyses.error_count import count_errors, is_issue
from gwa_attrib.analyses.registry import analyses, class_name_column, scores_of
from gwa_attrib.scores import Scores
from gwa_attrib.store.run import Run

SHRINKAGE = 0.1
"""Added to both probabilities of the odds: how little a probability has to be to make no difference any more."""


@analyses.register("mislabeled", suspect="high", source="gwa_attrib; epochs weighted by alignment, arXiv 2510.25480")
def mislabeled(run: Run) -> Scores:
    """Log-odds of the likeliest other class against the given label, in the alignment-weighted consensus of the epochs.

    Columns: `is_label_issue` (another class is at least twice as likely), `label_score` in [0, 1] (the odds as a share:
    1/2 is even, 1/3 is two to one against the label; lower is worse), `given_label`, `predicted_label` (the consensus).
    ``meta["estimated_errors"]`` has `count`, `low` and `high`, see `ErrorCount`.
    """
    labels = run.labels.astype(np.int64)
    value, predicted = np.full(len(labels), np.nan, dtype=np.float32), np.full(len(labels), -1)
    for block, probabilities in consensus(run):
        odds, likeliest = log_odds(probabilities, torch.from_numpy(labels[block]))
        value[block], predicted[block] = odds.numpy(), likeliest.numpy()
    columns = {
        "is_label_issue": is_issue(value),
        "label_score": 1.0 / (1.0 + np.exp(value)),
        "predicted_label": class_name_column(run, predicted),
    }
    return scores_of(run, "mislabeled", value, columns=columns, estimated_errors=vars(count_errors(value)))


def log_odds(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Of ``[sample, class]`` the log-odds against each label, and the likeliest class; NaN and -1 for rows of NaN."""
    index = labels.clamp_min(0).unsqueeze(1)
    own = probabilities.gather(1, index).squeeze(1)
    other = probabilities.scatter(1, index, -1.0).amax(dim=1).clamp_min(0.0)
    odds = torch.log((other + SHRINKAGE) / (own + SHRINKAGE))
    return odds, torch.where(own.isnan(), -1, probabilities.nan_to_num().argmax(dim=1))
