"""The affine part of normalisation layers, PReLU, and the refusal of batch norms that mix the samples."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gwa_attrib.errors import BatchMixingError, LayerError
from tests.gradients.oracle import Body, Readout, assert_exact, measure


def randomized(module: nn.Module) -> nn.Module:
    """Weights and statistics as after some training: ones and zeros hide what is left out."""
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            if value.is_floating_point():
                value.uniform_(0.5, 2.0)
    return module


@given(
    samples=st.integers(1, 5),
    lead=st.lists(st.integers(1, 4), max_size=2),
    shape=st.lists(st.integers(2, 4), min_size=1, max_size=2),
    bias=st.booleans(),
    seed=st.integers(0, 999),
)
def test_layer_norm_is_exact(samples: int, lead: list[int], shape: list[int], bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(samples, *lead, *shape)
    norm = randomized(nn.LayerNorm(shape, bias=bias))
    assert_exact(Readout(nn.Sequential(nn.Linear(shape[-1], shape[-1]), norm), x).double(), x.double(), tolerance=1e-9)


@given(
    samples=st.integers(1, 5),
    lead=st.lists(st.integers(1, 4), max_size=2),
    shape=st.lists(st.integers(2, 4), min_size=1, max_size=2),
    eps=st.sampled_from([None, 1e-3]),
    seed=st.integers(0, 999),
)
def test_rms_norm_is_exact(samples: int, lead: list[int], shape: list[int], eps: float | None, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(samples, *lead, *shape)
    norm = randomized(nn.RMSNorm(shape, eps=eps))
    assert_exact(Readout(nn.Sequential(nn.Linear(shape[-1], shape[-1]), norm), x).double(), x.double(), tolerance=1e-9)


@given(samples=st.integers(1, 4), sides=st.lists(st.integers(1, 3), max_size=3), groups=st.sampled_from([1, 2, 6]))
def test_group_norm_is_exact(samples: int, sides: list[int], groups: int) -> None:
    if groups == 6:
        sides = [2, *sides[1:]]  # one number in a group is refused by torch
    torch.manual_seed(len(sides))
    x = torch.randn(samples, 6, *sides)
    assert_exact(Readout(randomized(nn.GroupNorm(groups, 6)), x), x)


INSTANCE = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
BATCH = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@pytest.mark.parametrize("dims", INSTANCE)
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_instance_norm_is_exact(dims: int, stored: bool, training: bool) -> None:
    x = torch.randn(4, 5, *(4, 3, 2)[:dims])
    norm = randomized(INSTANCE[dims](5, affine=True, track_running_stats=stored))
    model = Readout(norm, x)
    norm.train(training)
    assert_exact(model, x)


@pytest.mark.parametrize("dims", INSTANCE)
def test_a_subclass_of_instance_norm_is_exact(dims: int) -> None:
    class Renamed(INSTANCE[dims]):  # type: ignore[misc,valid-type]
        pass

    x = torch.randn(4, 5, *(4, 3, 2)[:dims])
    assert_exact(Readout(randomized(Renamed(5, affine=True)), x), x)


@pytest.mark.parametrize("dims", BATCH)
def test_a_frozen_batch_norm_is_exact(dims: int) -> None:
    x = torch.randn(4, 5, *(4, 3, 2)[:dims])
    norm = randomized(BATCH[dims](5)).eval()
    assert_exact(Readout(nn.Sequential(norm, nn.GELU()), x), x)


@pytest.mark.parametrize("shape", [(4, 8), (4, 5, 8), (4, 2, 3, 8)])
@pytest.mark.parametrize("norm", [nn.LayerNorm, partial(nn.LayerNorm, bias=False), nn.RMSNorm])
def test_norms_of_features_are_exact_in_single_precision(
    norm: Callable[[int], nn.Module], shape: tuple[int, ...]
) -> None:
    x = torch.randn(*shape)
    assert_exact(Readout(nn.Sequential(nn.Linear(8, 8), randomized(norm(8)), nn.GELU(), nn.Linear(8, 8)), x), x)


@pytest.mark.parametrize(
    "norm",
    [
        nn.LayerNorm(5, elementwise_affine=False),
        nn.RMSNorm(5, elementwise_affine=False),
        nn.InstanceNorm1d(4),
        nn.GroupNorm(2, 4, affine=False),
        nn.BatchNorm1d(4, affine=False).eval(),
    ],
)
def test_without_affine_part_there_is_nothing_to_measure(norm: nn.Module) -> None:
    x = torch.randn(3, 4, 5)
    assert_exact(Readout(nn.Sequential(nn.Linear(5, 5), norm), x), x)


FREEZABLE: dict[str, Callable[[], nn.Module]] = {
    "layer norm": lambda: nn.LayerNorm(5),
    "group norm": lambda: nn.GroupNorm(2, 4),
    "instance norm": lambda: nn.InstanceNorm1d(4, affine=True),
    "frozen batch norm": lambda: nn.BatchNorm1d(4).eval(),
}


@pytest.mark.parametrize("frozen", ["weight", "bias"])
@pytest.mark.parametrize("norm", FREEZABLE)
def test_a_frozen_weight_or_bias_is_left_out(frozen: str, norm: str) -> None:
    x = torch.randn(3, 4, 5)
    layer = randomized(FREEZABLE[norm]())
    getattr(layer, frozen).requires_grad_(False)
    assert_exact(Readout(nn.Sequential(layer, nn.GELU()), x), x)


def test_norms_over_frames_folded_into_the_batch_are_exact() -> None:
    def forward(self: Body, x: Tensor) -> Tensor:
        y = self.frozen(self.group(x.flatten(0, 1)))
        y = self.instance(y) + self.layer(y)
        return y.unflatten(0, x.shape[:2])

    x = torch.randn(4, 3, 6, 5, 2)
    layers = {
        "group": nn.GroupNorm(3, 6),
        "frozen": nn.BatchNorm2d(6).eval(),
        "instance": nn.InstanceNorm2d(6, affine=True),
        "layer": nn.LayerNorm((5, 2)),
    }
    body = Body(forward, **{name: randomized(layer) for name, layer in layers.items()})
    assert_exact(Readout(body, x), x)


@pytest.mark.parametrize("slopes", [1, 4])
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (3, 4, 5, 2)])
def test_prelu_is_exact(slopes: int, shape: tuple[int, ...]) -> None:
    x = torch.randn(*shape)
    assert_exact(Readout(randomized(nn.PReLU(slopes)), x), x)


@pytest.mark.parametrize("dims", BATCH)
def test_a_batch_norm_in_training_is_refused_for_what_lies_before_it(dims: int) -> None:
    x = torch.randn(4, 5, *(4, 3, 2)[:dims])
    model = Readout(nn.Sequential(nn.Identity(), BATCH[dims](5)), x)
    with pytest.raises(BatchMixingError, match=r"batch norm 'body\.1' in training mode"):
        measure(model, (x,), layers="all")
    measure(model, (x,), layers=["head"])


def _convolution(self: Body, x: Tensor) -> Tensor:
    return self.norm(self.first(x))


def _class_token(self: Body, x: Tensor) -> Tensor:
    return self.norm(x + self.first)


def _functional(self: Body, x: Tensor) -> Tensor:
    return self.norm(F.linear(x, self.first))


def _attention(self: Body, x: Tensor) -> Tensor:
    return self.norm(self.first(x, x, x)[0])


@pytest.mark.parametrize(
    ("use", "first"),
    [
        (_convolution, lambda: nn.Conv1d(4, 4, 1)),
        (_class_token, lambda: nn.Parameter(torch.randn(1, 4, 6))),
        (_functional, lambda: nn.Parameter(torch.randn(6, 6))),
        (_attention, lambda: nn.MultiheadAttention(6, 2, batch_first=True)),
    ],
)
@pytest.mark.parametrize("affine", [True, False])
def test_whatever_lies_before_a_batch_norm_in_training_is_refused(
    use: Callable[..., Tensor], first: Callable[[], nn.Module | nn.Parameter], affine: bool
) -> None:
    x = torch.randn(5, 4, 6)
    model = Readout(Body(use, first=first(), norm=nn.BatchNorm1d(4, affine=affine)), x)
    with pytest.raises(BatchMixingError):
        measure(model, (x,), layers=["body.first"])


def test_a_batch_norm_that_is_a_function_is_refused_too() -> None:
    """In training only: in evaluation, where the check looks, no sample depends on another."""

    def forward(self: Body, x: Tensor) -> Tensor:
        x = self.first(x)
        return F.batch_norm(x, torch.zeros(4).to(x), torch.ones(4).to(x), training=self.training)

    x = torch.randn(5, 4, 6)
    with pytest.raises(LayerError):
        measure(Readout(Body(forward, first=nn.Linear(6, 6)), x), (x,), settled=(x,))


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_norm_without_stored_statistics_always_mixes(training: bool) -> None:
    x = torch.randn(4, 5, 3)
    model = Readout(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(5, track_running_stats=False)), x)
    model.body[1].train(training)
    with pytest.raises(BatchMixingError):
        measure(model, (x,), layers="all")


def test_what_lies_after_a_batch_norm_in_training_is_exact() -> None:
    """As if what the batch norm put out were the data."""
    x = torch.randn(4, 5, 3)
    model = Readout(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(3, 2)), x)
    tail = Readout(model.body[2:], model.body[:2](x))
    tail.head = model.head
    assert_exact(tail, model.body[:2](x).detach())
    found = measure(model, (x,), layers=["body.3", "head"])
    expected = measure(tail, (model.body[:2](x).detach(),))
    for name in ("body.3.weight", "body.3.bias", "head.weight"):
        torch.testing.assert_close(found[name].norm, expected[name].norm, rtol=1e-5, atol=0.0)
