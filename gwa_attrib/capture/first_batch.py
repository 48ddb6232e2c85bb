"""What is checked on the first batch: that the head is linear, and that the loss is the one the closed form assumes."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.capture.head import HeadBatch
from gwa_attrib.errors import HeadError, LossMismatchError
from gwa_attrib.functional.alignment import linear_deviation
from gwa_attrib.functional.targets import full_precision, residual

LINEAR_TOLERANCE = 1e-3
DIRECTION_TOLERANCE = 1e-2
HALF_PRECISION_TOLERANCE = 1e-1


def direction_deviation(
    expected: Float[Tensor, "sample class"], grad: Float[Tensor, "sample class"]
) -> Float[Tensor, ""]:
    """Largest distance between the unit vectors along the two gradients of the logits; 0 is equal, 2 is opposite.

    Samples whose residual is tiny (its direction is rounding), or that got no gradient at all, are left out.
    """
    r, g = full_precision(expected), full_precision(grad).to(expected.dtype)
    norm_r, norm_g = r.norm(dim=1, keepdim=True), g.norm(dim=1, keepdim=True)
    counts = (norm_r > 1e-2 * norm_r.amax()) & (norm_g > 0)
    distance = (r / norm_r - g / norm_g).norm(dim=1, keepdim=True)
    return torch.where(counts, distance, 0.0).amax()


def check_first_batch(batch: HeadBatch, targets: Tensor, **loss: Any) -> None:
    """Compare the batch with what the closed form assumes; one transfer from the device. `loss` as for `residual`.

    Raises:
        HeadError: the head does not compute W h + b.
        LossMismatchError: the gradient that reached the logits is not that of the cross-entropy.
    """
    grad = batch.logits_grad
    if grad is None or not batch.logits.numel():
        return
    half = batch.logits.dtype in (torch.bfloat16, torch.float16)
    deviations = (
        linear_deviation(batch.features, batch.logits, batch.weight, batch.bias),
        direction_deviation(residual(batch.logits, targets, **loss), grad),
    )
    linear, direction = torch.stack(deviations).tolist()
    if not linear <= (HALF_PRECISION_TOLERANCE if half else LINEAR_TOLERANCE):
        raise HeadError(
            expected=f"the head {batch.name!r} to compute W h + b",
            found=f"an output that deviates from it by {linear:.2g} of the largest logit",
            todo="A head that normalises or scales is not linear in its weight: name another layer with head=....",
        )
    if not direction <= (HALF_PRECISION_TOLERANCE if half else DIRECTION_TOLERANCE):
        twice = direction_deviation(_residual_of_softmax_twice(batch.logits, targets), grad).item()
        hint = " and fits a softmax that is applied twice" if twice < HALF_PRECISION_TOLERANCE else ""
        raise LossMismatchError(
            expected=f"the loss to be the cross-entropy of the targets and the output of {batch.name!r}",
            found=f"a gradient at that output whose direction differs by {direction:.2g}{hint}",
            todo="Check, in this order: the targets given to step() are those of the loss, in the same order; "
            "label_smoothing= and class_weight= are passed to gwa.record() as to the loss; no softmax, temperature or "
            "dropout follows the head inside the model (cross_entropy takes raw logits); the loss is cross-entropy and "
            "has no further term on the logits.",
        )


def _residual_of_softmax_twice(logits: Tensor, targets: Tensor) -> Tensor:
    """Gradient of cross_entropy(softmax(z), y) with respect to z: what a model that ends in a softmax is trained on."""
    with torch.enable_grad():
        z = full_precision(logits).detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(z.softmax(dim=1), targets, reduction="sum")
        return torch.autograd.grad(loss, z)[0]
