"""Samples the model is sure of: a float32 softmax rounds their probability to 1; their residual must survive that."""

import math

import pytest
import torch
import torch.nn.functional as F

from gwa_attrib.functional import cross_entropy, head_alignment, margin, observe, residual, target_distribution
from tests import oracles

HUGE = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]])


@pytest.mark.parametrize("lead", [5.0, 10.0, 15.0, 20.0, 30.0, 60.0])
def test_the_residual_of_a_right_answer_is_accurate(lead: float) -> None:
    logits = torch.tensor([[lead, 0.5, -0.25, 0.125]])
    expected = oracles.residual_of_confident(logits[0].tolist(), 0)
    torch.testing.assert_close(residual(logits, torch.tensor([0]))[0], torch.tensor(expected), rtol=1e-5, atol=0)


@pytest.mark.parametrize("lead", [5.0, 10.0, 15.0, 20.0, 30.0, 40.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sure_right_answer_is_aligned_and_a_sure_wrong_one_is_opposed(lead: float, dtype: torch.dtype) -> None:
    """With W the identity: z = h, and z·(-r) is positive exactly when the label is the largest logit."""
    h = torch.tensor([[lead, 2.0, 1.0], [lead, 2.0, 1.0]], dtype=dtype)
    right, wrong = head_alignment(h, h, torch.tensor([0, 1]), torch.eye(3, dtype=dtype)).tolist()
    assert right == pytest.approx(_alignment(h[0].tolist()), rel=1e-4)
    assert wrong < 0 < right


@pytest.mark.parametrize("lead", [45.0, 48.0, 50.0, 52.0, 60.0, 90.0, 110.0])
def test_a_residual_at_the_edge_of_float32_is_right_or_nan(lead: float) -> None:
    h = torch.tensor([[lead, 2.0, 1.0]])
    found = head_alignment(h, h, torch.tensor([0]), torch.eye(3)).item()
    assert math.isnan(found) or found == pytest.approx(_alignment(h[0].tolist()), rel=1e-3)


def _alignment(h: list[float]) -> float:
    """Of a sample of class 0 at the identity, from its exact residual."""
    r = oracles.residual_of_confident(h, 0)
    return -math.fsum(a * b for a, b in zip(r, h, strict=True)) / (math.hypot(*r) * math.hypot(*h) * math.sqrt(len(h)))


@pytest.mark.parametrize("lead", [10.0, 20.0, 30.0])
def test_the_norm_of_a_sure_right_answer_is_accurate(lead: float) -> None:
    h, W = torch.tensor([[lead, 2.0, 1.0]]), torch.eye(3)
    seen = observe(h, h, torch.tensor([0]), W)
    expected = math.hypot(*oracles.residual_of_confident(h[0].tolist(), 0)) * math.hypot(*h[0].tolist())
    assert seen.grad_norm.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes_weighted", [False, True])
def test_huge_logits_leave_no_nan_in_the_loss(label_smoothing: float, classes_weighted: bool) -> None:
    weight = torch.tensor([1.0, 2.0, 0.5]) if classes_weighted else None
    for label in range(3):
        targets = torch.full((len(HUGE),), label)
        y = target_distribution(targets, 3, label_smoothing=label_smoothing)
        expected = F.cross_entropy(HUGE, targets, weight=weight, label_smoothing=label_smoothing, reduction="none")
        torch.testing.assert_close(cross_entropy(HUGE, y, weight), expected, rtol=1e-6, atol=1e-6)


def test_huge_logits_leave_no_nan_in_what_is_observed() -> None:
    """With W the identity every gradient but that of a perfect answer has a direction."""
    seen = observe(HUGE, HUGE, torch.zeros(4, dtype=torch.int64), torch.eye(3))
    assert seen.margin.tolist() == [1e4, -2e4, 0.0, 0.0]
    for name, column in seen._asdict().items():
        undefined = column.isnan()
        assert undefined.any() == (name == "alignment"), name
        assert not undefined[1:].any(), name


def test_a_single_class_has_an_infinite_margin() -> None:
    assert margin(torch.tensor([[3.0]]), torch.tensor([0])).tolist() == [math.inf]
