"""Attribution baselines: what training on a sample did to the loss of another, by the methods of the field."""

from gwa_attrib.attribution import ekfac, gradient_products, influence, of_features, trak
from gwa_attrib.attribution.dispatch import attribute, self_influence
from gwa_attrib.attribution.registry import Attributor, attributors
from gwa_attrib.attribution.task import Task

__all__ = [
    "Attributor",
    "Task",
    "attribute",
    "attributors",
    "ekfac",
    "gradient_products",
    "influence",
    "of_features",
    "self_influence",
    "trak",
]
