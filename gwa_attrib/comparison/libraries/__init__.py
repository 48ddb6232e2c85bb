"""Methods of other libraries on an audited model: each refuses what its library gets wrong."""

from gwa_attrib.comparison.libraries import captum_methods, cleanlab_methods, kronfluence_methods, traker_methods
from gwa_attrib.comparison.libraries.cross_validation import out_of_fold
from gwa_attrib.comparison.libraries.registry import baselines

__all__ = ["baselines", "captum_methods", "cleanlab_methods", "kronfluence_methods", "out_of_fold", "traker_methods"]
