"""What else passes through a model while it trains, and is no training."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

Pass = Callable[[nn.Module, Tensor], None]


def evaluation(model: nn.Module, x: Tensor) -> None:
    model.eval()
    model(x)
    model.train()


def evaluation_without_grad(model: nn.Module, x: Tensor) -> None:
    model.eval()
    with torch.no_grad():
        model(x)
    model.train()


def no_grad(model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        model(x)


def inference(model: nn.Module, x: Tensor) -> None:
    with torch.inference_mode():
        model(x)


def thrown_away(model: nn.Module, x: Tensor) -> None:
    """Forward in training mode, never backward."""
    model(x)


def saliency(model: nn.Module, x: Tensor) -> None:
    """Gradients of the inputs in evaluation mode."""
    model.eval()
    x = x.clone().requires_grad_()
    torch.autograd.grad(model(x).sum(), x)
    model.train()


def curvature(model: nn.Module, x: Tensor) -> None:
    """Gradients of the parameters in evaluation mode."""
    model.eval()
    torch.autograd.grad(model(x).sum(), list(model.parameters()), allow_unused=True)
    model.train()


def failed(model: nn.Module, x: Tensor) -> None:
    """Out of memory halfway, say."""
    with pytest.raises(RuntimeError):
        model(x[..., :-3])


PASSES = [evaluation, evaluation_without_grad, no_grad, inference, thrown_away, saliency, curvature, failed]
