"""The truth that the tests compare with: each number from its definition, one sample at a time, in float64, in loops.

Nothing here is shared with the package: gradients come from autograd on a batch of one, everything else from Python
arithmetic. Slow, obvious, and read beside the papers named in each docstring.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

# --- one sample's gradient -------------------------------------------------------------------------------------------


def gradients(
    features: Tensor,
    targets: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    class_weight: Tensor | None = None,
) -> list[Tensor]:
    """∂ℓ_i/∂W of each sample's own cross-entropy, by autograd, one batch of one after the other."""
    out = []
    for i in range(len(features)):
        w = weight.detach().double().requires_grad_()
        logits = F.linear(features[i : i + 1].double(), w, None if bias is None else bias.double())
        loss = F.cross_entropy(
            logits,
            _double(targets[i : i + 1]),
            weight=None if class_weight is None else class_weight.double(),
            label_smoothing=label_smoothing,
            reduction="none",
        ).sum()
        out.append(torch.autograd.grad(loss, w)[0])
    return out


def _double(targets: Tensor) -> Tensor:
    return targets.long() if targets.dim() == 1 else targets.double()


def dot(gradient: Tensor, weight: Tensor) -> float:
    """⟨-∂ℓ/∂W, W⟩."""
    return -math.fsum((gradient.double() * weight.double()).flatten().tolist())


def norm(matrix: Tensor) -> float:
    """Euclidean norm of all entries."""
    return math.hypot(*matrix.double().flatten().tolist())


def alignment(gradient: Tensor, weight: Tensor) -> float:
    """cos(-∂ℓ/∂W, W) (Hölzl et al. 2025, 2510.25480); NaN where one of the two has no direction."""
    scale = norm(gradient) * norm(weight)
    return dot(gradient, weight) / scale if scale else math.nan


# --- one sample's signals from its logits ----------------------------------------------------------------------------


def softmax(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    powers = [math.exp(z - top) for z in logits]
    return [power / math.fsum(powers) for power in powers]


def distribution(target: Tensor, classes: int, label_smoothing: float = 0.0) -> list[float]:
    """A class index, or a distribution, smoothed as in Szegedy et al. 2016: (1-s)·y + s/classes."""
    y = target.double().tolist() if target.dim() else [float(c == int(target)) for c in range(classes)]
    return [(1 - label_smoothing) * p + label_smoothing / classes for p in y]


def loss(logits: Sequence[float], y: Sequence[float], class_weight: Sequence[float] | None = None) -> float:
    """-Σ_c w_c y_c log p_c, with log p by the log-sum-exp trick, and 0·log 0 = 0."""
    top = max(logits)
    log_sum = top + math.log(math.fsum(math.exp(z - top) for z in logits))
    weights = class_weight or [1.0] * len(y)
    return math.fsum(w * p * (log_sum - z) for w, p, z in zip(weights, y, logits, strict=True) if p)


def margin(logits: Sequence[float], label: int) -> float:
    """z_y - max_{k≠y} z_k (Pleiss et al. 2020, 2001.10528); without another class there is no rival: infinite."""
    return logits[label] - max((z for c, z in enumerate(logits) if c != label), default=-math.inf)


def el2n(logits: Sequence[float], y: Sequence[float]) -> float:
    """‖softmax(z) - y‖₂ (Paul et al. 2021, 2107.07075)."""
    return math.hypot(*(p - q for p, q in zip(softmax(logits), y, strict=True)))


def residual_of_confident(logits: Sequence[float], label: int) -> list[float]:
    """softmax(z) - y of a hard label, where p_y - 1 is written as -Σ_{k≠y} p_k: exact also when p_y rounds to 1."""
    top = max(logits)
    powers = [math.exp(z - top) for z in logits]
    total = math.fsum(powers)
    others = math.fsum(power for c, power in enumerate(powers) if c != label)
    return [-others / total if c == label else power / total for c, power in enumerate(powers)]


# --- a set of alignments ---------------------------------------------------------------------------------------------


def central_sums(values: Sequence[float]) -> tuple[int, float, float, float, float]:
    """n, mean, and Σ(x-mean)^k for k = 2, 3, 4 of the finite values."""
    x = [v for v in values if math.isfinite(v)]
    if not x:
        return 0, math.nan, 0.0, 0.0, 0.0
    mean = math.fsum(x) / len(x)
    return len(x), mean, *(math.fsum((v - mean) ** k for v in x) for k in (2, 3, 4))


def excess_kurtosis(values: Sequence[float]) -> float:
    """m4 / m2² - 3 with population moments; NaN where all values are equal, or there are fewer than two."""
    x = [v for v in values if math.isfinite(v)]
    if len(x) < 2 or len(set(x)) == 1:
        return math.nan
    n, _, m2, _, m4 = central_sums(x)
    return n * m4 / m2**2 - 3.0


def gwa(values: Sequence[float]) -> float:
    """mean / (excess kurtosis + 1.2)."""
    return central_sums(values)[1] / (excess_kurtosis(values) + 1.2)


# --- one sample's trajectory: its values epoch by epoch, NaN where it was not seen -----------------------------------


def seen(trajectory: Sequence[float]) -> list[float]:
    return [v for v in trajectory if not math.isnan(v)]


def average(trajectory: Sequence[float]) -> float:
    values = seen(trajectory)
    return math.fsum(values) / len(values) if values else math.nan


def variability(trajectory: Sequence[float]) -> float:
    """Population standard deviation (Swayamdipta et al. 2020, 2009.10795)."""
    values = seen(trajectory)
    if not values:
        return math.nan
    mean = average(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def correctness(correct: Sequence[float]) -> float:
    """How many of the seen epochs were right: a count (2009.10795)."""
    values = seen(correct)
    return float(sum(1 for v in values if v == 1)) if values else math.nan


def fraction_negative(trajectory: Sequence[float]) -> float:
    values = seen(trajectory)
    return sum(1 for v in values if v < 0) / len(values) if values else math.nan


def first_epoch_learnt(correct: Sequence[float]) -> float:
    """Index of the first right epoch; infinite if there was none, NaN if the sample was never seen."""
    if not seen(correct):
        return math.nan
    return next((float(epoch) for epoch, v in enumerate(correct) if v == 1), math.inf)


def forgetting_events(correct: Sequence[float], never_learnt: float | None = None) -> float:
    """Steps from right to wrong between seen epochs (Toneva et al. 2019, 1812.05159); T for a sample never right."""
    values = seen(correct)
    if not values:
        return math.nan
    if 1 not in values:
        return float(len(correct)) if never_learnt is None else never_learnt
    return float(sum(1 for before, now in pairwise(values) if before == 1 and now == 0))


def changed_predictions(pred: Sequence[float]) -> list[float]:
    """1 or 0 where there is an earlier seen prediction to compare with, else NaN (Yuan et al. 2024, 2502.07551)."""
    out, before = [], math.nan
    for now in pred:
        out.append(math.nan if math.isnan(now) or math.isnan(before) else float(now != before))
        before = before if math.isnan(now) else now
    return out


def prediction_changes(pred: Sequence[float]) -> float:
    return math.fsum(seen(changed_predictions(pred))) if seen(pred) else math.nan


# --- distance of two gradients of the logits --------------------------------------------------------------------------


def angle_distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Distance of the unit vectors along `a` and `b`: 0 is equal, 2 is opposite."""
    length_a, length_b = math.hypot(*a), math.hypot(*b)
    return math.hypot(*(x / length_a - y / length_b for x, y in zip(a, b, strict=True)))
