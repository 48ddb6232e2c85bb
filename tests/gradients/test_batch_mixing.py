"""Modules that mix the samples of a batch in training mode only, and the hooks that the check fires."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gwa_attrib.errors import LayerMismatchError
from gwa_attrib.gradients import LayerCapture, make_plan
from gwa_attrib.gradients.self_check import Deviation, Inputs, check
from tests.gradients.oracle import assert_exact


class InTraining(nn.Module):
    """Computes `function` in training mode, and nothing in evaluation mode."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) if self.training else x


def network(function: Callable[[Tensor], Tensor], *, noise: float = 0.0) -> nn.Sequential:
    mixes = nn.Sequential(nn.Dropout(noise), InTraining(function))
    return nn.Sequential(nn.Linear(6, 5), mixes, nn.Tanh(), nn.Linear(5, 3))


def checked(model: nn.Module, x: Tensor, layers: str | list[str] = "all") -> list[Deviation]:
    with LayerCapture(model, make_plan(model, layers)) as capture:
        return check(model, capture, Inputs((x,), {}, len(x)))


MIXES: dict[str, Callable[[Tensor], Tensor]] = {
    "the batch mean taken off": lambda x: x - x.mean(dim=0),
    "scaled by the batch": lambda x: x / x.std(dim=0).clamp_min(0.1),
    "mixup": lambda x: 0.7 * x + 0.3 * x[torch.randperm(len(x)).roll(1)],
    "a neighbour": lambda x: x + x.roll(1, 0),
}


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("function", ["the batch mean taken off", "scaled by the batch", "a neighbour"])
def test_a_module_that_mixes_in_training_only_is_refused_by_its_name(function: str, noise: float) -> None:
    torch.manual_seed(0)
    with pytest.raises(LayerMismatchError, match=r"module '1\.1' mixes the samples.*eval\(\).*layers="):
        checked(network(MIXES[function], noise=noise), torch.randn(8, 6))


def test_samples_mixed_at_random_are_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(LayerMismatchError):
        checked(network(MIXES["mixup"]), torch.randn(8, 6))


def test_a_model_whose_own_forward_mixes_is_called_that() -> None:
    class Centred(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            x = super().forward(x)
            return x - x.mean(dim=0) if self.training else x

    with pytest.raises(LayerMismatchError, match="the model's own forward mixes"):
        checked(Centred(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), torch.randn(8, 6))


@pytest.mark.parametrize("function", MIXES)
def test_the_cures_that_the_refusal_names_help(function: str) -> None:
    model, x = network(MIXES[function]), torch.randn(8, 6)
    assert max(deviation.worst for deviation in checked(model, x, ["3"])) < 1e-4
    model[1].eval()
    assert max(deviation.worst for deviation in checked(model, x)) < 1e-4
    assert_exact(model, x)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_and_noise_of_each_sample_mix_nothing(p: float) -> None:
    model = network(lambda x: x + torch.randn_like(x), noise=p)
    assert max(deviation.worst for deviation in checked(model, torch.randn(8, 6))) < 1e-4


def test_the_check_calls_the_model_once_and_its_hooks_as_often() -> None:
    model, x = network(torch.tanh), torch.randn(8, 6)
    calls: list[tuple[str, int]] = []
    model.register_forward_pre_hook(lambda module, args: calls.append(("model", len(args[0]))))
    model[0].register_forward_hook(lambda module, args, out: calls.append(("layer", len(out))))
    checked(model, x)
    assert calls == [("model", 3), ("layer", 3)]


def test_hooks_that_are_part_of_the_computation_take_part_in_the_check() -> None:
    """As those of weight norm and pruning; a check without them would measure another model."""
    model, x = network(torch.tanh), torch.randn(8, 6)
    model[0].register_forward_hook(lambda module, args, out: out - out.mean(dim=0))
    with pytest.raises(LayerMismatchError, match="the module '0' mixes"):
        checked(model, x)


def test_buffers_that_a_forward_pass_replaces_come_back() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.layer = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.calls = self.calls + 1
            return self.layer(x)

    model = Counts()
    before = model.calls
    checked(model, torch.randn(8, 6))
    assert model.calls is before
    assert not before.any()
