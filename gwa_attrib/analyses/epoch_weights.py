"""Weights of the epochs of a run: large where an epoch tells the wrong labels from the right ones.

An early epoch knows little, and a late one may have learnt the wrong labels by heart. Both show in the alignments. As
long as a network learns what the samples have in common, the alignment of those whose labels fit rises (Hölzl et al.
2025) while wrong labels pull the other way; when it learns the wrong ones too, the two come together again.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gwa_attrib.analyses.probabilities import View, mean_probabilities, pooled, summed

POWER = 4
"""Power of the gap between the alignments."""
FIRST = 0.05
"""Share of the samples that are suspects in the first round, whatever their probabilities."""
FEW = 0.005
"""A smaller share of suspects says nothing about the epochs: the weights of the round before stay."""
ROUNDS = 8


def weigh_epochs(
    views: Sequence[View], alignment: Float[Tensor, "epoch sample"], labels: Int[Tensor, " sample"], classes: int
) -> list[float]:
    """Weigh the epochs, summing to 1: mean alignment times (alignment of the rest less that of the suspects)⁴.

    Suspects are at first those whose label is furthest behind another class on average, then those that the epochs, so
    weighted, predict otherwise; until they stay the same. Equal weights where no epoch tells them apart.
    """
    suspects = _furthest_behind(mean_probabilities(views, labels, classes), labels)
    mean = alignment.nanmean(dim=1).nan_to_num(0.0).clamp_min(0.0)
    weights = torch.full((len(views),), 1.0 / max(len(views), 1), dtype=torch.float64)
    for _ in range(ROUNDS):
        raw = (mean * _gap(alignment, suspects) ** POWER).double()
        if not raw.sum() > 0:
            break
        weights = raw / raw.sum()
        found = pooled(summed(views, weights.tolist(), labels, classes))
        now = (found.nan_to_num(0.0).argmax(dim=1) != labels) & ~found[:, 0].isnan()
        if now.sum() < max(3, FEW * len(labels)) or bool((now == suspects).all()):
            break
        suspects = now
    return [float(weight) for weight in weights]


def _gap(alignment: Tensor, suspects: Bool[Tensor, " sample"]) -> Float[Tensor, " epoch"]:
    """Measure how far the alignments of the suspects are below those of the rest, in each epoch; at least 0."""
    gap: Tensor = alignment[:, ~suspects].nanmean(dim=1) - alignment[:, suspects].nanmean(dim=1)
    return gap.nan_to_num(0.0).clamp_min(0.0)


def _furthest_behind(mean: Float[Tensor, "sample class"], labels: Tensor) -> Bool[Tensor, " sample"]:
    """Flag the share `FIRST` of the samples, at least one, whose label is furthest behind another class."""
    index = labels.unsqueeze(1)
    behind = mean.scatter(1, index, -1.0).amax(dim=1) - mean.gather(1, index).squeeze(1)
    suspects = torch.zeros(len(labels), dtype=torch.bool)
    suspects[behind.nan_to_num(-torch.inf).topk(min(len(labels), max(1, int(FIRST * len(labels))))).indices] = True
    return suspects
