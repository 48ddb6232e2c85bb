"""A parameter that several layers, or several calls of one layer, use: its gradient is the sum over the uses."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gwa_attrib.functional.chunking import chunks
from gwa_attrib.functional.outer_products import outer_squared_norm
from gwa_attrib.gradients.rules.linear import gradient as linear_gradient
from gwa_attrib.gradients.rules.rule import Operands, Part, Rule


class SharedUse(NamedTuple):
    """One of the uses of a parameter."""

    rule: Rule
    module: nn.Module
    own_name: str
    """Name of the parameter in the module."""
    operands: Operands


def part_of_uses(parameter: Tensor, uses: Sequence[SharedUse]) -> Part:
    """Return product and norm of the sum of the uses' gradients."""
    if all(use.rule.gradient is linear_gradient and use.own_name == "weight" for use in uses):
        return _as_one_sequence(parameter, uses)
    dot, norm = [], []
    samples, device = len(uses[0].operands.x), uses[0].operands.delta.device
    for part in chunks(samples, parameter.numel(), device):
        gradient = gradient_of_uses(uses, part).flatten(1)
        dot.append(gradient @ parameter.detach().to(gradient.dtype).flatten())
        norm.append(gradient.square().sum(dim=1))
    return Part(torch.cat(dot), torch.cat(norm))


def gradient_of_uses(uses: Sequence[SharedUse], part: slice) -> Tensor:
    """Return the per-sample gradients ``[sample, *parameter.shape]`` of some samples."""
    first, *others = (use.rule.gradient(use.module, use.operands.rows(part))[use.own_name] for use in uses)
    return sum(others, start=first)


def _as_one_sequence(weight: Tensor, uses: Sequence[SharedUse]) -> Part:
    """Return product and norm of linear uses side by side: their positions are one longer sequence."""
    x = torch.cat([use.operands.x.flatten(1, -2) for use in uses], dim=1)
    delta = torch.cat([use.operands.delta.flatten(1, -2) for use in uses], dim=1)
    dot = ((x @ weight.detach().to(x.dtype).t()) * delta).sum(dim=(1, 2))
    return Part(dot, outer_squared_norm(x, delta))
