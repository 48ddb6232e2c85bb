"""Scores against the truth: labels that were verified, and what training again shows."""

from gwa_attrib.evaluation.counterfactuals import (
    datamodel,
    leave_one_out,
    leave_one_out_correlation,
    linear_datamodeling_score,
)
from gwa_attrib.evaluation.intervals import mislabel_differences, mislabel_intervals
from gwa_attrib.evaluation.metrics import mislabel_metrics
from gwa_attrib.evaluation.removals import subset_removal
from gwa_attrib.evaluation.retraining import all_but_one, half_subsets, retrain, retrain_each
from gwa_attrib.evaluation.truth import held_out, score_against, verified_labels

__all__ = [
    "all_but_one",
    "datamodel",
    "half_subsets",
    "held_out",
    "leave_one_out",
    "leave_one_out_correlation",
    "linear_datamodeling_score",
    "mislabel_differences",
    "mislabel_intervals",
    "mislabel_metrics",
    "retrain",
    "retrain_each",
    "score_against",
    "subset_removal",
    "verified_labels",
]
