"""A parameter that several layers or calls use: its gradient is the sum over the uses, in every combination."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.errors import LayerMismatchError
from tests.gradients.oracle import Body, Readout, assert_exact, measure


def repeated(times: int) -> Any:
    def forward(self: Body, x: Tensor) -> Tensor:
        for _ in range(times):
            x = torch.tanh(self.layer(x))
        return x

    return forward


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 5), (4, 5)),
    "linear on a sequence": (lambda: nn.Linear(5, 5), (4, 3, 5)),
    "linear without bias on a long sequence": (lambda: nn.Linear(5, 5, bias=False), (4, 40, 5)),
    "convolution": (lambda: nn.Conv2d(3, 3, 3, padding=1), (4, 3, 6, 6)),
    "convolution on a small image": (lambda: nn.Conv2d(8, 8, 3, padding=1), (4, 8, 2, 2)),
    "depthwise convolution": (lambda: nn.Conv1d(4, 4, 3, padding=1, groups=4), (4, 4, 9)),
    "transposed convolution": (lambda: nn.ConvTranspose1d(4, 4, 3, padding=1), (4, 4, 9)),
    "layer norm": (lambda: nn.LayerNorm(5), (4, 3, 5)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (4, 4, 5)),
    "frozen batch norm": (lambda: nn.BatchNorm1d(4).eval(), (4, 4, 5)),
    "PReLU": (lambda: nn.PReLU(4), (4, 4, 5)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("swaps", [True, False])
def test_a_layer_called_several_times_is_exact(layer: str, times: int, swaps: bool) -> None:
    make, shape = LAYERS[layer]
    x = torch.randn(*shape)
    assert_exact(Readout(Body(repeated(times), layer=make()), x), x, swaps=swaps)


@pytest.mark.parametrize("swaps", [True, False])
def test_a_convolution_on_images_of_two_sizes_is_exact(swaps: bool) -> None:
    """One of them small enough for the Gram form."""

    def forward(self: Body, x: Tensor) -> Tensor:
        small = self.layer(F.avg_pool2d(x, 4))
        return torch.cat([self.layer(x).flatten(1), small.flatten(1)], dim=1)

    x = torch.randn(4, 8, 12, 12)
    assert_exact(Readout(Body(forward, layer=nn.Conv2d(8, 8, 3, padding=1)), x), x, swaps=swaps)


def test_two_inputs_through_one_tower_are_exact() -> None:
    def forward(self: Body, x: Tensor, y: Tensor) -> Tensor:
        return self.tower(x) * self.tower(y)

    x = (torch.randn(4, 3, 5), torch.randn(4, 3, 5))
    tower = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 4))
    assert_exact(Readout(Body(forward, tower=tower), *x), *x)


class Language(nn.Module):
    """The table of the tokens is the weight of the last layer."""

    def __init__(self, padding: int | None = None) -> None:
        super().__init__()
        self.table, self.body = nn.Embedding(7, 5, padding_idx=padding), nn.Linear(5, 5)
        self.out = nn.Linear(5, 7)
        self.out.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return torch.tanh(self.out(torch.tanh(self.body(self.table(ids)))))


@given(
    samples=st.integers(1, 4), length=st.integers(1, 5), padding=st.sampled_from([None, 2]), seed=st.integers(0, 999)
)
def test_a_table_tied_to_a_linear_layer_is_exact(samples: int, length: int, padding: int | None, seed: int) -> None:
    torch.manual_seed(seed)
    ids = torch.randint(0, 7, (samples, length))
    assert_exact(Readout(Language(padding), ids), ids)


@pytest.mark.parametrize("tied", [("weight",), ("weight", "bias")])
@pytest.mark.parametrize("positions", [1, 3, 40])
def test_two_tied_linear_layers_are_exact(tied: tuple[str, ...], positions: int) -> None:
    x = torch.randn(4, positions, 5)
    body = nn.Sequential(nn.Linear(5, 5), nn.GELU(), nn.Linear(5, 5), nn.GELU(), nn.Linear(5, 5))
    for name in tied:
        setattr(body[2], name, getattr(body[0], name))
    assert_exact(Readout(body, x), x)


def test_two_tied_convolutions_with_strides_of_their_own_are_exact() -> None:
    x = torch.randn(4, 4, 9, 9)
    body = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3, stride=2, padding=1, bias=False))
    body[2].weight = body[0].weight
    assert_exact(Readout(body, x), x)


def test_two_tied_norms_are_exact() -> None:
    x = torch.randn(4, 3, 5)
    body = nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 5), nn.LayerNorm(5, bias=False))
    body[2].weight = body[0].weight
    assert_exact(Readout(body, x), x)


def test_attention_called_twice_is_exact() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        for _ in range(2):
            x = x + self.layer(x, x, x, need_weights=False)[0]
        return x

    x = torch.randn(4, 3, 6)
    assert_exact(Readout(Body(forward, layer=nn.MultiheadAttention(6, 2, batch_first=True)), x), x)


def test_a_raw_parameter_used_at_every_depth_is_exact() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        for _ in range(3):
            x = torch.tanh(F.linear(x, self.weight)) * self.weight[0] + self.weight[:, 1]
        return x

    x = torch.randn(4, 3, 5)
    assert_exact(Readout(Body(forward, weight=nn.Parameter(torch.randn(5, 5))), x), x)


@pytest.mark.parametrize("samples", [1, 4, 5])
@pytest.mark.parametrize("leading", [(), (1,)])
def test_one_call_on_all_samples_and_one_on_what_they_share_are_exact(samples: int, leading: tuple[int, ...]) -> None:
    """A projection of the tokens and of five queries that are the same for every sample."""

    def forward(self: Body, x: Tensor) -> Tensor:
        return self.layer(x) + self.layer(queries.to(x))

    x, queries = torch.randn(samples, 5, 6), torch.randn(*leading, 5, 6)
    assert_exact(Readout(Body(forward, layer=nn.Linear(6, 6)), x), x, settled=(torch.randn(7, 5, 6),))


def _transposed(self: Body, x: Tensor) -> Tensor:
    return F.linear(torch.tanh(self.layer(x)), self.layer.weight.t())


def _again(self: Body, x: Tensor) -> Tensor:
    return F.linear(self.layer(x), self.layer.weight)


@pytest.mark.parametrize("forward", [_transposed, _again])
@pytest.mark.parametrize("settle", [True, False])
def test_a_layer_whose_weight_a_function_uses_too_is_refused(forward: Any, settle: bool) -> None:
    """The check of single samples and the sum over the batch each see that something was missed."""
    x = torch.randn(4, 3, 5)
    model = Readout(Body(forward, layer=nn.Linear(5, 5)), x)
    with pytest.raises(LayerMismatchError, match=r"body\.layer\.weight"):
        measure(model, (x,), settled=(x,) if settle else None)
