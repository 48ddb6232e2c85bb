"""Parameters that no layer holds: tokens, positions, scales and functional uses, found in the autograd graph."""

import contextlib
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.errors import LayerError
from tests.gradients.oracle import Body, Pick, Readout, assert_exact, columns, rows, targets_of

SAMPLES, POSITIONS, FEATURES = 4, 5, 6
Use = Callable[[Tensor, Tensor], Tensor]


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def model_of(use: Use, *shape: int, x: Tensor) -> nn.Module:
    """A linear layer, a parameter that `use` applies to what comes out of it, and a readout."""
    body = Body(
        lambda self, x: use(self.into(x), self.raw), into=nn.Linear(x.shape[-1], FEATURES), raw=parameter(*shape)
    )
    return Readout(body, x)


TOKENS: dict[str, Use] = {
    "expanded": lambda x, p: torch.cat([p.expand(len(x), -1, -1), x], dim=1),
    "expanded by name": lambda x, p: torch.cat([x, p.expand(size=(len(x), 1, FEATURES))], dim=1),
    "repeated": lambda x, p: torch.cat([p.repeat(len(x), 1, 1), x], dim=1),
    "expanded as": lambda x, p: torch.cat([p.expand_as(x[:, :1]), x], dim=1),
    "broadcast": lambda x, p: torch.cat([p.broadcast_to(len(x), 1, FEATURES), x], dim=1),
    "added to zeros": lambda x, p: torch.cat([p + torch.zeros_like(x[:, :1]), x], dim=1),
}
POSITIONAL: dict[str, Use] = {
    "whole": lambda x, p: x + p,
    "first positions": lambda x, p: x[:, :3] + p[:, :3],
    "two pieces": lambda x, p: torch.cat([x[:, :2] + p[:, :2], x[:, 2:] * p[:, 2:]], dim=1),
    "overlapping pieces": lambda x, p: x[:, :4] + p[:, :4] - x[:, 1:] * p[:, 1:],
    "every other": lambda x, p: x[:, ::2] + p[:, ::2],
    "the last by a negative index": lambda x, p: x[:, :-1] + p[:, -1:],
    "selected": lambda x, p: x + p[:, 1].unsqueeze(1),
    "unbound": lambda x, p: torch.stack([x[:, i] * q for i, q in enumerate(p.unbind(1))], dim=1),
    "split": lambda x, p: x[:, :2] + p.split([2, 3], dim=1)[0],
    "chunked": lambda x, p: x[:, :2] + p.chunk(2, dim=1)[1],
    "squeezed": lambda x, p: x + p.squeeze(0),
    "transposed twice": lambda x, p: (x.transpose(1, 2) + p.transpose(1, -1)).transpose(1, 2),
    "permuted": lambda x, p: x + p.permute(2, 1, 0).permute(-1, -2, 0),
    "flattened": lambda x, p: x.flatten(1) + p.flatten(1),
    "added in place": lambda x, p: (x + 1.0).add_(p),
    "with alpha": lambda x, p: torch.add(x, p, alpha=-0.7),
    "on the left with alpha": lambda x, p: torch.add(p, x, alpha=-0.7),
    "subtracted": lambda x, p: x - p,
    "subtracted from": lambda x, p: p - x,
    "subtracted with alpha": lambda x, p: torch.sub(x, p, alpha=3.0),
    "multiplied": lambda x, p: x * p,
    "multiplied from the left": lambda x, p: p * x.square(),
    "multiplied in place": lambda x, p: (x + 1.0).mul_(p),
    "cast": lambda x, p: x + p.to(torch.float64).to(x.dtype) if x.dtype == torch.float32 else x + p,
    "cloned": lambda x, p: x + p.clone(),
}
SCALES: dict[str, tuple[tuple[int, ...], Use]] = {
    "layer scale": ((FEATURES,), lambda x, p: x * p),
    "one number": ((), lambda x, p: x * p),
    "one number in a vector": ((1,), lambda x, p: p * x + x),
    "gate of each position": ((POSITIONS, 1), lambda x, p: x * p),
    "outer product of views": ((FEATURES,), lambda x, p: x * p[None, None] + p.view(1, 1, -1)),
    "added bias": ((FEATURES,), lambda x, p: x + p),
    "used twice": ((FEATURES,), lambda x, p: torch.tanh(x * p) * p - p),
}


