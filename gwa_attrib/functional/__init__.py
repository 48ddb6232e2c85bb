"""Mathematics as functions of tensors: no state, no hooks, no files."""

from gwa_attrib.functional.alignment import HeadGradient, head_alignment, head_gradient, linear_deviation
from gwa_attrib.functional.gwa_moments import Moments, gwa, moments
from gwa_attrib.functional.observation import Observation, cross_entropy, el2n, margin, observe
from gwa_attrib.functional.targets import residual, target_distribution
from gwa_attrib.functional.trajectory import (
    average,
    changed_predictions,
    correctness,
    first_epoch_learnt,
    forgetting_events,
    fraction_negative,
    prediction_changes,
    variability,
)

__all__ = [
    "HeadGradient",
    "Moments",
    "Observation",
    "average",
    "changed_predictions",
    "correctness",
    "cross_entropy",
    "el2n",
    "first_epoch_learnt",
    "forgetting_events",
    "fraction_negative",
    "gwa",
    "head_alignment",
    "head_gradient",
    "linear_deviation",
    "margin",
    "moments",
    "observe",
    "prediction_changes",
    "residual",
    "target_distribution",
    "variability",
]
