"""Layers of models as people write them: in place, used again, left out, frozen, mixed by batch norm, dropped out."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import BatchMixingError, GWAError
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, SAMPLES, Trial

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
    """Weights that are used again: a layer that is called twice, or two layers with one weight."""

    def __init__(self, of: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of = of
        self.first, self.norm = nn.Conv1d(6, 6, 3, padding=1), nn.LayerNorm(6)
        self.linear, self.tied, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        if of == "two layers":
            self.tied.weight = self.linear.weight

    def convolve(self, x: Tensor) -> Tensor:
        return self.first(x.transpose(1, 2)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.convolve(x))
        if self.of == "convolution":
            x = self.convolve(x.tanh())
        if self.of == "norm":
            x = self.norm(x.tanh())
        if self.of == "linear":
            x = self.linear(x).tanh()
        if self.of == "a layer of two shapes":
            return self.head(self.linear(x.mean(1)) + self.linear(x.tanh()).mean(1))
        return self.head(self.tied(self.linear(x).tanh()).mean(1))


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
    x = loops.vectors()
    x[1, 0] = 0  # the neighbour of sample 0 takes its branch when it is alone too
    with Trial(tmp_path / "run", Chooses, x) as case:
        case.epochs(batches, 2)
    case.check()
    assert np.isnan(case.run.trajectory("alignment", layer="never")).all()
    assert (case.run.trajectory("grad_norm", layer="never")[:, :6] == 0).all()


class Masks(nn.Module):
    """Dropout whose mask belongs to the sample, which its first feature names: a loop can repeat it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.register_buffer("masks", (torch.rand(2, SAMPLES, 8) < 0.6) / 0.6)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.masks[:, x[:, 0].long()] if self.training else (1.0, 1.0)
        x = self.body(x / SAMPLES).tanh() * first
        return self.head(self.second(x).relu_() * second)


def test_dropout(tmp_path: Path) -> None:
    with Trial(tmp_path / "run", Masks, loops.vectors()) as case:
        case.epochs(BATCHES, 3)
    case.check()


def batch_normed() -> nn.Sequential:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), norm, nn.ReLU(True), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(True),
        nn.Linear(8, 3),
    )  # fmt: skip


def test_batch_norm_in_training_mode_is_named_with_the_ways_out(tmp_path: Path) -> None:
    with Trial(tmp_path / "run", batch_normed, loops.images()) as case:
        loss = F.cross_entropy(case.model(case.x[:4]), case.y[:4])
        with pytest.raises(BatchMixingError, match=r"'1' in training mode.*GroupNorm.*eval\(\).*layers=") as caught:
            loss.backward()
        assert "'0'" in caught.value.found


@pytest.mark.parametrize("affine", [True, False])
def test_a_frozen_batch_norm_is_a_layer_like_any_other(tmp_path: Path, affine: bool) -> None:
    def make() -> nn.Module:
        model = batch_normed()
        model[1].requires_grad_(affine)
        return model

    with Trial(tmp_path / "run", make, loops.images()) as case:
        case.model[1].eval()
        case.epochs(BATCHES, 2)
    case.check()


def test_what_comes_after_a_batch_norm_is_measured(tmp_path: Path) -> None:
    """The truth is a loop over the rest of the model, from what the batch norm put out."""
    layers = ["3", "5", "7"]
    rest = Trial(tmp_path / "rest", lambda: batch_normed()[2:], torch.zeros(SAMPLES, 4, 4, 4))
    with Trial(tmp_path / "run", batch_normed, loops.images(), layers=layers) as case:
        optimizer = torch.optim.SGD(case.model.parameters(), 0.1)
        for ids in BATCHES:
            rest.x[ids] = copy.deepcopy(case.model[:2])(case.x[ids]).detach()
            rest.model.load_state_dict(case.model[2:].state_dict())
            rest.expect(ids)
            F.cross_entropy(case.model(case.x[ids]), case.y[ids]).backward()
            case.recorder.step(case.y[ids], sample_ids=ids)
            optimizer.step()
            optimizer.zero_grad()
        case.end_epoch()
    case.truths = rest.truths
    case.check()


def frozen(*names: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = loops.Attends() if names[0] in dict(loops.Attends().named_parameters()) else loops.convnet()
        for name, p in model.named_parameters():
            p.requires_grad_(name not in names)
        return model

    return make


FROZEN = [
    ("0.weight",),
    ("0.bias",),
    ("0.weight", "0.bias", "1.weight", "1.bias"),
    ("1.weight",),
    ("1.bias", "3.weight"),
    ("token", "norm.weight"),
    ("attention.in_proj_weight",),
    ("position", "token", "scale"),
]


@pytest.mark.parametrize("names", FROZEN)
def test_frozen_parameters_are_left_out(tmp_path: Path, names: tuple[str, ...]) -> None:
    x = loops.sequences() if names[0] in dict(loops.Attends().named_parameters()) else loops.images()
    with Trial(tmp_path / "run", frozen(*names), x) as case:
        case.epochs(BATCHES, 2)
    case.check()


class Biases(nn.Module):
    """Only the biases are trained, and a residual is added in place to what a layer has read: torch allows it then."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.first.weight.requires_grad_(False)
        self.second.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x += self.second(x)
        return self.head(x)


def test_only_biases_are_trained_and_inputs_overwritten(tmp_path: Path) -> None:
    with Trial(tmp_path / "run", Biases, loops.vectors()) as case:
        case.right_or_refused(lambda: case.epochs(BATCHES, 2), "layers=|in place")


@pytest.mark.parametrize("kind", loops.KINDS)
@pytest.mark.parametrize("part", ["block", "parameter"])
@pytest.mark.parametrize("later", ["unfrozen", "frozen"])
def test_layers_that_are_frozen_or_unfrozen_while_recording_are_noticed(
    tmp_path: Path, kind: str, part: str, later: str
) -> None:
    """What is recorded is fixed when recording begins: "all" would no longer be all that is trained."""
    make, x = loops.KINDS[kind]
    first = next(iter(dict(make().named_parameters())))

    def set_trainable(model: nn.Module, flag: bool) -> None:
        for name, p in model.named_parameters():
            if name.startswith(first if part == "parameter" else first.partition(".")[0]):
                p.requires_grad_(flag)

    def begun() -> nn.Module:
        model = make()
        set_trainable(model, later == "frozen")
        return model

    def train() -> None:
        with Trial(tmp_path / "run", begun, x()) as case:
            case.epochs(BATCHES, 1)
            case.step([0, 1, 2])  # the first batch of an epoch is looked at more closely
            set_trainable(case.model, later == "unfrozen")
            case.step([3, 4])
            case.end_epoch()

    with pytest.raises(GWAError, match=r"freeze|frozen|requires_grad"):
        train()


@pytest.mark.parametrize("kind", loops.KINDS)
def test_a_model_in_evaluation_mode_whose_head_is_trained(tmp_path: Path, kind: str) -> None:
    """Fine-tuning without dropout, say: the head counts as training, so the layers have to as well, or say no."""
    make, x = loops.KINDS[kind]
    with Trial(tmp_path / "run", make, x()) as case:
        case.model.eval()
        list(case.model.children())[-1].train()
        case.right_or_refused(lambda: case.epochs(BATCHES, 2), r"model\.train\(\)")
