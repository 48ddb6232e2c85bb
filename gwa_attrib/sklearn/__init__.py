"""For those who work with scikit-learn: wrong labels of a table, by an estimator. No run is written."""

from gwa_attrib.sklearn.detector import MislabelDetector

__all__ = ["MislabelDetector"]
