"""Distances between batch gradients: zero for equal batches, and the closed form of a linear model."""

import itertools
import math

import pytest
import torch

from gwa_attrib.functional.feature_geometry import gradient_disparity, rescaled_loss


def test_equal_batches() -> None:
    assert gradient_disparity(torch.rand(7).expand(5, 7)) == 0.0


def test_is_the_mean_over_all_pairs() -> None:
    gradients = torch.randn(5, 11)
    pairs = [math.dist(a, b) for a, b in itertools.combinations(gradients.tolist(), 2)]
    assert len(pairs) == 10
    assert float(gradient_disparity(gradients)) == pytest.approx(sum(pairs) / 10, rel=1e-5)


def test_of_one_batch_there_is_none() -> None:
    assert gradient_disparity(torch.randn(1, 4)).isnan()


def test_of_least_squares_it_is_the_difference_of_the_normal_equations() -> None:
    """The gradient of a batch's mean (x·w - y)²/2 is mean x (x·w - y)."""
    w = torch.randn(3, dtype=torch.float64, requires_grad=True)
    batches = [(torch.randn(8, 3, dtype=torch.float64), torch.randn(8, dtype=torch.float64)) for _ in range(2)]
    found = torch.stack([torch.autograd.grad(((x @ w - y).square() / 2).mean(), w)[0] for x, y in batches])
    closed = [x.T @ (x @ w.detach() - y) / 8 for x, y in batches]
    torch.testing.assert_close(gradient_disparity(found), (closed[0] - closed[1]).norm())


def test_the_rescaled_loss_has_the_deviation_in_its_graph() -> None:
    losses = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    loss = rescaled_loss(losses)
    assert float(loss.detach()) == pytest.approx((7 / 3) / torch.tensor([1.0, 2.0, 4.0]).std().item())
    assert torch.autograd.gradcheck(rescaled_loss, losses)
    (gradient,) = torch.autograd.grad(loss, losses)
    assert float((gradient * losses.detach()).sum()) == pytest.approx(0.0, abs=1e-12)  # the quotient has no scale
