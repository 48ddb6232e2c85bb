"""The check of the first batch: what it proves, what it settles, and that it leaves no trace."""

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import BatchMixingError, LayerMismatchError
from gwa_attrib.gradients import LayerCapture, make_plan
from gwa_attrib.gradients.capture import Listening
from gwa_attrib.gradients.rules import linear
from gwa_attrib.gradients.rules.rule import Operands, Parts
from gwa_attrib.gradients.self_check import Deviation, Inputs, batch_size, check
from tests.gradients.oracle import Body, Pick, Readout, assert_exact, columns, measure, rows, targets_of


def checked(model: nn.Module, *arguments: Tensor, samples: int | None = None) -> list[Deviation]:
    with LayerCapture(model, make_plan(model, "all")) as capture:
        return check(model, capture, Inputs(arguments, {}, samples or len(arguments[0])))


def network(x: Tensor) -> nn.Module:
    """With everything that training mode changes."""
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Conv2d(4, 4, 3), nn.Dropout2d()
    )
    return Readout(body, x)


@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_every_recorded_parameter_is_compared_and_agrees(samples: int) -> None:
    x = torch.randn(samples, 3, 6, 6)
    model = network(x)
    found = checked(model, x)
    assert {deviation.parameter for deviation in found} == {name for name, _ in model.named_parameters()}
    assert max(deviation.worst for deviation in found) < 1e-4


def test_an_empty_batch_says_nothing() -> None:
    model = network(torch.randn(2, 3, 6, 6))
    assert checked(model, torch.randn(0, 3, 6, 6)) == []


def test_flags_buffers_random_state_and_gradients_are_as_before() -> None:
    x = torch.randn(5, 3, 6, 6)
    model = network(x)
    model.register_buffer("calls", torch.zeros(()))
    model.register_forward_pre_hook(count_calls)
    model.body[1].eval()
    F.cross_entropy(model(x), targets_of(5)).backward()
    model.head.bias.grad = None
    flags = [module.training for module in model.modules()]
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    with LayerCapture(model, make_plan(model, "all")) as capture:
        check(model, capture, Inputs((x,), {}, 5))
        assert capture.listening is Listening.TRAINING
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    for name, parameter in model.named_parameters():
        before = gradients[name]
        assert parameter.grad is None if before is None else torch.equal(parameter.grad, before)
        assert parameter.requires_grad


def count_calls(module: nn.Module, arguments: object) -> None:
    module.calls.add_(1.0)  # type: ignore[operator,union-attr]


def test_all_is_as_before_also_when_it_fails() -> None:
    x = torch.randn(5, 6)
    model = Readout(Body(_centred, layer=nn.Linear(6, 4), noise=nn.Dropout()), x)
    random = torch.get_rng_state()
    with LayerCapture(model, make_plan(model, "all")) as capture:
        with pytest.raises(LayerMismatchError):
            check(model, capture, Inputs((x,), {}, 5))
        assert capture.listening is Listening.TRAINING
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in model.parameters())


def _centred(self: Body, x: Tensor) -> Tensor:
    x = self.layer(x)
    return x - x.mean(dim=0)


def _softmax_over_the_batch(self: Body, x: Tensor) -> Tensor:
    return self.layer(x).softmax(dim=0)


def _attends_to_other_samples(self: Body, x: Tensor) -> Tensor:
    x = self.layer(x)
    return F.scaled_dot_product_attention(x[None], x[None], x[None])[0]


def _rolled(self: Body, x: Tensor) -> Tensor:
    x = self.layer(x)
    return x + x.roll(1, 0)


@pytest.mark.parametrize("forward", [_centred, _softmax_over_the_batch, _attends_to_other_samples, _rolled])
def test_a_model_that_mixes_samples_is_caught(forward: Callable[..., Tensor]) -> None:
    x = torch.randn(5, 6)
    with pytest.raises(LayerMismatchError, match=r"'body\.layer\.(weight|bias)'|'head\.weight'"):
        checked(Readout(Body(forward, layer=nn.Linear(6, 4)), x), x)


@pytest.mark.parametrize("wrong", ["dot", "squared_norm"])
@pytest.mark.parametrize("error", [0.05, -0.05, float("nan"), float("inf")])
def test_a_wrong_rule_is_caught_and_the_parameter_named(
    monkeypatch: pytest.MonkeyPatch, wrong: str, error: float
) -> None:
    """Off by a twentieth of the gradient's size."""

    def norms(module: nn.Linear, operands: Operands, sums: object = None) -> Parts:
        parts = linear.norms(module, operands)
        if module.out_features == 5:
            dot, square = parts["weight"]
            size = square.sqrt() * module.weight.detach().norm() if wrong == "dot" else square
            parts["weight"] = parts["weight"]._replace(**{wrong: (dot if wrong == "dot" else square) + error * size})
        return parts

    monkeypatch.setattr(linear, "RULE", dataclasses.replace(linear.RULE, norms=norms))
    x = torch.randn(5, 6)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    with pytest.raises(LayerMismatchError, match=r"'0\.weight'"):
        checked(model, x)


