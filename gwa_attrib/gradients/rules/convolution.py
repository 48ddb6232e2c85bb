"""Convolutions of every geometry: padding modes, strides, dilations, groups, 1 to 3 dimensions, transposed."""

from math import prod

import torch
from torch import Tensor, nn

from gwa_attrib.functional.convolutions import (
    Geometry,
    depthwise_gradient,
    gram_is_less_work,
    kernel_gradient,
    kernel_squared_norm,
    pad,
    unfolded_gradient,
)
from gwa_attrib.gradients.rules.rule import (
    Gradients,
    Operands,
    Part,
    Parts,
    Rule,
    layer_rules,
    own_parameters,
    parts_of_gradients,
    reduce_gradient,
)

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
FEW_CHANNELS = 4
"""Input channels up to which unfolding the patches is faster than a grouped convolution: measured on CPUs."""
FAST_GROUPS = 16
"""Samples in one grouped convolution at most: larger ones fall off their fast path on CPUs."""


def geometry(module: nn.modules.conv._ConvNd) -> Geometry:
    """Return the geometry with the padding that the convolution itself does; any other has to be in the input."""
    own = module.transposed or (module.padding_mode == "zeros" and not isinstance(module.padding, str))
    return Geometry(
        kernel=tuple(module.kernel_size),
        stride=tuple(module.stride),
        dilation=tuple(module.dilation),
        groups=module.groups,
        padding=tuple(module.padding) if own else (0,) * len(module.kernel_size),  # type: ignore[arg-type]
        transposed=module.transposed,
        output_padding=tuple(module.output_padding) if module.transposed else (),
    )


def padded(module: nn.modules.conv._ConvNd, x: Tensor, shape: Geometry) -> tuple[Tensor, Geometry]:
    """Return the input ``[..., channel, *space]`` as the kernel meets it, and the geometry without padding."""
    without = shape._replace(padding=(0,) * len(shape.kernel))
    images = x.flatten(0, -len(shape.kernel) - 2)
    images = pad(images, tuple(module._reversed_padding_repeated_twice), module.padding_mode)
    return images.view(*x.shape[: -len(shape.kernel) - 1], *images.shape[1:]), without


def kernel(module: nn.modules.conv._ConvNd, x: Tensor, delta: Tensor) -> Tensor:
    """Form the per-sample gradients of the kernel, in the fastest of the exact ways."""
    shape = geometry(module)
    if not module.transposed and any(module._reversed_padding_repeated_twice) and not any(shape.padding):
        x, shape = padded(module, x, shape)
    if not module.transposed and module.groups == module.in_channels == module.out_channels and module.groups > 1:
        return depthwise_gradient(x, delta, shape)
    if not module.transposed and module.groups == 1 and module.in_channels <= FEW_CHANNELS and x.shape[1] == 1:
        x, shape = padded(module, x, shape) if any(shape.padding) else (x, shape)
        return unfolded_gradient(x.squeeze(1), delta.squeeze(1), shape)
    return kernel_gradient(x, delta, shape)


def gradient(module: nn.modules.conv._ConvNd, operands: Operands) -> Gradients:
    """Form the gradients of kernel and bias."""
    delta = operands.delta
    gradients = {"weight": kernel(module, operands.x, delta)} if module.weight.requires_grad else {}
    if module.bias is not None:
        gradients["bias"] = delta.sum(dim=(1, *range(3, delta.dim())))
    return gradients


def prefers_gram(module: nn.modules.conv._ConvNd, x: Tensor, out: Tensor, *, saves: bool = False) -> bool:
    """Tell whether norms come from Gram matrices; `x` and `out` are ``[..., channel, *space]``."""
    dims = len(module.kernel_size)
    pad_by = module._reversed_padding_repeated_twice
    sides = [size + pad_by[2 * i] + pad_by[2 * i + 1] for i, size in enumerate(reversed(x.shape[-dims:]))]
    return gram_is_less_work(
        module.in_channels, module.out_channels, prod(sides), out.shape[-dims:].numel(), geometry(module), saves=saves
    )


def norms(module: nn.modules.conv._ConvNd, operands: Operands, sums: Gradients | None = None) -> Parts:
    """Return products and norms through Gram matrices where that is less work, else from the formed gradients."""
    x, delta, out = operands.x, operands.delta, operands.out
    saves = sums is not None
    if x.shape[1] != 1 or not module.weight.requires_grad or not prefers_gram(module, x, delta, saves=saves):
        return parts_of_gradients(RULE, module, operands, most=FAST_GROUPS, sums=sums)
    parts = {}
    bias = own_parameters(module).get("bias")
    if out is None:
        weight = module.weight.detach().to(x.dtype)
        out = torch.unsqueeze(module._conv_forward(x.squeeze(1), weight, None), 1)
    elif module.bias is not None:
        out = out - module.bias.detach().to(out.dtype).view(-1, *[1] * len(module.kernel_size))
    dot = (delta * out).flatten(1).sum(dim=1)
    images, shape = padded(module, x.squeeze(1), geometry(module))
    parts["weight"] = Part(dot, kernel_squared_norm(images, delta.squeeze(1), shape))
    if bias is not None:
        parts["bias"] = reduce_gradient(delta.sum(dim=(1, *range(3, delta.dim()))), bias)
    return parts


KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
RULE = Rule(
    kinds=KINDS,
    gradient=gradient,
    norms=norms,
    event=lambda module, x: 1 + len(module.kernel_size),
    needs_output=prefers_gram,
)


@layer_rules.register("convolution", source="Rochette et al. 2019, 1912.06015; Bu et al. 2022, 2205.10683")
def convolution_rule() -> Rule:
    """Norms from Gram matrices of the positions, or from per-sample kernels formed by a grouped convolution."""
    return RULE
