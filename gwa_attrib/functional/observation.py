"""The signals of one sample each time it is seen in training: tensors in, one value per sample out."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gwa_attrib.functional.alignment import head_gradient
from gwa_attrib.functional.targets import BatchLoss, CrossEntropy, hard_labels, residual


class Observation(NamedTuple):
    """One batch, one row per sample. Every field but `pred`, `label` and `top_class` is a float."""

    label: Int[Tensor, " sample"]
    pred: Int[Tensor, " sample"]
    alignment: Float[Tensor, " sample"]
    loss: Float[Tensor, " sample"]
    margin: Float[Tensor, " sample"]
    p_label: Float[Tensor, " sample"]
    el2n: Float[Tensor, " sample"]
    grad_norm: Float[Tensor, " sample"]
    dot: Float[Tensor, " sample"]
    top_class: Int[Tensor, "sample top"]
    top_prob: Float[Tensor, "sample top"]


def cross_entropy(
    logits: Float[Tensor, "sample class"],
    distribution: Float[Tensor, "sample class"],
    class_weight: Float[Tensor, " class"] | None = None,
) -> Float[Tensor, " sample"]:
    """Return ``-Σ_c w_c y_c log softmax(z)_c`` of each sample, in nats; high is suspicious."""
    weighted = distribution if class_weight is None else distribution * class_weight.to(distribution.dtype)
    return -(weighted * logits.log_softmax(dim=1)).sum(dim=1)


def margin(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Return the logit of the label minus the largest other; low is suspicious. Its mean is AUM (2001.10528)."""
    index = labels.long().unsqueeze(1)
    of_label = logits.gather(1, index).squeeze(1)
    return of_label - logits.scatter(1, index, -torch.inf).amax(dim=1)


def el2n(
    logits: Float[Tensor, "sample class"], targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"]
) -> Float[Tensor, " sample"]:
    """Return ``‖softmax(z) - y‖₂`` in [0, √2]; high is suspicious (Paul et al. 2021, 2107.07075)."""
    norm: Tensor = torch.linalg.vector_norm(residual(logits, targets), dim=1)
    return norm


def observe(
    features: Float[Tensor, "sample feature"],
    logits: Float[Tensor, "sample class"],
    targets: Int[Tensor, " sample"] | Float[Tensor, "sample class"],
    weight: Float[Tensor, "class feature"],
    bias: Float[Tensor, " class"] | None = None,
    *,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " class"] | None = None,
    top: int = 5,
) -> Observation:
    """Return all per-sample signals of one batch from the head's input and output; nothing waits for the device.

    `loss`, `alignment`, `dot` and `grad_norm` are of the training loss (with label smoothing and class weights);
    `el2n`, `margin`, `p_label` and `pred` are of the label as given.
    """
    return observe_loss(
        CrossEntropy(label_smoothing, class_weight).of(logits, targets), features, weight, bias, top=top
    )


def observe_loss(
    batch: BatchLoss,
    features: Float[Tensor, "sample feature"],
    weight: Float[Tensor, "class feature"],
    bias: Float[Tensor, " class"] | None = None,
    *,
    top: int = 5,
) -> Observation:
    """Return all per-sample signals of one batch, as `observe` does, from its loss."""
    logits, settings, r = batch.full_logits, batch.settings, batch.residual
    labels = hard_labels(batch.targets)
    # A label that is no class is refused when the epoch ends; here it would stop the device.
    classes = labels.long().clamp(0, logits.shape[1] - 1)
    gradient = head_gradient(r, features, batch.logits, weight, bias)
    probabilities = logits.softmax(dim=1)
    top_prob, top_class = probabilities.topk(min(top, logits.shape[1]), dim=1)
    # Then the residual of the loss is that of the label as given.
    plain = not settings.label_smoothing and settings.class_weight is None
    return Observation(
        label=labels,
        pred=top_class[:, 0],
        alignment=gradient.alignment,
        loss=cross_entropy(logits, batch.distribution, settings.class_weight),
        margin=margin(logits, classes),
        p_label=probabilities.gather(1, classes.unsqueeze(1)).squeeze(1),
        el2n=torch.linalg.vector_norm(r, dim=1) if plain else el2n(logits, batch.given),
        grad_norm=gradient.norm,
        dot=gradient.dot,
        top_class=top_class,
        top_prob=top_prob,
    )
