"""Linear layers: rows, sequences and grids of features, with and without bias, partly frozen."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.functional.outer_products import gram_is_less_work
from tests.gradients.oracle import Body, Readout, assert_exact


@given(
    samples=st.integers(1, 5),
    positions=st.lists(st.integers(1, 6), max_size=2),
    features=st.integers(1, 6),
    outputs=st.integers(1, 6),
    bias=st.booleans(),
    seed=st.integers(0, 999),
)
def test_is_exact_on_inputs_of_two_to_four_dimensions(
    samples: int, positions: list[int], features: int, outputs: int, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    x = torch.randn(samples, *positions, 3)
    body = nn.Sequential(nn.Linear(3, features), nn.GELU(), nn.Linear(features, outputs, bias=bias))
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("frozen", [("weight",), ("bias",), ("weight", "bias")])
@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 5), (4, 30, 5), (4, 2, 3, 5)])
def test_a_frozen_weight_or_bias_is_left_out(frozen: tuple[str, ...], shape: tuple[int, ...]) -> None:
    x = torch.randn(*shape)
    model = Readout(nn.Sequential(nn.Linear(5, 6), nn.SiLU(), nn.Linear(6, 7)), x)
    for name in frozen:
        getattr(model.body[2], name).requires_grad_(False)
    assert_exact(model, x)


@pytest.mark.parametrize("positions", [1, 2, 40])
def test_both_ways_to_the_norm_are_exact(positions: int) -> None:
    """Few positions: Gram matrices. Many: the gradients. The product of one position is the shortest."""
    assert gram_is_less_work(positions, 8, 12) == (positions < 40)
    x = torch.randn(4, positions, 8)
    assert_exact(Readout(nn.Linear(8, 12), x), x)


def test_many_samples_in_several_chunks_are_exact() -> None:
    x = torch.randn(9, 120, 30)
    model = Body(lambda self, x: self.out(F.gelu(self.wide(x)).mean(1)), wide=nn.Linear(30, 400), out=nn.Linear(400, 3))
    assert not gram_is_less_work(120, 30, 400)
    assert_exact(model, x)


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.SiLU(inplace=True), nn.Tanh()])
@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 5), (4, 2, 3, 5)])
def test_an_activation_may_overwrite_the_output(activation: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(*shape)
    body = nn.Sequential(nn.Linear(5, 6), activation, nn.Linear(6, 6, bias=False), activation, nn.Linear(6, 4))
    assert_exact(Readout(body, x), x)


def test_an_operation_in_place_on_a_slice_of_the_output_is_exact() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        h = self.first(x)
        h[:, 1:].mul_(2.0)
        h += 1.0
        return self.second(h)

    x = torch.randn(4, 3, 5)
    assert_exact(Readout(Body(forward, first=nn.Linear(5, 6), second=nn.Linear(6, 2)), x), x)


def test_the_input_may_be_given_by_name() -> None:
    x = torch.randn(4, 5)
    assert_exact(Readout(Body(lambda self, x: self.layer(input=x), layer=nn.Linear(5, 4)), x), x)


def test_a_layer_over_the_positions_instead_of_the_features_is_exact() -> None:
    x = torch.randn(4, 7, 5)
    body = Body(lambda self, x: self.mix(x.transpose(1, 2)).transpose(1, 2), mix=nn.Linear(7, 7))
    assert_exact(Readout(body, x), x)


def test_a_subclass_with_a_forward_of_its_own_is_followed_in_the_graph() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2.0 * super().forward(x)

    x = torch.randn(4, 3, 5)
    assert_exact(Readout(nn.Sequential(Doubled(5, 6), nn.GELU()), x), x)


def test_a_layer_that_reaches_no_loss_has_no_part_in_it() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        self.unused(x)
        return self.used(x)

    x = torch.randn(4, 5)
    assert_exact(Readout(Body(forward, used=nn.Linear(5, 4), unused=nn.Linear(5, 4)), x), x)


def test_a_call_without_gradients_does_not_count() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        with torch.no_grad():
            centre = self.layer(x).amax(dim=1, keepdim=True)
        return self.layer(x) - centre

    x = torch.randn(4, 5)
    assert_exact(Readout(Body(forward, layer=nn.Linear(5, 4)), x), x)


@pytest.mark.parametrize("offset", [10.0, 1000.0])
def test_a_large_bias_does_not_drown_the_weight(offset: float) -> None:
    x = torch.randn(4, 5)
    model = Readout(Body(lambda self, x: self.layer(x) - offset, layer=nn.Linear(5, 4)), x)
    with torch.no_grad():
        model.body.layer.bias += offset
    assert_exact(model, x, tolerance=1e-5 * max(1.0, offset / 10))
