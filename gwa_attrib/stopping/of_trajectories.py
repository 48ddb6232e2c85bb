"""Proxies that look at the trajectories of single samples."""

import math

import numpy as np
from jaxtyping import Float

from gwa_attrib.stopping.history import History, proxies

MEMORISED_BELOW = math.exp(-2.3)
"""Loss in nats below which a sample counts as memorised: the threshold of the authors for GSM8K."""


@proxies.register("pre_memorization_accuracy", suspect="low", source="Kang et al. 2024, arXiv 2411.07681; our port")
def pre_memorization_accuracy(history: History, threshold: float = MEMORISED_BELOW) -> Float[np.ndarray, " epoch"]:
    """Share of the samples that are right now, and once were before their loss fell below the threshold."""
    values = np.full(len(history.epochs), np.nan)
    before: Float[np.ndarray, " sample"] | None = None
    rows = {epoch: row for row, epoch in enumerate(history.epochs)}
    for epoch, dense in history.run.by_epoch("correct", "loss"):
        if epoch not in rows:
            continue
        correct, loss = dense["correct"], dense["loss"]
        values[rows[epoch]], before = pre_memorized(correct, loss, before, threshold)
    return values


def pre_memorized(
    correct: Float[np.ndarray, " sample"],
    loss: Float[np.ndarray, " sample"],
    before: Float[np.ndarray, " sample"] | None,
    threshold: float,
) -> tuple[float, Float[np.ndarray, " sample"]]:
    """Of one epoch: ``mean_i min(max_{j≤now} correct_ij·[loss_ij ≥ threshold], correct_i)``, and the inner maximum.

    Samples that were not seen in the epoch (NaN) are left out of the mean, and keep their maximum.
    """
    fresh = np.where(np.isnan(correct), 0.0, correct * (loss >= threshold))
    reached = fresh if before is None else np.maximum(before, fresh)
    seen = ~np.isnan(correct)
    now = np.minimum(reached, correct)[seen]
    return (float(now.mean()) if len(now) else math.nan), reached
