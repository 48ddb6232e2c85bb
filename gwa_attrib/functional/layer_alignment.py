"""Gradient-weight alignment of many layers, from each parameter's product and squared gradient norm.

For parts of the weights the products and the squared norms add up, so that the alignment of a block, or of the whole
network, is ``-Σ⟨∂ℓ/∂θ_k, θ_k⟩ / (√Σ‖∂ℓ/∂θ_k‖² · √Σ‖θ_k‖²)`` (Hölzl, Rueckert, Kaissis 2025, 2510.25480).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class GroupGradient(NamedTuple):
    """Of each sample's gradient with respect to each group of parameters."""

    alignment: Float[Tensor, "sample group"]
    """cos(-∂ℓ/∂θ, θ) in [-1, 1]; low is suspicious; NaN where gradient or weight is exactly zero, or not finite."""
    dot: Float[Tensor, "sample group"]
    """⟨-∂ℓ/∂θ, θ⟩; low is suspicious."""
    norm: Float[Tensor, "sample group"]
    """‖∂ℓ/∂θ‖; high is suspicious."""


def group_gradient(
    product: Float[Tensor, "sample group"],
    squared_norm: Float[Tensor, "sample group"],
    weight_squared_norm: Float[Tensor, " group"],
    scale: Float[Tensor, ""],
) -> GroupGradient:
    """Alignment, product and norm of groups of parameters.

    Args:
        product: ``⟨∂ℓ/∂θ, θ⟩``, times `scale`.
        squared_norm: ``‖∂ℓ/∂θ‖²``, times `scale` squared.
        weight_squared_norm: ``‖θ‖²``.
        scale: What the samples' gradients are multiplied with: one over the batch size for a mean, a loss scale.
    """
    norm = squared_norm.clamp_min(0.0).sqrt()
    size = norm * weight_squared_norm.sqrt()
    known = (size > 0) & size.isfinite() & product.isfinite()
    direction = torch.where(scale < 0, -1.0, 1.0)
    alignment = torch.where(known, (-direction * product / size).clamp(-1.0, 1.0), torch.nan)
    return GroupGradient(alignment, -product / scale, norm / scale.abs())


def common_scale(expected: Float[Tensor, "sample class"], found: Float[Tensor, "sample class"]) -> Float[Tensor, ""]:
    """The factor between the gradients of the logits in a batch and the samples' own: least squares over the batch."""
    return (found * expected).sum() / expected.square().sum()
