"""From the parts of single parameters to the groups that are stored."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gwa_attrib.capture.layers.plan import Plan
from gwa_attrib.capture.layers.rule import Part
from gwa_attrib.functional.layer_alignment import GroupGradient, group_gradient


def read_groups(plan: Plan, parts: Mapping[str, Part], scale: Tensor, samples: int) -> GroupGradient:
    """Of the whole first, then of each group of the plan; a parameter without a gradient counts with zero."""
    device = scale.device
    zero = Part(torch.zeros(samples, device=device), torch.zeros(samples, device=device))
    names = list(plan.parameters)
    products = torch.stack([parts.get(name, zero).dot.float() for name in names], dim=1)
    squares = torch.stack([parts.get(name, zero).squared_norm.float() for name in names], dim=1)
    weights = torch.stack([torch.linalg.vector_norm(p.detach().float()) for p in plan.parameters.values()]).square()
    member = membership(plan, device)
    return group_gradient(products @ member, squares @ member, weights @ member, scale.float())


def membership(plan: Plan, device: torch.device) -> Tensor:
    """``[parameter, group]``, 1 where the parameter belongs to it; the first group is the whole."""
    position = {name: row for row, name in enumerate(plan.parameters)}
    matrix = torch.zeros(len(position), 1 + len(plan.groups), device=device)
    matrix[:, 0] = 1.0
    for column, members in enumerate(plan.groups.values(), start=1):
        for name in members:
            matrix[position[name], column] = 1.0
    return matrix
