"""Statistics of trajectories: a matrix ``[epoch, sample]`` in, one value per sample out. NaN means not seen.

A sample that was never seen gets NaN. Epochs in which it was not seen are passed over: a forgetting event is a step
from one *seen* epoch to the next seen one. Each function computes in the precision of its input.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def seen(x: Float[Tensor, "epoch sample"]) -> Bool[Tensor, "epoch sample"]:
    """Mark the entries where there is a value."""
    return ~x.isnan()


def average(x: Float[Tensor, "epoch sample"]) -> Float[Tensor, " sample"]:
    """Return the mean over the seen epochs: mean alignment, AUM (of margins), confidence (of p_label)."""
    return x.nanmean(dim=0)


def variability(p_label: Float[Tensor, "epoch sample"]) -> Float[Tensor, " sample"]:
    """Return the population standard deviation over the epochs; high is ambiguous (Swayamdipta 2020, 2009.10795)."""
    return (p_label - p_label.nanmean(dim=0)).square().nanmean(dim=0).sqrt()


def correctness(correct: Float[Tensor, "epoch sample"]) -> Float[Tensor, " sample"]:
    """Count the epochs in which the prediction was the label; low is suspicious (2009.10795)."""
    return torch.where(seen(correct).any(dim=0), correct.nansum(dim=0), torch.nan)


def fraction_negative(alignment: Float[Tensor, "epoch sample"]) -> Float[Tensor, " sample"]:
    """Return the share of the seen epochs with a negative alignment, in [0, 1]; high is suspicious."""
    return torch.where(seen(alignment), (alignment < 0).to(alignment.dtype), torch.nan).nanmean(dim=0)


def first_epoch_learnt(correct: Float[Tensor, "epoch sample"]) -> Float[Tensor, " sample"]:
    """Return the index of the first epoch with a right prediction; infinite if there was none. High is suspicious."""
    if not correct.shape[0]:
        return correct.new_full(correct.shape[1:], torch.nan)
    right = correct == 1
    first = torch.where(right.any(dim=0), right.to(torch.uint8).argmax(dim=0).to(correct.dtype), torch.inf)
    return torch.where(seen(correct).any(dim=0), first, torch.nan)


def _previous(x: Float[Tensor, "epoch sample"]) -> Float[Tensor, "epoch sample"]:
    """Return, for each epoch, the last value seen before it; NaN where there was none."""
    before = torch.full_like(x, torch.nan)
    for epoch in range(1, x.shape[0]):
        before[epoch] = torch.where(x[epoch - 1].isnan(), before[epoch - 1], x[epoch - 1])
    return before


def forgetting_events(
    correct: Float[Tensor, "epoch sample"], *, never_learnt: float | None = None
) -> Float[Tensor, " sample"]:
    """Count how often a sample went from right to wrong; high is suspicious (Toneva et al. 2019, 1812.05159).

    `never_learnt` is the value of a sample that was never right. The literature differs: the number of epochs (Toneva;
    the default), infinity (data diet), 1000 (cartography).
    """
    events = ((_previous(correct) == 1) & (correct == 0)).sum(dim=0).to(correct.dtype)
    never = float(correct.shape[0]) if never_learnt is None else never_learnt
    events = torch.where((correct == 1).any(dim=0), events, never)
    return torch.where(seen(correct).any(dim=0), events, torch.nan)


def changed_predictions(pred: Float[Tensor, "epoch sample"]) -> Float[Tensor, "epoch sample"]:
    """Mark changes of prediction: 1 where it differs from the one seen before, 0 where not, NaN without one."""
    before = _previous(pred)
    return torch.where(before.isnan() | pred.isnan(), torch.nan, (before != pred).to(pred.dtype))


def prediction_changes(pred: Float[Tensor, "epoch sample"]) -> Float[Tensor, " sample"]:
    """Count how often a sample's prediction changed between seen epochs; high is suspicious (LabelWave, 2502.07551)."""
    return torch.where(seen(pred).any(dim=0), changed_predictions(pred).nansum(dim=0), torch.nan)
