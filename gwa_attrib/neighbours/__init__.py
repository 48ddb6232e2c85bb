"""Samples near each other in a space of features: near-duplicates, leaks into a test set, outliers."""

from gwa_attrib.neighbours.duplicates import Duplicates, leaks, near_duplicates
from gwa_attrib.neighbours.outliers import outlier_distance

__all__ = ["Duplicates", "leaks", "near_duplicates", "outlier_distance"]
