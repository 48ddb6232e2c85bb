"""Scores against the truth."""

from gwa_attrib.evaluation.intervals import mislabel_intervals
from gwa_attrib.evaluation.mislabels import mislabel_metrics
from gwa_attrib.evaluation.verified import score_against, verified_labels

__all__ = ["mislabel_intervals", "mislabel_metrics", "score_against", "verified_labels"]
