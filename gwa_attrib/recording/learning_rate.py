"""How an optimizer moves a parameter: its learning rate, and what kind of step it takes."""

from typing import Any

import torch
from torch import Tensor


def learning_rate(optimizer: torch.optim.Optimizer | None, weight: Tensor) -> float:
    """Of the parameter group that holds `weight`; NaN without an optimizer."""
    for group in optimizer.param_groups if optimizer else ():
        if any(parameter is weight for parameter in group["params"]):
            return float(group["lr"])
    return float("nan")


def optimizer_facts(optimizer: torch.optim.Optimizer | None, weight: Tensor) -> dict[str, Any] | None:
    """Its name, and momentum and weight decay of the group that holds `weight`, if it has them; None without one."""
    if optimizer is None:
        return None
    facts: dict[str, Any] = {"name": type(optimizer).__name__}
    for group in optimizer.param_groups:
        if any(parameter is weight for parameter in group["params"]):
            facts |= {name: float(group[name]) for name in ("momentum", "weight_decay") if name in group}
    return facts
