"""A gradient or a weight of length zero has no direction: NaN, never a number."""

import pytest
import torch
from torch import Tensor

from gwa_attrib.functional import gwa, head_alignment, head_gradient, observe, residual

H, W, Y = torch.randn(4, 3), torch.randn(5, 3), torch.tensor([0, 1, 2, 3])


def _alignment(features: Tensor, weight: Tensor, targets: Tensor = Y) -> Tensor:
    return head_alignment(features, features @ weight.T, targets, weight)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_sample_with_zero_features_is_nan_and_the_others_are_not(dtype: torch.dtype) -> None:
    features = H.clone().index_fill_(0, torch.tensor([1, 3]), 0.0)
    found = _alignment(features.to(dtype), W.to(dtype))
    assert found.isnan().tolist() == [False, True, False, True]


def test_zero_weights_are_nan() -> None:
    assert _alignment(H, torch.zeros_like(W)).isnan().all()


def test_a_single_class_has_no_gradient() -> None:
    assert _alignment(H, W[:1], torch.zeros(4, dtype=torch.int64)).isnan().all()


def test_a_soft_target_equal_to_the_prediction_is_nan() -> None:
    logits = torch.zeros(1, 4)
    weight = torch.tensor([[1.0], [1.0], [1.0], [1.0]])
    target = torch.full((1, 4), 0.25)
    assert head_alignment(torch.zeros(1, 1) + 2.0, logits, target, weight).isnan().all()


def test_a_loss_of_exactly_zero_is_nan() -> None:
    """In float64 a lead of 1000 leaves no probability to the others."""
    logits = torch.tensor([[1000.0, 0.0]], dtype=torch.float64)
    found = head_alignment(logits, logits, torch.tensor([0]), torch.eye(2, dtype=torch.float64))
    assert found.isnan().all()


def test_the_norm_and_the_product_of_a_zero_gradient_are_zero() -> None:
    zero = torch.zeros(1, 3)
    found = head_gradient(residual(zero @ W.T, Y[:1]), zero, zero @ W.T, W)
    assert (found.dot.item(), found.norm.item()) == (0.0, 0.0)


def test_no_samples_give_no_values() -> None:
    found = observe(H[:0], H[:0] @ W.T, Y[:0], W)
    assert all(len(column) == 0 for column in found)


def test_gwa_of_equal_alignments_is_nan() -> None:
    assert torch.tensor(gwa(torch.full((10,), 0.3))).isnan()


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e-20, 1e-18, 1e-10, 1e10, 1e18, 1e20, 1e22])
def test_where_squares_leave_float32_the_direction_is_right_or_nan(scale: float) -> None:
    r = residual(H @ W.T, Y)
    expected = head_gradient(r, H, H @ W.T, W).alignment
    found = head_gradient(r, H * scale, H @ W.T * scale, W).alignment
    wrong = ~found.isnan() & ((found - expected).abs() > 1e-3)
    assert not wrong.any(), (found, expected)
