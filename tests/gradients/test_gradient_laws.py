"""Laws that hold whatever the model is: of batches, of losses, of the model that is being watched."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.gradients import LayerCapture, make_plan
from tests.gradients.oracle import (
    Body,
    Measured,
    Readout,
    assert_exact,
    assert_same,
    captured,
    in_one_graph,
    measure,
    step,
    targets_of,
    watched_step,
)


class Case(NamedTuple):
    model: nn.Module
    x: Tensor


def _network() -> Case:
    x = torch.randn(6, 3, 12, 12)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.PReLU(8), nn.Conv2d(8, 16, 1, bias=False),
        nn.BatchNorm2d(16).eval(), nn.Conv2d(16, 4, 3), nn.SiLU(inplace=True),
    )  # fmt: skip
    return Case(Readout(body, x), x)


def _transformer() -> Case:
    def forward(self: Body, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.into(x)], dim=1) + self.position
        return self.encoder(x) * self.scale

    x = torch.randn(6, 4, 5)
    body = Body(
        forward,
        into=nn.Linear(5, 8),
        encoder=nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True),
        token=nn.Parameter(torch.randn(1, 1, 8)),
        position=nn.Parameter(torch.randn(1, 5, 8)),
        scale=nn.Parameter(torch.randn(8)),
    )
    return Case(Readout(body, x), x)


def _language() -> Case:
    def forward(self: Body, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return torch.tanh(self.out(F.gelu(self.middle(F.gelu(self.middle(x))))))

    ids = torch.randint(0, 9, (6, 5))
    out = nn.Linear(4, 9)
    body = Body(
        forward, words=nn.Embedding(9, 4, padding_idx=0), places=nn.Embedding(7, 4), middle=nn.Linear(4, 4), out=out
    )
    out.weight = body.words.weight
    return Case(Readout(body, ids), ids)


CASES: dict[str, Callable[[], Case]] = {"network": _network, "transformer": _transformer, "language": _language}
each_case = pytest.mark.parametrize("case", CASES)


def part(found: dict[str, Measured], rows: Tensor | slice) -> dict[str, Measured]:
    return {name: Measured(value.product[rows], value.norm[rows]) for name, value in found.items()}


@each_case
def test_every_parameter_is_exact(case: str) -> None:
    model, x = CASES[case]()
    assert_exact(model, x)


@each_case
@settings(max_examples=8)
@given(cut=st.integers(1, 5))
def test_a_sample_does_not_depend_on_its_batch(case: str, cut: int) -> None:
    torch.manual_seed(0)
    model, x = CASES[case]()
    y, whole = targets_of(len(x)), measure(model, (x,))
    for rows in (slice(None, cut), slice(cut, None)):
        assert_same(measure(model, (x[rows],), y[rows], settled=(x,)), part(whole, rows), model)


@each_case
@settings(max_examples=8)
@given(order=st.permutations(range(6)))
def test_samples_in_another_order_give_the_same_numbers_in_that_order(case: str, order: list[int]) -> None:
    torch.manual_seed(0)
    model, x = CASES[case]()
    rows = torch.tensor(order)
    assert_same(measure(model, (x[rows],), targets_of(6)[rows]), part(measure(model, (x,)), rows), model)


@each_case
def test_a_sample_that_is_there_twice_has_the_same_numbers_twice(case: str) -> None:
    model, x = CASES[case]()
    found = measure(model, (torch.cat([x, x]),), targets_of(6).repeat(2))
    assert_same(part(found, slice(6, None)), part(found, slice(6)), model)


@each_case
@settings(max_examples=8)
@given(factor=st.floats(1e-3, 1e3), reduction=st.sampled_from(["mean", "sum"]))
def test_a_factor_of_the_loss_is_a_factor_of_the_numbers(case: str, factor: float, reduction: str) -> None:
    """`measure` divides by it again. Negative ones turn the products around."""
    torch.manual_seed(0)
    model, x = CASES[case]()
    expected = measure(model, (x,))
    assert_same(measure(model, (x,), factor=factor, reduction=reduction), expected, model)


@each_case
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_products_add_up_to_that_of_the_gradient(case: str, reduction: str) -> None:
    model, x = CASES[case]()
    found = measure(model, (x,), reduction=reduction, swaps=False)
    scale = len(x) if reduction == "mean" else 1
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        expected = float((parameter.grad.double() * parameter.detach().double()).sum()) * scale
        size = float(found[name].norm.sum() * parameter.detach().double().norm())
        assert float(found[name].product.sum()) == pytest.approx(expected, abs=1e-5 * size), name


@each_case
def test_products_and_sums_stay_within_what_the_norms_allow(case: str) -> None:
    """Cauchy and Schwarz, and the triangle of the whole batch."""
    model, x = CASES[case]()
    found = measure(model, (x,), reduction="sum")
    for name, parameter in model.named_parameters():
        length = parameter.detach().double().norm()
        assert (found[name].product.abs() <= found[name].norm * length * (1 + 1e-5)).all(), name
        assert parameter.grad is not None
        assert float(parameter.grad.double().norm()) <= float(found[name].norm.sum()) * (1 + 1e-5), name


@each_case
def test_named_layers_have_the_numbers_that_they_have_among_all(case: str) -> None:
    model, x = CASES[case]()
    everything = measure(model, (x,))
    for name in make_plan(model, "all").groups:
        alone = measure(model, (x,), layers=[name])
        assert_same(alone, {key: everything[key] for key in alone}, model)
        assert alone


@each_case
def test_outputs_and_gradients_are_the_same_bits_without_swaps(case: str) -> None:
    model, x = CASES[case]()
    (out, gradients), (watched, of_watched) = step(model, x), watched_step(model, x, swaps=False)
    assert torch.equal(out, watched)
    assert gradients.keys() == of_watched.keys()
    for name, gradient in gradients.items():
        assert torch.equal(gradient, of_watched[name]), name


@each_case
def test_with_swaps_outputs_are_the_same_bits_and_gradients_the_same_up_to_rounding(case: str) -> None:
    model, x = CASES[case]()
    (out, gradients), (watched, of_watched) = step(model, x), watched_step(model, x, swaps=True)
    assert torch.equal(out, watched)
    assert gradients.keys() == of_watched.keys()
    for name, gradient in gradients.items():
        assert float((of_watched[name] - gradient).norm()) <= 1e-5 * float(gradient.norm()), name


@each_case
def test_steps_in_a_row_leave_nothing_behind(case: str) -> None:
    """Also steps that go forward only, or run in evaluation."""
    model, x = CASES[case]()
    with LayerCapture(model, make_plan(model, "all")) as capture:
        first = captured(model, (x,), targets_of(len(x)), capture)
        model(x)
        with torch.no_grad():
            model(x)
        again = captured(model, (x,), targets_of(len(x)), capture)
    for name, value in first.items():
        assert torch.equal(again[name].norm, value.norm), name
        assert torch.equal(again[name].product, value.product), name


@each_case
def test_afterwards_the_model_is_as_it_was(case: str) -> None:
    model, x = CASES[case]()
    state = copy.deepcopy(model.state_dict())
    measure(model, (x,), settled=(x,))
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    for parameter in model.parameters():
        assert not parameter._backward_hooks
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@each_case
def test_evaluation_is_not_measured(case: str) -> None:
    model, x = CASES[case]()
    with LayerCapture(model, make_plan(model, "all")) as capture:
        out, gradients = step(model.eval(), x)
        assert capture.take() == {}
    again, of_again = step(model, x)
    assert torch.equal(out, again)
    assert all(torch.equal(gradient, of_again[name]) for name, gradient in gradients.items())


def halved(model: nn.Module, x: Tensor) -> tuple[nn.Module, Tensor]:
    return model.to(torch.bfloat16), x.to(torch.bfloat16) if x.is_floating_point() else x


@each_case
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_model_in_half_precision_is_as_exact_as_its_gradients(case: str, reduction: str) -> None:
    model, x = halved(*CASES[case]())
    found = measure(model, (x,), reduction=reduction, settled=(x,))
    assert_same(found, in_one_graph(model, (x,), targets_of(len(x))), model, 2e-2)


@each_case
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_autocast_is_as_exact_as_its_gradients(case: str, reduction: str) -> None:
    model, x = CASES[case]()
    with torch.autocast("cpu", torch.bfloat16):
        expected = in_one_graph(model, (x,), targets_of(len(x)))
        found = measure(model, (x,), reduction=reduction, settled=(x,))
    assert_same(found, expected, model, 2e-2)


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_rounding_in_half_precision_is_not_taken_for_a_use_that_was_missed(autocast: bool, seed: int) -> None:
    """The sums over the batch are compared with gradients that autograd has in half precision."""
    torch.manual_seed(seed)
    x = torch.randn(6, 4, 8)
    model = Readout(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True), x)
    if not autocast:
        model, x = halved(model, x)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        measure(model, (x,))
