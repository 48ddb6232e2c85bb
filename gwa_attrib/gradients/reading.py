"""The way from the parts of single parameters to the groups that are stored."""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from gwa_attrib.functional.layer_alignment import GroupGradient, group_gradient
from gwa_attrib.gradients.plan import Plan
from gwa_attrib.gradients.rules.rule import Part


def read_groups(plan: Plan, parts: Mapping[str, Part], scale: Tensor) -> GroupGradient:
    """Read the gradient of the whole, then of each group of the plan; a parameter without one counts with zero.

    `scale` as for `group_gradient`, ``[sample]``.
    """
    group = {name: column for column, members in enumerate(plan.groups.values()) for name in members}
    sizes = torch._foreach_norm([p.detach().float() for p in plan.parameters.values()])
    weight = _by_group(torch.stack(sizes).square(), tuple(group[name] for name in plan.parameters), len(plan.groups))
    columns = tuple(group[name] for name in parts)
    product, square = (
        _by_group(torch.stack([part[i].float() for part in parts.values()]), columns, len(plan.groups))
        if parts
        else scale.new_zeros(1 + len(plan.groups), len(scale), dtype=torch.float32)
        for i in range(2)
    )
    return group_gradient(product.t(), square.t(), weight, scale.float())


def _by_group(values: Tensor, columns: tuple[int, ...], groups: int) -> Tensor:
    """Return the sum of all rows, then those of each group: summed alone, so that a NaN stays where it is."""
    sums = values.new_zeros(groups, *values.shape[1:]).index_add_(0, _index(columns, values.device), values)
    return torch.cat([values.sum(dim=0, keepdim=True), sums])


@lru_cache(maxsize=64)
def _index(columns: tuple[int, ...], device: torch.device) -> Tensor:
    """Put the columns on the device once, so that no step waits for them."""
    return torch.tensor(columns, device=device)
