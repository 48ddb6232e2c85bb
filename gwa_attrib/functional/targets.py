"""Targets as distributions over classes, and the residual of the cross-entropy: ∂loss/∂logits of one sample."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gwa_attrib.functional.tolerances import HALF_TYPES

Targets = Int[Tensor, " sample"] | Float[Tensor, "sample class"]


def full_precision(x: Tensor) -> Tensor:
    """Return bfloat16 and float16 as float32, and float32 and float64 as they are."""
    return x.float() if x.dtype in HALF_TYPES else x


def target_distribution(
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"],
    num_classes: int,
    *,
    label_smoothing: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "sample class"]:
    """Return class indices, or distributions over classes, as smoothed distributions: ``(1-s)·y + s/classes``.

    Indices out of range count as the nearest class, so that nothing waits for the device here: check them elsewhere.
    """
    if targets.dim() == 1:
        index = targets.long().clamp(0, num_classes - 1).unsqueeze(1)
        zeros = torch.zeros(len(targets), num_classes, dtype=dtype, device=targets.device)
        distribution = zeros.scatter(1, index, 1.0)
    else:
        distribution = targets.to(dtype)
    if label_smoothing:
        distribution = distribution * (1.0 - label_smoothing) + label_smoothing / num_classes
    return distribution


def hard_labels(targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"]) -> Int[Tensor, " sample"]:
    """Return the class index of each sample; of a soft target its likeliest class."""
    return targets if targets.dim() == 1 else targets.argmax(dim=1)


def residual(
    logits: Float[Tensor, "sample class"],
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"],
    *,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " class"] | None = None,
) -> Float[Tensor, "sample class"]:
    """Return the gradient of each sample's own cross-entropy in its logits: ``softmax(z) - y`` in the plain case.

    With class weights ``w`` the loss of a sample is ``-Σ_c w_c y_c log p_c`` (torch's definition, before the batch
    reduction), whose gradient is ``(Σ_c w_c y_c)·p - w∘y``. Never divided by the batch size; exact also where the
    model is sure.
    """
    logits = full_precision(logits)
    distribution = target_distribution(targets, logits.shape[1], label_smoothing=label_smoothing, dtype=logits.dtype)
    weighted = distribution if class_weight is None else distribution * class_weight.to(logits.dtype)
    probabilities = logits.softmax(dim=1)
    others = weighted.sum(dim=1, keepdim=True) - weighted
    return probabilities * others - weighted * complement(probabilities)


def complement(probabilities: Float[Tensor, "sample class"]) -> Float[Tensor, "sample class"]:
    """Return ``1 - p``, to full relative precision: of the likeliest class it is the sum of all others.

    Where a model is sure, ``1 - p`` itself is rounding error, and a residual made of it points anywhere.
    """
    likeliest = probabilities.argmax(dim=1, keepdim=True)
    rest = probabilities.scatter(1, likeliest, 0.0).sum(dim=1, keepdim=True)
    return (1.0 - probabilities).scatter(1, likeliest, rest)


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """The settings of the cross-entropy that a model is trained with, as torch's own takes them."""

    label_smoothing: float = 0.0
    class_weight: Tensor | None = None
    """One weight per class; None weighs all alike."""

    def of(self, logits: Tensor, targets: Tensor) -> "BatchLoss":
        """Return the loss of one batch."""
        return BatchLoss(self, logits, targets)


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """The cross-entropy of one batch: its targets as distributions and its residual, each made once, when first read.

    Whoever looks at a batch gets this one value, so that all of them see the same residual.
    """

    settings: CrossEntropy
    logits: Float[Tensor, "sample class"]
    """The head's output as it came, perhaps in half precision."""
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"]

    @cached_property
    def full_logits(self) -> Float[Tensor, "sample class"]:
        """The logits in full precision."""
        return full_precision(self.logits)

    @cached_property
    def given(self) -> Float[Tensor, "sample class"]:
        """The targets as distributions, before label smoothing."""
        return target_distribution(self.targets, self.logits.shape[1], dtype=self.full_logits.dtype)

    @cached_property
    def distribution(self) -> Float[Tensor, "sample class"]:
        """The targets as the loss sees them, with label smoothing."""
        return target_distribution(
            self.given,
            self.logits.shape[1],
            label_smoothing=self.settings.label_smoothing,
            dtype=self.full_logits.dtype,
        )

    @cached_property
    def residual(self) -> Float[Tensor, "sample class"]:
        """The gradient of each sample's own loss with respect to its logits: see `residual`."""
        return residual(self.full_logits, self.distribution, class_weight=self.settings.class_weight)
