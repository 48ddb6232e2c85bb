"""Checks now and then while recording: that the head is linear, and that the loss is the one assumed.

The gradient that came back to the head's output is compared with the residual that the closed form computes. Batches
with near-uniform predictions cannot tell losses apart, so one batch is not enough: `due` names the batches to look at.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.errors import HeadError, LossMismatchError
from gwa_attrib.functional.alignment import linear_deviation
from gwa_attrib.functional.targets import BatchLoss, full_precision, residual
from gwa_attrib.functional.tolerances import DIRECTION, HALF_TYPES, HEAD_IS_LINEAR, SHORTEST_RESIDUAL, SHORTEST_SHARE
from gwa_attrib.recording.head import HeadBatch


def due(step: int, *, first_epoch: bool) -> bool:
    """Tell whether to check the batch `step` (from 0): the first of each epoch, and 1, 2, 4, 8... of the first."""
    return step == 0 or (first_epoch and step & (step - 1) == 0)


def direction_deviation(
    expected: Float[Tensor, "sample class"], grad: Float[Tensor, "sample class"]
) -> Float[Tensor, ""]:
    """Return the largest distance of the unit vectors along two gradients of the logits; 0 is equal, 2 is opposite.

    Left out: samples whose residual is so small that its direction is rounding, and gradients that are zero or not
    finite (a loss scaler that overflowed).
    """
    r, g = full_precision(expected), full_precision(grad).to(expected.dtype)
    norm_r, norm_g = r.norm(dim=1), g.norm(dim=1)
    counts = (norm_r > SHORTEST_RESIDUAL) & (norm_r > SHORTEST_SHARE * norm_r.amax()) & (norm_g > 0) & norm_g.isfinite()
    distance = (r / norm_r.unsqueeze(1) - g / norm_g.unsqueeze(1)).norm(dim=1)
    return torch.where(counts, distance, 0.0).amax()


def measure(batch: HeadBatch, loss: BatchLoss) -> Float[Tensor, " 3"] | None:
    """Measure how far a batch is from a linear head, from the loss, and from the loss of softmax twice.

    In units of the tolerance.

    They stay on the device. None for a batch without rows.
    """
    if batch.logits_grad is None or not batch.logits.numel():
        return None
    half = batch.logits.dtype in HALF_TYPES
    tolerances = (HEAD_IS_LINEAR.at(half), *(DIRECTION.at(half),) * 2)
    deviations = (
        linear_deviation(batch.features, batch.logits, batch.weight, batch.bias),
        direction_deviation(loss.residual, batch.logits_grad),
        direction_deviation(_residual_of_softmax_twice(loss), batch.logits_grad),
    )
    return torch.stack([d / tolerance for d, tolerance in zip(deviations, tolerances, strict=True)])


def verify(measured: list[Float[Tensor, " 3"]], head: str | None) -> None:
    """Raise if one of the measured batches deviates; one transfer from the device.

    Raises:
        HeadError: the head does not compute W h + b.
        LossMismatchError: the gradient that reached the logits is not that of the cross-entropy.
    """
    for linear, direction, twice in torch.stack(measured).tolist() if measured else ():
        # Asked this way round, NaN is refused too.
        if not linear <= 1.0:
            raise HeadError(
                expected=f"the head {head!r} to compute W h + b",
                found=f"an output that deviates from it, {linear:.3g} times what rounding explains",
                todo="A head that normalises or scales is not linear in its weight: name another layer with head=....",
            )
        if not direction <= 1.0:
            raise LossMismatchError(
                expected=f"the loss to be the cross-entropy of the targets and the output of {head!r}",
                found=f"a gradient at that output of another direction, {direction:.3g} times what rounding explains"
                + (", which fits a softmax applied twice" if twice <= 1.0 else ""),
                todo="Check, in this order: the targets given to step() are those of the loss, in the same order; "
                "label_smoothing= and class_weight= are passed to gwa.record() as to the loss; no softmax, temperature "
                "or dropout follows the head inside the model (cross_entropy takes raw logits); the loss is "
                "cross-entropy and has no further term on the logits.",
            )


def _residual_of_softmax_twice(loss: BatchLoss) -> Tensor:
    """Return the gradient of cross_entropy(softmax(z), y) in z: what a model that ends in a softmax is trained on.

    With p = softmax(z) and s = softmax(p) - y it is (diag(p) - p pᵀ) s.
    """
    p = loss.full_logits.softmax(dim=1)
    s = residual(p, loss.targets)
    return p * (s - (p * s).sum(dim=1, keepdim=True))
