"""Gradient-weight alignment of a linear classification head, without a backward pass.

Source: Hölzl, Rueckert, Kaissis, "Gradient-Weight Alignment as a Train-Time Proxy for Generalization in Classification
Tasks", NeurIPS 2025, arXiv 2510.25480. For logits ``z = W h + b`` the gradient of a sample's loss with respect to ``W``
is the outer product ``r hᵀ`` of the residual ``r = ∂ℓ/∂z`` and the features ``h``; hence

    ⟨-∂ℓ/∂W, W⟩ = -r·(W h) = -r·(z - b)      and      ‖∂ℓ/∂W‖ = ‖r‖ ‖h‖.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gwa_attrib.functional.targets import full_precision, residual
from gwa_attrib.functional.tolerances import HALF_TYPES


class HeadGradient(NamedTuple):
    """The signals of each sample's gradient with respect to the head's kernel (bias excluded)."""

    alignment: Float[Tensor, " sample"]
    """cos(-∂ℓ/∂W, W) in [-1, 1]; low is suspicious; NaN where the gradient or the weight is exactly zero."""
    dot: Float[Tensor, " sample"]
    """⟨-∂ℓ/∂W, W⟩; low is suspicious."""
    norm: Float[Tensor, " sample"]
    """‖∂ℓ/∂W‖; high is suspicious."""


def head_gradient(
    residual: Float[Tensor, "sample class"],
    features: Float[Tensor, "sample feature"],
    logits: Float[Tensor, "sample class"],
    weight: Float[Tensor, "class feature"],
    bias: Float[Tensor, " class"] | None = None,
) -> HeadGradient:
    """Return alignment, product with the weights, and norm of each sample's head gradient, from its residual.

    Exact when ``logits = features @ weight.T + bias`` (`linear_deviation` measures it). Half precision inputs are
    taken up to float32; nothing is divided by the batch size.
    """
    half = logits.dtype in HALF_TYPES
    features, logits, weight = full_precision(features), full_precision(logits), full_precision(weight)
    # z - b of rounded logits is rounding error where the bias is large.
    without_bias = features @ weight.T if half else logits - (0.0 if bias is None else full_precision(bias))
    dot = -(residual * without_bias).sum(dim=1)
    norm = row_norm(residual) * row_norm(features)
    scale = norm * torch.linalg.vector_norm(weight)
    # A zero gradient has no direction: NaN, never 0, which would be a value in the middle of the range.
    alignment = torch.where(scale > 0, (dot / scale).clamp(-1.0, 1.0), torch.nan)
    return HeadGradient(alignment, dot, norm)


def row_norm(x: Float[Tensor, "sample column"]) -> Float[Tensor, " sample"]:
    """Return the norm of each row, also where its squares leave the range of the type; 0 for rows without columns."""
    if not x.shape[1]:
        return x.new_zeros(x.shape[0])
    largest = x.abs().amax(dim=1)
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    norm: Tensor = scale * torch.linalg.vector_norm(x / scale.unsqueeze(1), dim=1)
    return norm


def head_alignment(
    features: Float[Tensor, "sample feature"],
    logits: Float[Tensor, "sample class"],
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"],
    weight: Float[Tensor, "class feature"],
    bias: Float[Tensor, " class"] | None = None,
    *,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " class"] | None = None,
) -> Float[Tensor, " sample"]:
    """Return the cosine of each sample's negative loss gradient with the head's weights; low is suspicious.

    Args:
        features: Input of the head, ``h``.
        logits: Output of the head, ``z = W h + b``.
        targets: Class indices, or one distribution over the classes per sample.
        weight: The head's kernel ``W``, as it was when the logits were computed.
        bias: The head's bias; it is taken out of the logits and has no part in the cosine.
        label_smoothing: As in ``torch.nn.functional.cross_entropy``.
        class_weight: As its ``weight`` argument.

    Example:
        A confident right answer is aligned, a confident wrong label is opposed:

        >>> W = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> h = torch.tensor([[3.0, 0.0], [3.0, 0.0]])
        >>> head_alignment(h, h @ W.T, torch.tensor([0, 1]), W)
        tensor([ 0.5000, -0.5000])
    """
    r = residual(logits, targets, label_smoothing=label_smoothing, class_weight=class_weight)
    return head_gradient(r, features, logits, weight, bias).alignment


def linear_deviation(
    features: Float[Tensor, "sample feature"],
    logits: Float[Tensor, "sample class"],
    weight: Float[Tensor, "class feature"],
    bias: Float[Tensor, " class"] | None = None,
) -> Float[Tensor, ""]:
    """Return how far the head is from ``z = W h + b``, relative to the largest logit. 0 is exact.

    About 1e-6 in float32 and 1e-2 in bfloat16 for a linear layer.
    """
    expected = torch.nn.functional.linear(
        full_precision(features), full_precision(weight), None if bias is None else full_precision(bias)
    )
    deviation = (expected - full_precision(logits)).abs().amax()
    return deviation / expected.abs().amax().clamp_min(torch.finfo(expected.dtype).tiny)
