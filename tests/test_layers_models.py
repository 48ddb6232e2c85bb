"""Layers of models as people write them: in place, used again, left out, frozen, mixed by batch norm, dropped out."""

from collections.abc import Callable
from pathlib import Path

import layer_loops as loops
import pytest
import torch
import torch.nn.functional as F
from layer_loops import BATCHES, Trial
from torch import Tensor, nn

from gwa_attrib.errors import BatchMixingError


IN_PLACE: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "linear": lambda: (nn.Sequential(nn.Linear(6, 8), nn.ReLU(True), nn.Linear(8, 3)), loops.vectors()),
    "linear without bias": lambda: (
        nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(True), nn.Linear(8, 3)),
        loops.vectors(),
    ),
    **{
        f"{name}": lambda make=make: (
            nn.Sequential(nn.Linear(6, 8), make(), nn.ReLU(True), loops.Mean(), nn.Linear(8, 3)),
            loops.sequences(),
        )
        for name, make in {
            "linear over a sequence": lambda: nn.Linear(8, 8),
            "long linear over a sequence": lambda: nn.Linear(8, 8, bias=False),
            "layer norm": lambda: nn.LayerNorm(8),
            "RMS norm": lambda: nn.RMSNorm(8),
            "PReLU": lambda: nn.PReLU(7),
        }.items()
    },
    **{
        f"{name}": lambda make=make: (
            nn.Sequential(nn.Conv2d(2, 4, 1), nn.GELU(), make(), nn.ReLU(True), loops.Pool(), nn.Linear(4, 3)),
            loops.images(),
        )
        for name, make in {
            "convolution": lambda: nn.Conv2d(4, 4, 3, padding=1),
            "reflecting convolution": lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
            "convolution of few positions": lambda: nn.Conv2d(4, 4, 6),
            "depthwise convolution": lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False),
            "transposed convolution": lambda: nn.ConvTranspose2d(4, 4, 2, stride=2),
            "group norm": lambda: nn.GroupNorm(2, 4),
            "instance norm": lambda: nn.InstanceNorm2d(4, affine=True),
            "frozen batch norm": lambda: nn.BatchNorm2d(4).eval(),
        }.items()
    },
}


@pytest.mark.parametrize("layer", IN_PLACE)
def test_an_activation_in_place_right_behind_a_layer(tmp_path: Path, layer: str) -> None:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return IN_PLACE[layer]()[0]

    with Trial(tmp_path / "run", make, IN_PLACE[layer]()[1]) as case:
        case.epochs(BATCHES, 2)
    case.check()


class Reuses(nn.Module):
    """Weights that are used again: a layer called twice (on outputs of two sizes), and two layers with one weight."""

    def __init__(self, of: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of = of
        self.first, self.norm = nn.Conv1d(6, 6, 3, padding=1), nn.LayerNorm(6)
        self.linear, self.tied, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        if of == "two layers":
            self.tied.weight = self.linear.weight
        if of == "head":
            self.tied = nn.Linear(3, 6, bias=False)
            self.tied.weight = nn.Parameter(self.head.weight.detach().t().clone())
            self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x.transpose(1, 2)).transpose(1, 2))
        if self.of == "convolution":
            x = self.first(x.tanh().transpose(1, 2)).transpose(1, 2)
        if self.of == "norm":
            x = self.norm(x.tanh())
        if self.of == "a layer of two shapes":
            return self.head(self.linear(x.mean(1)) + self.linear(x.tanh()).mean(1))
        x = self.linear(x)
        return self.head(self.linear(x.tanh()).mean(1) if self.of == "linear" else self.tail(x).mean(1))

    def tail(self, x: Tensor) -> Tensor:
        return self.tied(x) if self.of == "two layers" else x


@pytest.mark.parametrize("of", ["convolution", "norm", "linear", "two layers", "a layer of two shapes"])
def test_a_layer_that_is_used_twice_has_the_sum_of_both_gradients(tmp_path: Path, of: str) -> None:
    with Trial(tmp_path / "run", lambda: Reuses(of), loops.sequences()) as case:
        case.epochs(BATCHES, 2)
    case.check()


class Chooses(nn.Module):
    """Some batches take one branch and some the other; `always` is used, `never` is not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.always, self.never = nn.Linear(6, 8), nn.Linear(6, 8)
        self.left, self.right, self.scale = nn.Conv1d(1, 2, 3), nn.Linear(8, 12), nn.Parameter(torch.rand(12))
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.always(x).tanh()
        if x[:, 0].min() == 0:  # the batch that holds sample 0
            return self.head(self.left(y.unsqueeze(1)).flatten(1))
        return self.head(self.right(y) * self.scale)


@pytest.mark.parametrize("batches", [[[0, 1], [2, 3], [4, 5]], [[2, 3], [0, 1], [4, 5]]], ids=["first", "later"])
def test_a_parameter_that_a_batch_does_not_use_has_no_gradient_there(tmp_path: Path, batches: list[list[int]]) -> None:
    with Trial(tmp_path / "run", Chooses, loops.vectors()) as case:
        # Sample 0 takes the other branch in a batch of its own only if its batch does: so do its neighbours here.
        case.x[batches[batches.index([0, 1])], 0] = 0
        case.epochs(batches, 2)
    case.check()
    assert torch.isnan(torch.from_numpy(case.run.trajectory("alignment", layer="never")))[:, :6].all()
