"""Gradients of gradients while layers are recorded: as without recording, or an error that names the cure."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import StepOrderError
from gwa_attrib.gradients import LayerCapture, make_plan
from gwa_attrib.gradients.swap import can_swap
from gwa_attrib.recording.begin import record
from tests.gradients.oracle import assert_same, captured, one_by_one, targets_of


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=2), nn.GroupNorm(2, 4), nn.Tanh(),
        nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3),
    ).double()  # fmt: skip


def hessian_product(model: nn.Module, x: Tensor, *, watched: bool) -> list[Tensor]:
    """Of the loss, with a fixed vector; the graph is made while a capture watches, or not."""
    parameters = list(model.parameters())
    capture = LayerCapture(model, make_plan(model, "all"))
    if watched:
        capture.__enter__()
    loss = F.cross_entropy(model(x), targets_of(len(x)))
    capture.begin(len(x), loss.grad_fn)
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    if watched:
        capture.take()
        capture.__exit__(None, None, None)
    along = [torch.linspace(-1, 1, g.numel(), dtype=g.dtype).view_as(g) for g in first]
    return list(torch.autograd.grad(sum((g * v).sum() for g, v in zip(first, along, strict=True)), parameters))  # type: ignore[arg-type]


def test_a_second_derivative_through_a_recorded_graph_is_that_of_autograd() -> None:
    model, x = network(), torch.randn(5, 2, 10, 10, dtype=torch.float64)
    assert can_swap(model[0], x, model[0](x))
    expected, found = (hessian_product(model, x, watched=watched) for watched in (False, True))
    assert all(value.any() for value in expected)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-12)


def test_a_backward_pass_that_creates_a_graph_is_measured_as_any_other() -> None:
    model, x, targets = network().float(), torch.randn(5, 2, 10, 10), targets_of(5)
    capture = LayerCapture(model, make_plan(model, "all"))
    with capture:
        loss = F.cross_entropy(model(x), targets, reduction="sum")
        capture.begin(5, loss.grad_fn, totals=True)
        torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        parts = capture.take()
        again = captured(model, (x,), targets, capture)
    assert_same(again, one_by_one(model, (x,), targets), model)
    for name, part in parts.items():
        torch.testing.assert_close(part.squared_norm.double().sqrt(), again[name].norm, rtol=1e-5, atol=1e-7)


def penalty(model: nn.Module, x: Tensor) -> Tensor:
    """Squared norm of the gradient of the outputs with respect to the inputs."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).sum(), x, create_graph=True)[0].square().sum()


def test_a_penalty_on_gradients_is_refused_with_a_cure_that_helps(tmp_path: Path) -> None:
    model, x, y = network().float(), torch.randn(6, 2, 10, 10), targets_of(6)
    with record(model, tmp_path / "refused", num_samples=6, layers="all") as recorder:
        x_ = x.clone().requires_grad_()
        loss = F.cross_entropy(model(x_), y)
        gradient = torch.autograd.grad(loss, x_, create_graph=True)[0]
        with pytest.raises(StepOrderError, match=r"create_graph=True.*evaluation mode"):
            (loss + gradient.square().sum()).backward()
    model.zero_grad()
    with record(model, tmp_path / "run", num_samples=6, layers="all") as recorder:
        F.cross_entropy(model(x), y).backward()
        recorder.step(y, sample_ids=range(6))
        model.eval()
        penalty(model, x).backward()
        model.train()
        recorder.end_epoch()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    (F.cross_entropy(model(x), y) + penalty(model, x)).backward()
    for a, b in zip(model.parameters(), found, strict=True):
        torch.testing.assert_close(b, a.grad, rtol=1e-4, atol=1e-6)
