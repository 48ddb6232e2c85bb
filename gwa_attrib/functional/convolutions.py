"""Per-sample gradients of a convolution's kernel, and their norms, for every geometry and number of dimensions.

Two exact ways. *Grouped*: a convolution whose groups are the samples has the per-sample gradients as its weight
gradient, so that the library's own kernel forms them, at about the cost of the ordinary weight gradient and without
the products between channels that a depthwise kernel never uses. *Gram*: ``‖Σ_p δ_p patch_pᵀ‖² =
Σ_{p,q} (patch_p·patch_q)(δ_p·δ_q)``, where the Gram matrix of the patches is a sum of shifted Gram matrices of the
pixels: patches are never unfolded. It is less work where positions are few.
"""

from collections.abc import Sequence
from itertools import product
from math import prod
from types import EllipsisType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gwa_attrib.functional.chunking import chunks
from gwa_attrib.functional.outer_products import MEMORY_PRICE

WRITING_PRICE = 70
"""The cost of writing out one number of a per-sample kernel and reading it, in multiply-adds: measured on CPUs."""


class Geometry(NamedTuple):
    """The way of a convolution over its input; one entry per spatial dimension."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    padding: tuple[int, ...] = ()
    """Zeros on both sides; () for none."""
    transposed: bool = False
    output_padding: tuple[int, ...] = ()


def kernel_gradient(
    x: Float[Tensor, "sample image channel *space"],
    delta: Float[Tensor, "sample image output *space_out"],
    geometry: Geometry,
) -> Float[Tensor, "sample ..."]:
    """Form each sample's gradient of the kernel, ``[sample, *kernel.shape]``; summed over `image`."""
    n, images, c_in = x.shape[:3]
    c_out, dims = delta.shape[2], len(geometry.kernel)
    first, second = (c_in, c_out) if geometry.transposed else (c_out, c_in)
    shape = (first, second // geometry.groups, *geometry.kernel)
    if not x.numel() or not delta.numel():
        return x.new_zeros(n, *shape)
    none = (0,) * dims
    stacked_x = x.transpose(0, 1).reshape(images, n * c_in, *x.shape[3:])
    stacked_delta = delta.transpose(0, 1).reshape(images, n * c_out, *delta.shape[3:])
    _, gradient, _ = torch.ops.aten.convolution_backward(
        stacked_delta,
        stacked_x,
        x.new_empty(n * shape[0], *shape[1:]),
        None,
        geometry.stride,
        geometry.padding or none,
        geometry.dilation,
        geometry.transposed,
        geometry.output_padding or none,
        n * geometry.groups,
        [False, True, False],
    )
    result: Tensor = gradient.view(n, *shape)
    return result


def kernel_squared_norm(
    x: Float[Tensor, "sample channel *space"],
    delta: Float[Tensor, "sample output *space_out"],
    geometry: Geometry,
) -> Float[Tensor, " sample"]:
    """Return the squared norm of each sample's kernel gradient through the Gram matrices of the positions.

    One image a sample, no groups, not transposed; `x` already padded.
    """
    if geometry.kernel == (1,) * len(geometry.kernel):
        x = _at(x, [slice(0, None, s) for s in geometry.stride])
        x = _at(x, [slice(0, size) for size in delta.shape[2:]])
        geometry = geometry._replace(stride=(1,) * len(geometry.stride))
    pixels, positions = x.shape[2:], delta.shape[2:]
    result = x.new_empty(len(x))
    for part in chunks(len(x), pixels.numel() ** 2 + positions.numel() ** 2, x.device):
        a, b = x[part].flatten(2), delta[part].flatten(2)
        pixel_gram = torch.bmm(a.transpose(1, 2), a).view(-1, *pixels, *pixels)
        patch_gram = _sum_of_shifts(pixel_gram, positions, geometry)
        result[part] = (patch_gram * torch.bmm(b.transpose(1, 2), b).view_as(patch_gram)).flatten(1).sum(dim=1)
    # A sum of signed products may fall below zero by rounding, and its root would be NaN.
    return result.clamp_min_(0.0)


def _sum_of_shifts(pixel_gram: Tensor, positions: torch.Size, geometry: Geometry) -> Tensor:
    """Sum the Gram matrix of the patches ``[sample, *positions, *positions]`` from that of the pixels."""
    first, *others = windows(geometry, positions)
    if not others:
        return pixel_gram
    total = pixel_gram[(slice(None), *first, *first)].clone()
    for window in others:
        total += pixel_gram[(slice(None), *window, *window)]
    return total


def _at(x: Tensor, where: Sequence[slice]) -> Tensor:
    """Take a part of the last dimensions."""
    index: tuple[EllipsisType | slice, ...] = (..., *where)
    return x[index]


def windows(geometry: Geometry, positions: torch.Size) -> list[tuple[slice, ...]]:
    """List, for each tap of the kernel, the pixels that it meets at the output positions."""
    axes = zip(geometry.kernel, geometry.dilation, geometry.stride, positions, strict=True)
    starts = ([slice(tap * d, tap * d + s * (size - 1) + 1, s) for tap in range(k)] for k, d, s, size in axes)
    return list(product(*starts))


def gram_is_less_work(
    channels: int, outputs: int, pixels: int, positions: int, geometry: Geometry, *, saves: bool = False
) -> bool:
    """Tell whether the Gram form is expected to be faster; `pixels` of the padded input, `positions` of the output.

    `saves`: forming the gradients saves the ordinary weight gradient, which is their sum.
    """
    if geometry.groups != 1 or geometry.transposed:
        return False
    taps = prod(geometry.kernel)
    pixels = positions if taps == 1 else pixels
    by_gram = pixels**2 * channels + positions**2 * (outputs + MEMORY_PRICE * (taps + 2))
    by_gradient = taps * channels * outputs * (WRITING_PRICE + (0 if saves else positions))
    return by_gram < by_gradient


def depthwise_gradient(
    x: Float[Tensor, "sample image channel *space"],
    delta: Float[Tensor, "sample image channel *space_out"],
    geometry: Geometry,
) -> Float[Tensor, "sample channel ..."]:
    """Form `kernel_gradient` of a convolution with one channel a group.

    The gradient is itself a depthwise convolution, of the input with δ as its kernel (stride and dilation change
    places): a forward pass, which libraries run many times faster than the weight gradient of a large kernel.
    """
    convolve = (F.conv1d, F.conv2d, F.conv3d)[len(geometry.kernel) - 1]
    maps = x.shape[:3].numel()
    gradient = convolve(
        x.reshape(1, maps, *x.shape[3:]),
        delta.reshape(maps, 1, *delta.shape[3:]),
        padding=geometry.padding or 0,
        stride=geometry.dilation,
        dilation=geometry.stride,
        groups=maps,
    )
    # Where the stride leaves pixels over at the end, there come more taps than the kernel has.
    gradient = _at(gradient, [slice(0, k) for k in geometry.kernel])
    return gradient.reshape(*x.shape[:3], 1, *geometry.kernel).sum(dim=1)


def unfolded_gradient(
    x: Float[Tensor, "sample channel *space"],
    delta: Float[Tensor, "sample output *space_out"],
    geometry: Geometry,
) -> Float[Tensor, "sample output channel ..."]:
    """Form `kernel_gradient` from unfolded patches, for one image a sample and no groups; `x` already padded.

    Faster than the grouped kernel where channels are few, as at the first layer.
    """
    patches = torch.stack([_at(x, window) for window in windows(geometry, delta.shape[2:])], dim=2)
    gradient = torch.bmm(delta.flatten(2), patches.flatten(3).flatten(1, 2).transpose(1, 2))
    return gradient.view(len(x), delta.shape[1], x.shape[1], *geometry.kernel)


def pad(x: Tensor, amounts: tuple[int, ...], mode: str) -> Tensor:
    """Pad the spatial dimensions as a convolution with this `padding_mode` does."""
    if not any(amounts):
        return x
    return F.pad(x, amounts, mode="constant" if mode == "zeros" else mode)
