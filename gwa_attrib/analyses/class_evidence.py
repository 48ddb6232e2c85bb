"""The evidence of a run about its labels: the class of each sample, and which classes are taken for which."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.analyses.epoch_weights import weigh_epochs
from gwa_attrib.analyses.noise_matrix import estimate_noise_matrix
from gwa_attrib.analyses.probabilities import (
    PART,
    SIGNALS,
    Recorded,
    believed,
    blocks,
    labels_of,
    pooled,
    summed,
    view_of,
    views,
)

LEARNT_FROM, CELLS = 20_000, 10_000_000
"""How many samples, and how many of their class probabilities, weights and noise matrix are estimated from at most."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """The weights and the noise matrix by which a run is read."""

    weights: tuple[float, ...]
    """Weights of its epochs; they sum to 1."""
    noise: Float[np.ndarray, "class class"]
    """``[k, j]``: how likely a sample of class k carries the label j."""


def find_consensus(run: Recorded) -> Consensus:
    """Estimate the consensus from all samples, or, of a large run, from 20,000 drawn at random (always the same)."""
    classes, samples = len(run.class_names), len(run.labels)
    size = min(samples, LEARNT_FROM, max(1, CELLS // classes))
    rows = np.sort(np.random.default_rng(0).permutation(samples)[:size])
    seen, alignment = [], np.full((len(run.epoch_numbers), size), np.nan, dtype=np.float32)
    for number, (_, dense) in enumerate(run.by_epoch(*SIGNALS, "alignment")):
        seen.append(view_of(dense, rows))
        alignment[number] = dense["alignment"][rows]
    labels = labels_of(run, rows)
    weights = weigh_epochs(seen, torch.from_numpy(alignment), labels, classes)
    return Consensus(tuple(weights), estimate_noise_matrix(pooled(summed(seen, weights, labels, classes)), labels))


def class_probabilities(
    run: Recorded, weights: tuple[float, ...], held: int | None = None
) -> Iterator[tuple[slice, Float[Tensor, "sample class"]]]:
    """Pool the epochs into class probabilities, some samples after the other; a row of NaN for a sample never seen."""
    classes = len(run.class_names)
    step = max(1, PART // classes)
    for block in blocks(run, held):
        labels = labels_of(run, block)
        sums = summed(views(run, block), weights, labels, classes)
        for start in range(0, len(labels), step):
            rows = slice(start, min(start + step, len(labels)))
            yield slice(block.start + rows.start, block.start + rows.stop), believed(sums.part(rows), labels[rows])
