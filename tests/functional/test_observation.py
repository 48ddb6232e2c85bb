"""What is observed of each sample equals its definition, and the signals agree with each other where theory says so."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.functional import Observation, el2n, margin, observe
from tests import oracles, properties
from tests.functional.cases import TOLERANCE, HeadCase, head_cases

PLAIN = ("alignment", "dot", "grad_norm", "loss", "margin", "p_label", "el2n")


def _observe(case: HeadCase) -> Observation:
    return observe(case.features, case.logits, case.targets, case.weight, case.bias, **case.loss)


def _expected(case: HeadCase) -> dict[str, list[float]]:
    gradients = oracles.gradients(case.features, case.targets, case.weight, case.bias, **case.loss)
    weights = None if case.class_weight is None else case.class_weight.double().tolist()
    rows: list[dict[str, float]] = []
    for z, target, gradient in zip(case.logits.double().tolist(), case.targets, gradients, strict=True):
        label = int(target.argmax() if target.dim() else target)
        rows.append(
            {
                "label": label,
                "alignment": oracles.alignment(gradient, case.weight),
                "dot": oracles.dot(gradient, case.weight),
                "grad_norm": oracles.norm(gradient),
                "loss": oracles.loss(z, oracles.distribution(target, case.classes, case.label_smoothing), weights),
                "margin": oracles.margin(z, label),
                "p_label": oracles.softmax(z)[label],
                "el2n": oracles.el2n(z, oracles.distribution(target, case.classes)),
                "pred": max(range(case.classes), key=z.__getitem__),
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(data=st.data())
def test_every_signal_equals_its_definition(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype).filter(lambda case: case.cancellation < 20))
    found, expected = _observe(case), _expected(case)
    assert (found.label.tolist(), found.pred.tolist()) == (expected["label"], expected["pred"])
    for name in PLAIN:
        properties.same(getattr(found, name), torch.tensor(expected[name], dtype=torch.float64), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@given(data=st.data())
def test_half_precision_gives_float32_signals(dtype: torch.dtype, data: st.DataObject) -> None:
    case = data.draw(head_cases(dtype, bias_scale=0.0))
    found, expected = _observe(case), _expected(case)
    for name in PLAIN:
        column = getattr(found, name)
        assert column.dtype == torch.float32, name
        properties.same(column, torch.tensor(expected[name], dtype=torch.float64), TOLERANCE[dtype])


@given(case=head_cases(), top=st.integers(1, 8))
def test_the_likeliest_classes_are_the_head_of_the_sorted_probabilities(case: HeadCase, top: int) -> None:
    found = observe(case.features, case.logits, case.targets, case.weight, case.bias, top=top)
    for row, z in enumerate(case.logits.tolist()):
        p = oracles.softmax(z)
        order = sorted(range(case.classes), key=lambda c, p=p: -p[c])[:top]
        assert found.top_class[row].tolist() == order
        assert found.top_prob[row].tolist() == pytest.approx([p[c] for c in order], abs=1e-12)
    assert found.pred.equal(found.top_class[:, 0])


@given(case=head_cases())
def test_grand_of_the_head_with_bias_is_el2n_times_the_length_of_the_features(case: HeadCase) -> None:
    """‖∂ℓ/∂(W, b)‖ = ‖p - y‖·√(‖h‖² + 1) for the plain loss (methods, section 0)."""
    plain = el2n(case.logits, _one_hot(case))
    with_bias = torch.cat([case.features, torch.ones(len(case.features), 1)], dim=1)
    weight = torch.cat([case.weight, (torch.zeros(case.classes) if case.bias is None else case.bias)[:, None]], dim=1)
    labels = _one_hot(case).argmax(dim=1)
    expected = [oracles.norm(g) for g in oracles.gradients(with_bias, labels, weight)]
    found = plain * (case.features.square().sum(dim=1) + 1).sqrt()
    properties.same(found, torch.tensor(expected, dtype=torch.float64), TOLERANCE[torch.float64])


def _one_hot(case: HeadCase) -> torch.Tensor:
    labels = case.targets if case.targets.dim() == 1 else case.targets.argmax(dim=1)
    return torch.nn.functional.one_hot(labels, case.classes).double()


@given(case=head_cases())
def test_the_gradient_norm_is_el2n_times_the_norm_of_the_features(case: HeadCase) -> None:
    found = observe(case.features, case.logits, case.targets, case.weight, case.bias)
    properties.same(found.grad_norm, found.el2n * case.features.norm(dim=1), 1e-9)


@given(case=head_cases(torch.float32))
def test_el2n_is_at_most_root_two(case: HeadCase) -> None:
    properties.in_range(_observe(case).el2n, 0.0, math.sqrt(2) + 1e-6)


@given(case=head_cases())
def test_a_right_prediction_has_a_positive_margin(case: HeadCase) -> None:
    found = _observe(case)
    right = found.pred == found.label
    assert (found.margin[right] > 0).all()
    assert (found.margin[~right] <= 0).all()


@given(case=head_cases(), shift=st.floats(-100, 100))
def test_the_margin_ignores_a_constant_in_the_logits(case: HeadCase, shift: float) -> None:
    labels = _observe(case).label
    properties.same(margin(case.logits + shift, labels), margin(case.logits, labels), 1e-9)


@given(case=head_cases())
def test_label_signals_do_not_depend_on_how_the_loss_treats_labels(case: HeadCase) -> None:
    """Smoothing and class weights belong to the training loss; margin, p_label, el2n and pred to the given label."""
    plain = observe(case.features, case.logits, case.targets, case.weight, case.bias)
    for name in ("margin", "p_label", "el2n", "pred", "label"):
        assert getattr(plain, name).equal(getattr(_observe(case), name)), name


@given(case=head_cases(), seed=st.integers(0, 99))
def test_permuting_samples_permutes_every_signal(case: HeadCase, seed: int) -> None:
    order = torch.randperm(len(case.features), generator=torch.Generator().manual_seed(seed))
    for name in PLAIN:

        def signal(features: torch.Tensor, targets: torch.Tensor, name: str = name) -> torch.Tensor:
            logits = torch.nn.functional.linear(features, case.weight, case.bias)
            return getattr(observe(features, logits, targets, case.weight, case.bias, **case.loss), name)

        properties.permutation_equivariant(signal, case.features, case.targets, order=order, tolerance=1e-10)


def test_nothing_that_is_observed_keeps_the_graph() -> None:
    features, weight = torch.randn(3, 4), torch.randn(5, 4)
    with torch.no_grad():
        found = observe(features, features @ weight.T, torch.tensor([0, 1, 2]), weight)
    assert not any(column.requires_grad for column in found)
