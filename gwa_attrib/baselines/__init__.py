"""Methods of other libraries on an audited model: each refuses what its library gets wrong."""

from gwa_attrib.baselines import captum_methods, confident_learning, kronfluence_ekfac, traker_trak
from gwa_attrib.baselines.out_of_fold import out_of_fold
from gwa_attrib.baselines.registry import baselines

__all__ = ["baselines", "captum_methods", "confident_learning", "kronfluence_ekfac", "out_of_fold", "traker_trak"]