@pytest.mark.parametrize("use", TOKENS)
@pytest.mark.parametrize("samples", [1, 2, SAMPLES])
def test_a_class_token_is_exact(use: str, samples: int) -> None:
    x = torch.randn(samples, POSITIONS, 3)
    assert_exact(model_of(TOKENS[use], 1, 1, FEATURES, x=x), x)


@pytest.mark.parametrize("use", POSITIONAL)
@pytest.mark.parametrize("samples", [1, SAMPLES, POSITIONS])
def test_position_embeddings_are_exact(use: str, samples: int) -> None:
    """Also where there are as many positions as samples."""
    x = torch.randn(samples, POSITIONS, 3)
    assert_exact(model_of(POSITIONAL[use], 1, POSITIONS, FEATURES, x=x), x)


@pytest.mark.parametrize("use", SCALES)
@pytest.mark.parametrize("samples", [1, SAMPLES, POSITIONS, FEATURES])
def test_scales_are_exact(use: str, samples: int) -> None:
    shape, apply = SCALES[use]
    x = torch.randn(samples, POSITIONS, 3)
    assert_exact(model_of(apply, *shape, x=x), x)


@given(
    shape=st.lists(st.sampled_from([1, 3]), max_size=3),
    add=st.booleans(),
    left=st.booleans(),
    samples=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_whatever_broadcasts_is_exact(shape: list[int], add: bool, left: bool, samples: int, seed: int) -> None:
    """Onto ``[sample, 3, 3, 3]``."""
    torch.manual_seed(seed)

    def use(self: Body, x: Tensor) -> Tensor:
        x = self.into(x)
        a, b = (self.raw, x) if left else (x, self.raw)
        return a + b if add else a * b

    x = torch.randn(samples, 3, 3, 2)
    assert_exact(Readout(Body(use, into=nn.Linear(2, 3), raw=parameter(*shape)), x), x)


LINEAR: dict[str, Use] = {
    "a linear map": lambda x, p: F.linear(x, p),
    "a linear map with its bias": lambda x, p: F.linear(x, p, p[:, 0]),
    "a product with the transpose": lambda x, p: x @ p.t(),
    "a product": lambda x, p: x @ p,
    "a linear map of a slice": lambda x, p: F.linear(x, p[2:5]),
    "two linear maps": lambda x, p: F.linear(torch.tanh(F.linear(x, p)), p),
    "of a part of the features": lambda x, p: F.linear(x[..., :2], p[:, :2]),
}


@pytest.mark.parametrize("use", LINEAR)
@pytest.mark.parametrize(
    "shape", [(SAMPLES, 3), (SAMPLES, POSITIONS, 3), (FEATURES, FEATURES, 3), (SAMPLES, 2, 3, 3), (1, 4, 3)]
)
def test_functional_linear_maps_are_exact(use: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(*shape)
    assert_exact(model_of(LINEAR[use], FEATURES, FEATURES, x=x), x)


def test_a_bias_of_a_functional_linear_map_is_exact() -> None:
    def use(self: Body, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias) + torch.addmm(self.bias, x[:, 0], self.weight.t()).unsqueeze(1)

    x = torch.randn(SAMPLES, POSITIONS, 3)
    assert_exact(Readout(Body(use, weight=parameter(6, 3), bias=parameter(6)), x), x)


def time_major(use: Use, *shape: int, positions: int) -> nn.Module:
    def forward(self: Body, x: Tensor) -> Tensor:
        return use(self.into(x), self.raw).transpose(0, 1)

    x = torch.randn(positions, 2, 3)
    return Readout(Body(forward, into=nn.Linear(3, FEATURES), raw=parameter(*shape)), x)


@pytest.mark.parametrize("positions", [4, 5])
@pytest.mark.parametrize("use", ["layer scale", "one number", "position"])
def test_parameters_on_the_time_first_are_exact(use: str, positions: int) -> None:
    """Also with four positions and four samples, after a batch in which shapes told them apart."""
    uses = {**SCALES, "position": ((positions, 1, FEATURES), lambda x, p: x + p)}
    shape, apply = uses[use]
    model = time_major(apply, *shape, positions=positions)
    x = torch.randn(positions, 4, 3)
    assert_exact_after_check(model, x, torch.randn(positions, 6, 3), pick=columns)


@pytest.mark.parametrize("positions", [4, 5])
@pytest.mark.parametrize("use", LINEAR)
def test_a_functional_linear_map_on_the_time_first_is_exact_or_refused(use: str, positions: int) -> None:
    model = time_major(LINEAR[use], FEATURES, FEATURES, positions=positions)
    x = torch.randn(positions, 4, 3)
    with contextlib.suppress(LayerError):
        assert_exact_after_check(model, x, torch.randn(positions, 6, 3), pick=columns)


@pytest.mark.parametrize("samples", [1, 4, 5])
def test_a_token_expanded_over_as_many_positions_as_samples_is_exact(samples: int) -> None:
    """Four copies along the positions are not four samples."""

    def use(x: Tensor, p: Tensor) -> Tensor:
        return x + p.expand(1, 4, FEATURES)

    model = model_of(use, 1, 1, FEATURES, x=torch.randn(2, 4, 3))
    assert_exact_after_check(model, torch.randn(samples, 4, 3), torch.randn(6, 4, 3))


def assert_exact_after_check(model: nn.Module, x: Tensor, first: Tensor, pick: Pick = rows) -> None:
    samples = x.shape[0] if pick is rows else x.shape[1]
    assert_exact(model, x, targets=targets_of(samples), pick=pick, settled=(first,), settled_samples=6)


def test_scales_over_frames_folded_into_the_batch_are_exact() -> None:
    def use(self: Body, x: Tensor) -> Tensor:
        return (self.into(x.flatten(0, 1)) * self.scale).unflatten(0, x.shape[:2])

    x = torch.randn(4, 3, 5, 2)
    assert_exact(Readout(Body(use, into=nn.Linear(2, FEATURES), scale=parameter(FEATURES)), x), x)


def test_a_table_that_is_never_called_is_exact() -> None:
    """Position embeddings by slicing the weight of the layer."""

    def use(self: Body, x: Tensor) -> Tensor:
        return self.into(x) + self.table.weight[: x.shape[1]]

    x = torch.randn(SAMPLES, POSITIONS, 3)
    assert_exact(Readout(Body(use, into=nn.Linear(3, FEATURES), table=nn.Embedding(8, FEATURES)), x), x)


def test_parameters_in_a_list_are_exact() -> None:
    def use(self: Body, x: Tensor) -> Tensor:
        for scale in self.scales:
            x = torch.tanh(x * scale)
        return x

    x = torch.randn(SAMPLES, POSITIONS, FEATURES)
    scales = nn.ParameterList([parameter(FEATURES), parameter(POSITIONS, 1)])
    assert_exact(Readout(Body(use, scales=scales), x), x)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
@pytest.mark.parametrize("bias", [True, False])
def test_recurrent_cells_are_exact(cell: type[nn.RNNCellBase], bias: bool) -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        state = None
        for time in range(x.shape[1]):
            state = self.cell(x[:, time], state)
        return state[0] if isinstance(state, tuple) else state

    x = torch.randn(SAMPLES, POSITIONS, 3)
    assert_exact(Readout(Body(forward, cell=cell(3, FEATURES, bias=bias)), x), x)
