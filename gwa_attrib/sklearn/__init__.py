"""Wrong labels of a table by an estimator, for those who work with scikit-learn. No run is written."""

from gwa_attrib.sklearn.detector import MislabelDetector

__all__ = ["MislabelDetector"]
