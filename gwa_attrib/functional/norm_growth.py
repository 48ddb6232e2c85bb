"""The squared norm of a weight and its growth, from per-sample products of gradient and weight.

A step of plain gradient descent, ``W' = W + lr · mean_i(g_i)`` with ``g_i`` the negative loss gradients, changes the
squared norm by ``2 lr · mean_i <g_i, W> + lr² ‖mean_i g_i‖²``: up to the second term, a sum over the samples.
Source: the identity d‖W‖²/dt = 2 Σ <g_i, W> behind gradient-weight alignment, Hölzl et al. 2025, arXiv 2510.25480.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Steps(NamedTuple):
    """One entry per step, in their order."""

    number: Int[np.ndarray, " step"]
    size: Int[np.ndarray, " step"]
    """The number of observations in it."""
    squared_norm: Float[np.ndarray, " step"]
    """That of the weight that made the gradients; NaN where no sample of the step has a direction."""
    growth: Float[np.ndarray, " step"]
    """Growth to the first order: the sum of its samples' growths."""
    learning_rate: Float[np.ndarray, " step"]


def growth_of_observations(
    dot: Float[np.ndarray, " observation"],
    learning_rate: Float[np.ndarray, " observation"],
    step: Int[np.ndarray, " observation"],
) -> Float[np.ndarray, " observation"]:
    """Return ``2 lr · dot / n``, float64, with n the observations of the step; in units of the squared weight."""
    _, where, size = np.unique(step, return_inverse=True, return_counts=True)
    rate, product = learning_rate.astype(np.float64), dot.astype(np.float64)
    return 2.0 * rate * product / size[where]


def steps_of(
    dot: Float[np.ndarray, " observation"],
    alignment: Float[np.ndarray, " observation"],
    grad_norm: Float[np.ndarray, " observation"],
    learning_rate: Float[np.ndarray, " observation"],
    step: Int[np.ndarray, " observation"],
) -> Steps:
    """Sum up what the steps of some observations did.

    The norm of the weight is in every observation, ``dot = alignment · grad_norm · ‖W‖``; the ratio of the sums over a
    step is taken, so that samples whose gradient is nearly perpendicular to the weight do not disturb it.
    """
    number, where, size = np.unique(step, return_inverse=True, return_counts=True)
    product = np.abs(dot.astype(np.float64))
    per_norm = np.abs(alignment.astype(np.float64) * grad_norm.astype(np.float64))
    known = np.isfinite(product) & np.isfinite(per_norm)
    above, below = (
        np.bincount(where, weights=np.where(known, values, 0.0), minlength=len(number))
        for values in (product, per_norm)
    )
    norm = np.divide(above, below, out=np.full(len(number), np.nan), where=below > 0)
    growth = np.nan_to_num(growth_of_observations(dot, learning_rate, step))
    first = np.zeros(len(number), dtype=np.int64)
    first[where[::-1]] = np.arange(len(step))[::-1]
    return Steps(
        number,
        size,
        norm**2,
        np.bincount(where, weights=growth, minlength=len(number)),
        learning_rate[first].astype(np.float64),
    )
