"""The closed form of the head equals autograd on one sample at a time, and obeys the laws of a cosine."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gwa_attrib.functional import HeadGradient, head_alignment, head_gradient, residual
from tests import oracles, properties
from tests.functional.cases import TOLERANCE, HeadCase, head_cases


def _expected(case: HeadCase) -> HeadGradient:
    gradients = oracles.gradients(case.features, case.targets, case.weight, case.bias, **case.loss)
    return HeadGradient(
        *(
            torch.tensor(values, dtype=torch.float64)
            for values in (
                [oracles.alignment(g, case.weight) for g in gradients],
                [oracles.dot(g, case.weight) for g in gradients],
                [oracles.norm(g) for g in gradients],
            )
        )
    )


def _found(case: HeadCase) -> HeadGradient:
    r = residual(case.logits, case.targets, **case.loss)
    return head_gradient(r, case.features, case.logits, case.weight, case.bias)


def _alignment(case: HeadCase):
    """As a function of the samples alone."""

    def of(features: Tensor, targets: Tensor) -> Tensor:
        logits = torch.nn.functional.linear(features, case.weight, case.bias)
        return head_alignment(features, logits, targets, case.weight, case.bias, **case.loss)

    return of


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(data=st.data())
def test_equals_autograd_of_each_sample(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype).filter(lambda case: case.cancellation < 20))
    for found, expected in zip(_found(case), _expected(case), strict=True):
        properties.same(found, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@given(data=st.data())
def test_half_precision_is_taken_up_to_float32(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype, bias_scale=0.0))
    found = _found(case)
    assert found.alignment.dtype == torch.float32
    properties.same(found.alignment, _expected(case).alignment, TOLERANCE[dtype])


@given(case=head_cases())
def test_head_alignment_is_the_alignment_of_head_gradient(case: HeadCase) -> None:
    properties.same(_alignment(case)(case.features, case.targets), _found(case).alignment, 0.0)


@given(case=head_cases(torch.float32))
def test_is_a_cosine(case: HeadCase) -> None:
    properties.in_range(_found(case).alignment, -1.0, 1.0)


@given(case=head_cases(), seed=st.integers(0, 99))
def test_permuting_samples_permutes_values(case: HeadCase, seed: int) -> None:
    order = torch.randperm(len(case.features), generator=torch.Generator().manual_seed(seed))
    properties.permutation_equivariant(
        _alignment(case), case.features, case.targets, order=order, tolerance=TOLERANCE[torch.float64]
    )


@given(case=head_cases(min_samples=2), data=st.data())
def test_does_not_depend_on_the_batch(case: HeadCase, data: st.DataObject) -> None:
    batch, tolerance = (case.features, case.targets), TOLERANCE[torch.float64]
    cut = data.draw(st.integers(1, len(case.features) - 1))
    properties.batch_split_invariant(_alignment(case), *batch, cut=cut, tolerance=tolerance)
    properties.one_at_a_time(_alignment(case), *batch, tolerance=tolerance)


@given(case=head_cases(), seed=st.integers(0, 99))
def test_permuting_classes_changes_nothing(case: HeadCase, seed: int) -> None:
    order = torch.randperm(case.classes, generator=torch.Generator().manual_seed(seed))
    targets = order.argsort()[case.targets] if case.targets.dim() == 1 else case.targets[:, order]
    permuted = HeadCase(
        case.features,
        targets,
        case.weight[order],
        None if case.bias is None else case.bias[order],
        case.label_smoothing,
        None if case.class_weight is None else case.class_weight[order],
    )
    properties.same(_found(permuted).alignment, _found(case).alignment, TOLERANCE[torch.float64])


@given(case=head_cases(), seed=st.integers(0, 99))
def test_rotating_the_feature_space_changes_nothing(case: HeadCase, seed: int) -> None:
    d = case.features.shape[1]
    square = torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rotation = torch.linalg.qr(square).Q
    rotated = HeadCase(
        case.features @ rotation,
        case.targets,
        case.weight @ rotation,
        case.bias,
        case.label_smoothing,
        case.class_weight,
    )
    for found, expected in zip(_found(rotated), _found(case), strict=True):
        properties.same(found, expected, TOLERANCE[torch.float64])


@given(case=head_cases(), of_weight=st.floats(1e-3, 1e3), of_features=st.floats(1e-3, 1e3))
def test_at_a_given_residual_scale_does_not_matter(case: HeadCase, of_weight: float, of_features: float) -> None:
    """Length of W and h cancels in the cosine; the product grows with both, the norm of the gradient with h alone."""
    r = residual(case.logits, case.targets, **case.loss)
    without_bias = case.features @ case.weight.T
    plain = head_gradient(r, case.features, without_bias, case.weight)
    scaled = head_gradient(
        r, case.features * of_features, without_bias * of_weight * of_features, case.weight * of_weight
    )
    properties.same(scaled.alignment, plain.alignment, TOLERANCE[torch.float64])
    properties.same(scaled.dot, plain.dot * of_weight * of_features, 1e-9)
    properties.same(scaled.norm, plain.norm * of_features, 1e-9)


@given(case=head_cases())
def test_the_opposite_residual_has_the_opposite_alignment(case: HeadCase) -> None:
    r = residual(case.logits, case.targets, **case.loss)
    there = head_gradient(r, case.features, case.logits, case.weight, case.bias)
    back = head_gradient(-r, case.features, case.logits, case.weight, case.bias)
    properties.same(back.alignment, -there.alignment, 0.0)
    properties.same(back.norm, there.norm, 0.0)


def test_descending_along_the_gradient_grows_the_weights_by_the_dot() -> None:
    """``‖W - lr·g‖² = ‖W‖² + 2·lr·dot + lr²·‖g‖²``: the share of one sample in the growth of the weights."""
    features, weight, lr = torch.randn(1, 5).double(), torch.randn(3, 5).double(), 0.1
    target = torch.tensor([1])
    found = head_gradient(residual(features @ weight.T, target), features, features @ weight.T, weight)
    (gradient,) = oracles.gradients(features, target, weight)
    after = (weight - lr * gradient).square().sum()
    predicted = weight.square().sum() + 2 * lr * found.dot[0] + lr**2 * found.norm[0] ** 2
    torch.testing.assert_close(after, predicted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_does_not_leave_the_range_of_a_cosine(dtype: torch.dtype) -> None:
    """Two opposite weights over one feature: every gradient is parallel to them, and every alignment is 1 or -1."""
    features = torch.randn(2000, 1, dtype=dtype)
    weight = torch.tensor([[0.3], [-0.3]], dtype=dtype)
    found = head_alignment(features, features @ weight.T, torch.arange(2000) % 2, weight)
    properties.in_range(found, -1.0, 1.0)
    properties.same(found.abs(), torch.ones(2000), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_accurate_at_the_size_of_a_real_head(dtype: torch.dtype) -> None:
    """With a bias: its rounding in the logits has to be small beside |h| |W|."""
    features, weight, bias = torch.randn(64, 128), torch.randn(10, 128) / 128**0.5, torch.randn(10) * 2
    case = HeadCase(features.to(dtype), torch.arange(64) % 10, weight.to(dtype), bias.to(dtype), 0.0, None)
    properties.same(_found(case).alignment, _expected(case).alignment, 2e-3)