def test_a_batch_norm_passes_and_is_refused_in_training() -> None:
    """The check looks at single samples, which batch norm only has in evaluation."""
    x = torch.randn(5, 3, 6, 6)
    model = network(x)
    checked(model, x)
    with pytest.raises(BatchMixingError):
        measure(model, (x,), settled=(x,))


def test_arguments_by_name_in_containers_and_of_other_kinds_are_understood() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, batch: dict[str, Tensor], *, scale: float, pair: tuple[Tensor, str]) -> Tensor:
            return self.head(self.layer(batch["x"]) * scale + pair[0])

    model, x = Model(), torch.randn(5, 4)
    arguments = {"scale": 2.0, "pair": (torch.randn(5, 4), "name")}
    assert batch_size([{"x": x}], {}) == 5
    with LayerCapture(model, make_plan(model, "all")) as capture:
        found = check(model, capture, Inputs(({"x": x},), arguments, 5))
    assert max(deviation.worst for deviation in found) < 1e-4


def test_a_mask_of_positions_as_many_as_samples_is_left_whole() -> None:
    x, mask = torch.randn(5, 5, 6), nn.Transformer.generate_square_subsequent_mask(5)

    def forward(self: Body, x: Tensor, mask: Tensor) -> Tensor:
        return self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]

    model = Readout(Body(forward, attention=nn.MultiheadAttention(6, 2, batch_first=True)), x, mask)
    assert max(deviation.worst for deviation in checked(model, x, mask)) < 1e-4


def test_a_bag_with_offsets_is_checked() -> None:
    ids, offsets = torch.randint(0, 6, (13,)), torch.tensor([0, 3, 3, 7, 10])
    model = Readout(nn.EmbeddingBag(6, 4), ids, offsets)
    assert max(deviation.worst for deviation in checked(model, ids, offsets, samples=5)) < 1e-4


def test_inputs_with_as_many_times_as_samples_are_checked() -> None:
    model = _time_major(5)
    assert max(deviation.worst for deviation in checked(model, torch.randn(5, 5, 3), samples=5)) < 1e-4


def _time_major(positions: int) -> nn.Module:
    def forward(self: Body, x: Tensor) -> Tensor:
        return F.gelu(self.second(F.gelu(self.first(x)))).transpose(0, 1)

    return Readout(Body(forward, first=nn.Linear(3, 4), second=nn.Linear(4, 2)), torch.randn(positions, 2, 3))


@pytest.mark.parametrize("positions", [2, 3, 4, 5, 6, 12])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 6, 12])
def test_layers_on_the_time_first_are_settled(positions: int, samples: int) -> None:
    x = torch.randn(positions, samples, 3)
    settle(_time_major(positions), x, torch.randn(positions, 7, 3), columns)


def settle(model: nn.Module, x: Tensor, first: Tensor, pick: Pick = rows) -> None:
    samples = x.shape[0] if pick is rows else x.shape[1]
    targets = targets_of(samples)
    assert_exact(model, x, targets=targets, pick=pick, settled=(first,), settled_samples=7)


def _frames(self: Body, x: Tensor) -> Tensor:
    return F.gelu(self.second(F.gelu(self.first(x.flatten(0, 1))))).unflatten(0, x.shape[:2])


@pytest.mark.parametrize("positions", [3, 4, 5])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 8])
def test_frames_folded_into_the_batch_are_settled(positions: int, samples: int) -> None:
    """Each frame with as many positions as there are samples, or half as many."""
    model = Readout(Body(_frames, first=nn.Linear(3, 4), second=nn.Linear(4, 2)), torch.randn(2, 2, positions, 3))
    settle(model, torch.randn(samples, 2, positions, 3), torch.randn(7, 2, positions, 3))


def positional(positions: int, leading: tuple[int, ...] = ()) -> nn.Module:
    def forward(self: Body, ids: Tensor) -> Tensor:
        place = torch.arange(positions).view(*leading, positions)
        return self.words(ids) + self.places(place)

    body = Body(forward, words=nn.Embedding(7, 3), places=nn.Embedding(positions, 3))
    return Readout(body, torch.zeros(1, positions, dtype=torch.long))


@pytest.mark.parametrize("positions", [3, 4, 5, 6, 8, 12, 60])
@pytest.mark.parametrize("leading", [(), (1,)])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 6, 12])
def test_positions_as_many_as_samples_or_a_multiple_are_settled(
    positions: int, leading: tuple[int, ...], samples: int
) -> None:
    """The last batch of an epoch may have one sample only."""
    model = positional(positions, leading)
    settle(model, torch.randint(0, 7, (samples, positions)), torch.randint(0, 7, (7, positions)))


@pytest.mark.parametrize("first", [2, 3, 4, 5])
@pytest.mark.parametrize("positions", [4, 8, 12])
def test_positions_are_settled_by_a_small_first_batch_too(first: int, positions: int) -> None:
    ids = torch.randint(0, 7, (4, positions))
    assert_exact(positional(positions), ids, settled=(torch.randint(0, 7, (first, positions)),))
