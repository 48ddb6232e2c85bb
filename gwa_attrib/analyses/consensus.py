"""The consensus of a run: each sample's class probabilities, averaged over the epochs.

An epoch counts by its mean alignment, the run's own measure of how well it generalises (Hölzl et al. 2025): early
epochs know little, and an epoch that memorises has seen its alignment fall.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.store.run import Run

POWER = 4
"""Weight of an epoch: its mean alignment to this power."""
BLOCK = 1 << 27
"""Probabilities held at a time; larger runs are read in several passes."""


def epoch_weights(run: Run) -> Float[np.ndarray, " epoch"]:
    """One weight per recorded epoch, summing to 1: (mean alignment, at least 0)⁴; equal where no epoch is positive."""
    means = run.epochs().set_index("epoch")["mean"].reindex(run.epoch_numbers).to_numpy(dtype=np.float64)
    weights = np.nan_to_num(np.clip(means, 0.0, None)) ** POWER
    if not weights.sum() > 0:
        weights = np.ones(len(means))
    return np.asarray(weights / weights.sum())


def consensus(run: Run) -> Iterator[tuple[slice, Float[Tensor, "sample class"]]]:
    """Averaged probabilities of the samples, block after block; a row of NaN for a sample never seen.

    The label's own probability is exact; of the others those that were among the five likeliest of an epoch count, the
    rest is less than the smallest of them and taken as 0.
    """
    samples, classes = len(run.sample_ids), len(run.class_names)
    size = max(1, BLOCK // classes)
    for start in range(0, samples, size):
        block = slice(start, min(start + size, samples))
        yield block, _block(run, block, classes)


def _block(run: Run, block: slice, classes: int) -> Float[Tensor, "sample class"]:
    size = block.stop - block.start
    total, of_label, seen = torch.zeros(size, classes), torch.zeros(size), torch.zeros(size)
    epochs = run.by_epoch("p_label", "top_class", "top_prob")
    for weight, (_, dense) in zip(epoch_weights(run), epochs, strict=True):
        if weight == 0:
            continue
        p_label, top_class, top_prob = (_tensor(dense[name][block]) for name in ("p_label", "top_class", "top_prob"))
        present = ~p_label.isnan()
        total.scatter_add_(1, top_class.clamp_min(0).long(), top_prob.float() * weight)
        of_label += torch.where(present, p_label, 0.0) * weight
        seen += present * weight
    labels = _tensor(run.labels[block]).clamp_min(0).long()
    total.scatter_(1, labels.unsqueeze(1), of_label.unsqueeze(1))
    return total / torch.where(seen > 0, seen, torch.nan).unsqueeze(1)


def _tensor(array: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    """Without a copy where torch allows it: not of memory that may not be written to."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
