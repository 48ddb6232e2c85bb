"""Gradient-weight alignment of many layers, from each parameter's product and squared gradient norm.

For parts of the weights the products and the squared norms add up, so that the alignment of a block, or of the whole
network, is ``-Σ⟨∂ℓ/∂θ_k, θ_k⟩ / (√Σ‖∂ℓ/∂θ_k‖² · √Σ‖θ_k‖²)`` (Hölzl, Rueckert, Kaissis 2025, 2510.25480).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.functional.tolerances import COMMON_FACTOR, DIRECTION, FACTOR_ROUNDING, HALF_TYPES


class GroupGradient(NamedTuple):
    """The signals of each sample's gradient with respect to each group of parameters."""

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
    scale: Float[Tensor, " sample"],
) -> GroupGradient:
    """Return alignment, product and norm of groups of parameters.

    Args:
        product: ``⟨∂ℓ/∂θ, θ⟩``, times `scale`.
        squared_norm: ``‖∂ℓ/∂θ‖²``, times `scale` squared.
        weight_squared_norm: ``‖θ‖²``.
        scale: What each sample's gradient is multiplied with: one over the batch size for a mean, a loss scale, a
            weight of the sample; NaN where its direction is not known.
    """
    scale = scale.unsqueeze(1)
    # Below zero by rounding, where a Gram matrix was summed.
    norm = squared_norm.clamp_min(0.0).sqrt()
    size = norm * weight_squared_norm.sqrt()
    known = (size > 0) & size.isfinite() & product.isfinite() & scale.isfinite()
    # A loss that is turned around, for gradient ascent, has a negative factor.
    direction = torch.where(scale < 0, -1.0, 1.0)
    alignment = torch.where(known, (-direction * product / size).clamp(-1.0, 1.0), torch.nan)
    dot = torch.where(product.isfinite(), -product / scale, torch.nan)
    return GroupGradient(alignment, dot, torch.where(norm.isfinite(), norm / scale.abs(), torch.nan))


def sample_scales(
    expected: Float[Tensor, "sample class"], found: Float[Tensor, "sample class"]
) -> Float[Tensor, " sample"]:
    """Return the factor between the gradient of each sample's logits in a batch and the sample's own, `expected`.

    The same for all (least squares over the batch) but for samples that the loss weights. NaN where `found` does not
    point along `expected`: where the model is sure, autograd's ``softmax(z) - y`` is rounding, and so is all below it.
    """
    half = found.dtype in HALF_TYPES
    found = found.to(expected.dtype)
    own = (found * expected).sum(dim=1) / expected.square().sum(dim=1)
    common = (found * expected).sum() / expected.square().sum()
    size = torch.linalg.vector_norm(expected, dim=1)
    unit = expected / size.unsqueeze(1)
    distance = torch.linalg.vector_norm(found / torch.linalg.vector_norm(found, dim=1, keepdim=True) - unit, dim=1)
    rounding = COMMON_FACTOR.half if half else COMMON_FACTOR.full + FACTOR_ROUNDING / size
    scale = torch.where((own / common - 1.0).abs() <= rounding, common, own)
    return torch.where(distance < DIRECTION.at(half), scale, torch.nan)
