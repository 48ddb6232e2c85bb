"""From the parts of single parameters to the groups that are stored."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gwa_attrib.capture.layers.plan import Plan
from gwa_attrib.capture.layers.rule import Part
from gwa_attrib.functional.layer_alignment import GroupGradient, group_gradient


def read_groups(plan: Plan, parts: Mapping[str, Part], scale: Tensor) -> GroupGradient:
    """Of the whole first, then of each group of the plan; a parameter without a gradient counts with zero.

    `scale` as for `group_gradient`, ``[sample]``.
    """
    group = {name: column for column, members in enumerate(plan.groups.values(), start=1) for name in members}
    columns = 1 + len(plan.groups)
    product, square = (scale.new_zeros(columns, len(scale), dtype=torch.float32) for _ in range(2))
    weight = torch.zeros(columns, device=scale.device)
    for name, parameter in plan.parameters.items():
        size = torch.linalg.vector_norm(parameter.detach().float()).square()
        for column in (0, group[name]):  # sums of these alone: a NaN elsewhere stays there
            weight[column] += size
            if name in parts:
                product[column] += parts[name].dot
                square[column] += parts[name].squared_norm
    return group_gradient(product.t(), square.t(), weight, scale.float())
