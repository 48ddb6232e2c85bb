"""Confident learning by cleanlab, given what it asks for: probabilities of models that did not see the sample."""

import numpy as np

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.comparison.libraries.cross_validation import FOLDS, out_of_fold
from gwa_attrib.comparison.libraries.registry import EXTRA, baselines, needs
from gwa_attrib.scores import Scores
from gwa_attrib.value_types import Array

SOURCE = "Northcutt et al. 2021, arXiv 1911.00068, by cleanlab"


@baselines.register("confident_learning", suspect="low", source=SOURCE)
def confident_learning(audited: AuditedModel, *, folds: int = FOLDS, seed: int = 0) -> Scores:
    """Out-of-fold probability of the given label (cleanlab's self-confidence), with its label issues."""
    return _scores(audited, "self_confidence", folds, seed)


@baselines.register("confident_learning_margin", suspect="low", source=SOURCE)
def confident_learning_margin(audited: AuditedModel, *, folds: int = FOLDS, seed: int = 0) -> Scores:
    """Out-of-fold probability of the given label less that of the likeliest other (cleanlab's normalised margin)."""
    return _scores(audited, "normalized_margin", folds, seed)


@baselines.register("confident_learning_entropy", suspect="low", source=SOURCE)
def confident_learning_entropy(audited: AuditedModel, *, folds: int = FOLDS, seed: int = 0) -> Scores:
    """Out-of-fold entropy over the probability of the given label (cleanlab's confidence-weighted entropy)."""
    return _scores(audited, "confidence_weighted_entropy", folds, seed)


def _scores(audited: AuditedModel, quality: str, folds: int, seed: int) -> Scores:
    needs("cleanlab", EXTRA)
    from cleanlab.count import num_label_issues
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    found = out_of_fold(audited, folds=folds, seed=seed)
    labels = audited.labels.numpy()
    values = get_label_quality_scores(labels, found.probabilities, method=quality)
    issues = find_label_issues(labels, found.probabilities, n_jobs=1)
    columns: dict[str, Array] = {
        "is_label_issue": issues,
        "predicted_label": found.probabilities.argmax(axis=1),
    }
    return Scores(
        np.asarray(values, dtype=np.float64),
        np.arange(len(labels)),
        method=quality,
        suspect="low",
        columns=columns,
        meta={
            "estimated_errors": int(num_label_issues(labels, found.probabilities)),
            "trainings": folds,
            "seconds_before": found.seconds_before,
        },
    )
