"""Laws that hold for whole families of functions; tests apply them to each function they fit.

A law takes the function, an input, and how exactly it has to hold, and fails with the rows that break it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

PerSample = Callable[..., Tensor]
"""Takes tensors whose first axis is the sample, returns a tensor whose first axis is the sample."""


def same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Equal within ``tolerance`` absolute and relative; NaN and infinity only where NaN and infinity are expected."""
    torch.testing.assert_close(
        found.double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True, check_device=False
    )


def permutation_equivariant(function: PerSample, *batch: Tensor, order: Tensor, tolerance: float) -> None:
    """Samples in another order give the same values in that order."""
    same(function(*(x[order] for x in batch)), function(*batch)[order], tolerance)


def batch_split_invariant(function: PerSample, *batch: Tensor, cut: int, tolerance: float) -> None:
    """A sample's value does not depend on which others are in its batch."""
    halves = [function(*(x[part] for x in batch)) for part in (slice(None, cut), slice(cut, None))]
    same(torch.cat(halves), function(*batch), tolerance)


def one_at_a_time(function: PerSample, *batch: Tensor, tolerance: float) -> None:
    """The limit of `batch_split_invariant`: every sample alone."""
    alone = [function(*(x[i : i + 1] for x in batch)) for i in range(len(batch[0]))]
    same(torch.cat(alone), function(*batch), tolerance)


def columns_independent(function: PerSample, trajectories: Tensor, *, tolerance: float) -> None:
    """Of ``[epoch, sample]``: each sample's statistic depends on its own column only."""
    alone = [function(trajectories[:, i : i + 1]) for i in range(trajectories.shape[1])]
    same(torch.cat(alone), function(trajectories), tolerance)


def ignores_unseen_epochs(function: PerSample, trajectories: Tensor, at: int, *, tolerance: float) -> None:
    """An epoch in which no sample was seen changes nothing."""
    gap = torch.full_like(trajectories[:1], torch.nan)
    with_gap = torch.cat([trajectories[:at], gap, trajectories[at:]])
    same(function(with_gap), function(trajectories), tolerance)


def in_range(values: Tensor, low: float, high: float) -> None:
    """Every value is NaN or in [low, high]."""
    outside = values[(values < low) | (values > high)]
    assert not len(outside), f"outside [{low}, {high}]: {outside.tolist()}"


def sums_in_every_order(parts: Sequence[Any], empty: Any) -> list[Any]:
    """`parts` added up forwards, backwards and pairwise: the caller checks that the sums are equal within rounding."""
    return [sum(parts, empty), sum(reversed(parts), empty), _pairwise(list(parts), empty)]


def _pairwise(parts: list[Any], empty: Any) -> Any:
    if len(parts) < 2:
        return parts[0] if parts else empty
    half = len(parts) // 2
    return _pairwise(parts[:half], empty) + _pairwise(parts[half:], empty)
