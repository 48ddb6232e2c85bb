"""Scores against the truth: labels that were verified, and what training again shows."""

from gwa_attrib.evaluation.intervals import mislabel_intervals
from gwa_attrib.evaluation.mislabels import mislabel_metrics
from gwa_attrib.evaluation.retraining import (
    all_but_one,
    datamodel,
    half_subsets,
    leave_one_out,
    linear_datamodeling_score,
    retrain,
)
from gwa_attrib.evaluation.verified import score_against, verified_labels

__all__ = [
    "all_but_one",
    "datamodel",
    "half_subsets",
    "leave_one_out",
    "linear_datamodeling_score",
    "mislabel_intervals",
    "mislabel_metrics",
    "retrain",
    "score_against",
    "verified_labels",
]
