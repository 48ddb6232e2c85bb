"""How well scores find wrong labels that are known."""

import math

import numpy as np
from jaxtyping import Bool

from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores


def mislabel_metrics(scores: Scores, is_error: Bool[np.ndarray, " train"]) -> dict[str, int | float]:
    """AUROC and average precision (as scikit-learn, ties included), precision at the true number of errors (one minus
    the false negative rate of 2510.16211), and recall when the worst 10 or 20 % are looked at.

    Samples without a value come last. NaN where all or none are errors.

    Raises:
        InputError: not one truth value per sample.
    """
    if len(is_error) != len(scores):
        raise InputError(
            expected=f"one truth value per sample, {len(scores)}", found=f"{len(is_error)}", todo="Align them by row."
        )
    from sklearn.metrics import average_precision_score, roc_auc_score

    suspicion = -scores.ranks()
    errors, order = int(is_error.sum()), scores.order()
    found = np.cumsum(is_error[order])
    both = 0 < errors < len(is_error)

    def found_within(k: int) -> float:
        return float(found[k - 1]) if k else 0.0

    return {
        "errors": errors,
        "auroc": float(roc_auc_score(is_error, suspicion)) if both else math.nan,
        "average_precision": float(average_precision_score(is_error, suspicion)) if both else math.nan,
        "precision_at_errors": found_within(errors) / errors if errors else math.nan,
        "recall_at_10_percent": found_within(round(0.1 * len(is_error))) / errors if errors else math.nan,
        "recall_at_20_percent": found_within(round(0.2 * len(is_error))) / errors if errors else math.nan,
    }
