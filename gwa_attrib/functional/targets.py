"""Targets as distributions over classes, and the residual of the cross-entropy: ∂loss/∂logits of one sample."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Targets = Int[Tensor, " sample"] | Float[Tensor, "sample class"]


def full_precision(x: Tensor) -> Tensor:
    """bfloat16 and float16 as float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def target_distribution(
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"],
    num_classes: int,
    *,
    label_smoothing: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "sample class"]:
    """Class indices, or distributions over classes, as smoothed distributions: ``(1-s)·y + s/classes``."""
    hard = targets.dim() == 1
    distribution = F.one_hot(targets.long(), num_classes).to(dtype) if hard else targets.to(dtype)
    if label_smoothing:
        distribution = distribution * (1.0 - label_smoothing) + label_smoothing / num_classes
    return distribution


def hard_labels(targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"]) -> Int[Tensor, " sample"]:
    """The class index of each sample; of a soft target its likeliest class."""
    return targets if targets.dim() == 1 else targets.argmax(dim=1)


def residual(
    logits: Float[Tensor, "sample class"],
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"],
    *,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " class"] | None = None,
) -> Float[Tensor, "sample class"]:
    """Gradient of each sample's own cross-entropy with respect to its logits: ``softmax(z) - y`` in the plain case.

    With class weights ``w`` the loss of a sample is ``-Σ_c w_c y_c log p_c`` (torch's definition, before the batch
    reduction), whose gradient is ``(Σ_c w_c y_c)·p - w∘y``. Never divided by the batch size.
    """
    logits = full_precision(logits)
    distribution = target_distribution(
        targets, logits.shape[1], label_smoothing=label_smoothing, dtype=logits.dtype
    )
    probabilities = logits.softmax(dim=1)
    if class_weight is None:
        return probabilities * distribution.sum(dim=1, keepdim=True) - distribution
    weighted = distribution * class_weight.to(logits.dtype)
    return probabilities * weighted.sum(dim=1, keepdim=True) - weighted
