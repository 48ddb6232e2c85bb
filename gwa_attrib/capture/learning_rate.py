"""The learning rate with which an optimizer moves a parameter."""

import torch
from torch import Tensor


def learning_rate(optimizer: torch.optim.Optimizer | None, weight: Tensor) -> float:
    """Of the parameter group that holds `weight`; NaN without an optimizer."""
    for group in optimizer.param_groups if optimizer else ():
        if any(parameter is weight for parameter in group["params"]):
            return float(group["lr"])
    return float("nan")
