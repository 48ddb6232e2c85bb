"""The affine part of normalisation layers: of each sample, sums of δ·x̂ and of δ over the positions."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gwa_attrib.gradients.rules.rule import Gradients, Operands, Rule, layer_rules

BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)


def layer_norm(module: nn.LayerNorm, operands: Operands) -> Gradients:
    """Form the gradients of weight and bias; positions are summed."""
    normalized = F.layer_norm(operands.x, module.normalized_shape, eps=module.eps)
    return {"weight": (operands.delta * normalized).sum(dim=1), "bias": operands.delta.sum(dim=1)}


def rms_norm(module: nn.RMSNorm, operands: Operands) -> Gradients:
    """Form the gradient of the weight; positions are summed."""
    normalized = F.rms_norm(operands.x, list(module.normalized_shape), eps=module.eps)
    return {"weight": (operands.delta * normalized).sum(dim=1)}


def saved_statistics(node: Any) -> tuple[Tensor, ...]:
    """Read mean and 1/σ of each group ``[image, group]`` that the forward pass computed; () in half precision."""
    if node is None or node.name() != "NativeGroupNormBackward0":
        return ()
    mean, rstd = node._saved_result1.detach(), node._saved_result2.detach()
    return (mean, rstd) if mean.dtype in (torch.float32, torch.float64) else ()


def group_norm(module: nn.GroupNorm, operands: Operands) -> Gradients:
    """Form the gradients of weight and bias, as `per_channel` does.

    With the statistics at hand, from Σ δ·x and Σ δ alone: ``(Σ δx - mean·Σ δ) / σ``.
    """
    if not operands.statistics:
        return per_channel(group_normalized)(module, operands)
    samples, images, channels = operands.x.shape[:3]
    grouped = samples, images, module.num_groups, channels // module.num_groups, -1
    x, delta = operands.x.reshape(grouped), operands.delta.reshape(grouped)
    mean, rstd = (t.to(x.dtype).unsqueeze(3) for t in operands.statistics)
    total = delta.sum(dim=4)
    weight = ((x * delta).sum(dim=4) - mean * total) * rstd
    return {"weight": weight.flatten(2).sum(dim=1), "bias": total.flatten(2).sum(dim=1)}


def per_channel(normalize: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Operands], Gradients]:
    """Make a gradient function for inputs ``[sample, image, channel, *space]``, normalised image by image."""

    def gradient(module: nn.Module, operands: Operands) -> Gradients:
        x, delta = operands.x, operands.delta.flatten(3) if operands.delta.dim() > 3 else operands.delta.unsqueeze(3)
        normalized = normalize(module, x.flatten(0, 1)).view_as(delta)
        return {"weight": (delta * normalized).sum(dim=3).sum(dim=1), "bias": delta.sum(dim=3).sum(dim=1)}

    return gradient


def group_normalized(module: nn.GroupNorm, x: Tensor) -> Tensor:
    """Normalise by groups, without the affine part."""
    return F.group_norm(x, module.num_groups, eps=module.eps)


def instance_normalized(module: nn.modules.instancenorm._InstanceNorm, x: Tensor) -> Tensor:
    """Normalise without the affine part; by stored statistics where the layer uses them."""
    if module.track_running_stats and not module.training:
        return stored_normalized(module, x)
    return F.instance_norm(x, eps=module.eps)


def stored_normalized(module: Any, x: Tensor) -> Tensor:
    """Normalise by the running mean and variance."""
    mean, var = module.running_mean.to(x.dtype), module.running_var.to(x.dtype)
    return F.batch_norm(x, mean, var, eps=module.eps)


def event_of_instance(module: nn.modules.instancenorm._InstanceNorm, x: Tensor) -> int:
    """Count channels and space; one dimension more is the samples."""
    kinds = ((nn.InstanceNorm1d, 2), (nn.InstanceNorm2d, 3), (nn.InstanceNorm3d, 4))
    return next(dimensions for kind, dimensions in kinds if isinstance(module, kind))


def event_of_channels(module: nn.Module, x: Tensor) -> int:
    """Count all dimensions but the first: channels and space."""
    return x.dim() - 1


@layer_rules.register("layer norm", source="exact")
def layer_norm_rule() -> Rule:
    """Sums over the positions of the gradient times the normalised input."""
    return Rule(kinds=(nn.LayerNorm,), gradient=layer_norm, event=lambda module, x: len(module.normalized_shape))


@layer_rules.register("RMS norm", source="exact")
def rms_norm_rule() -> Rule:
    """Sums over the positions of the gradient times the normalised input."""
    return Rule(kinds=(nn.RMSNorm,), gradient=rms_norm, event=lambda module, x: len(module.normalized_shape))


@layer_rules.register("group norm", source="exact")
def group_norm_rule() -> Rule:
    """Sums over the positions of the gradient times the normalised input."""
    return Rule(kinds=(nn.GroupNorm,), gradient=group_norm, event=event_of_channels, statistics=saved_statistics)


@layer_rules.register("instance norm", source="exact")
def instance_norm_rule() -> Rule:
    """Sums over the positions of the gradient times the normalised input."""
    kinds = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    return Rule(
        kinds=kinds,
        gradient=per_channel(instance_normalized),
        event=event_of_instance,
    )


@layer_rules.register("frozen batch norm", source="exact")
def batch_norm_rule() -> Rule:
    """In evaluation mode: sums over the positions of the gradient times the input, normalised by stored statistics."""
    return Rule(kinds=BATCH_NORMS, gradient=per_channel(stored_normalized), event=event_of_channels)


def mixes_samples(module: nn.Module) -> bool:
    """Tell whether a batch norm uses the statistics of the batch, so that each sample's loss depends on the others."""
    if not isinstance(module, BATCH_NORMS):
        return False
    return module.training or module.running_mean is None or module.running_var is None
