"""The residual is the gradient of each sample's own cross-entropy with respect to its logits, as torch defines it."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.functional import cross_entropy, residual, target_distribution
from gwa_attrib.functional.targets import CrossEntropy
from tests import properties
from tests.functional.cases import TOLERANCE, HeadCase, head_cases


def _loss(logits: torch.Tensor, case: HeadCase) -> torch.Tensor:
    return F.cross_entropy(
        logits,
        case.targets,
        weight=case.class_weight,
        label_smoothing=case.label_smoothing,
        reduction="none",
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(data=st.data())
def test_equals_the_gradient_of_torch_cross_entropy(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype))
    logits = case.logits.requires_grad_()
    expected = torch.autograd.grad(_loss(logits, case).sum(), logits)[0]
    properties.same(residual(logits.detach(), case.targets, **case.loss), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(data=st.data())
def test_the_loss_equals_torch_cross_entropy(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype))
    y = target_distribution(case.targets, case.classes, label_smoothing=case.label_smoothing, dtype=dtype)
    properties.same(cross_entropy(case.logits, y, case.class_weight), _loss(case.logits, case), TOLERANCE[dtype])


@given(case=head_cases())
def test_the_classes_of_a_residual_sum_to_zero(case: HeadCase) -> None:
    """Adding a constant to all logits changes no softmax loss."""
    sums = residual(case.logits, case.targets, **case.loss).sum(dim=1)
    properties.same(sums, torch.zeros(len(sums)), 1e-12)


@given(case=head_cases(), shift=st.floats(-50, 50))
def test_adding_a_constant_to_the_logits_changes_nothing(case: HeadCase, shift: float) -> None:
    there = residual(case.logits, case.targets, **case.loss)
    properties.same(residual(case.logits + shift, case.targets, **case.loss), there, 1e-9)


@given(case=head_cases())
def test_equal_class_weights_only_scale(case: HeadCase) -> None:
    plain = residual(case.logits, case.targets, label_smoothing=case.label_smoothing)
    doubled = residual(
        case.logits,
        case.targets,
        label_smoothing=case.label_smoothing,
        class_weight=torch.full((case.classes,), 2.0, dtype=torch.float64),
    )
    properties.same(doubled, 2 * plain, TOLERANCE[torch.float64])


@given(case=head_cases())
def test_a_class_index_is_the_distribution_with_all_its_mass_there(case: HeadCase) -> None:
    labels = case.targets if case.targets.dim() == 1 else case.targets.argmax(dim=1)
    one_hot = F.one_hot(labels, case.classes).double()
    properties.same(residual(case.logits, labels, **case.loss), residual(case.logits, one_hot, **case.loss), 1e-14)


@given(case=head_cases())
def test_smoothed_targets_stay_distributions(case: HeadCase) -> None:
    y = target_distribution(case.targets, case.classes, label_smoothing=case.label_smoothing, dtype=torch.float64)
    properties.same(y.sum(dim=1), torch.ones(len(y)), 1e-12)
    assert (y >= 0).all()


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_class_indices_may_have_any_integer_type(dtype: torch.dtype) -> None:
    logits = torch.randn(3, 4)
    targets = torch.tensor([0, 3, 1])
    properties.same(residual(logits, targets.to(dtype)), residual(logits, targets), 0.0)


def test_the_targets_are_not_changed() -> None:
    soft = torch.full((2, 4), 0.25)
    before = soft.clone()
    residual(torch.randn(2, 4), soft, label_smoothing=0.5, class_weight=torch.arange(4.0))
    assert soft.equal(before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@given(data=st.data())
def test_a_batch_s_own_loss_gives_the_same_bits_and_makes_them_once(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(torch.float32))
    logits = case.logits.to(dtype)
    loss = CrossEntropy(case.label_smoothing, case.class_weight).of(logits, case.targets)
    assert loss.residual.equal(residual(logits, case.targets, **case.loss))
    assert loss.residual is loss.residual
