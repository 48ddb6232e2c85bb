"""Scores against the truth."""

from gwa_attrib.evaluation.mislabels import mislabel_metrics
from gwa_attrib.evaluation.verified import score_against, verified_labels

__all__ = ["mislabel_metrics", "score_against", "verified_labels"]
