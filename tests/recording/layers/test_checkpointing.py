"""Activation checkpointing runs layers again in the backward pass: the numbers stay right, or the error has a cure."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from gwa_attrib.errors import LayerError
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, SAMPLES, Trial

CURE = r"use_reentrant=False|checkpoint|layers=\["


class Checkpointed(nn.Module):
    """A stem, a block that is checkpointed, and a head."""

    def __init__(self, stem: nn.Module, block: nn.Module, head: nn.Module, reentrant: bool | None) -> None:
        super().__init__()
        self.stem, self.block, self.head, self.reentrant = stem, block, head, reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.reentrant is not None and self.training:
            x = checkpoint(self.block, x, use_reentrant=self.reentrant)
        else:
            x = self.block(x)
        return self.head(x)


class Residual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Scaled(nn.Module):
    """Raw parameters inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(8), nn.Linear(8, 8)
        self.scale, self.shift = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(7, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.linear(self.norm(x) + self.shift).tanh()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.attention(y, y, y, need_weights=False)[0]


class Tied(nn.Module):
    """A layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.linear(x).tanh())


Parts = tuple[nn.Module, nn.Module, nn.Module]


def on_images(*layers: nn.Module) -> Parts:
    return nn.Conv2d(2, 4, 1), nn.Sequential(*layers), nn.Sequential(loops.Pool(), nn.Linear(4, 3))


def on_sequences(*layers: nn.Module) -> Parts:
    return nn.Linear(6, 8), nn.Sequential(*layers), nn.Sequential(loops.Mean(), nn.Linear(8, 3))


def on_rows(*layers: nn.Module) -> Parts:
    return nn.Linear(6, 8), nn.Sequential(*layers), nn.Linear(8, 3)


LAYERS: dict[str, Callable[[], Parts]] = {
    "rows": lambda: on_rows(nn.Linear(8, 8), nn.ReLU(True), nn.LayerNorm(8), nn.Linear(8, 8)),
    "sequence": lambda: on_sequences(Residual(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))),
    "convolutions": lambda: on_images(
        nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(True), nn.Conv2d(4, 4, 3)
    ),
    "convolutions through Gram matrices": lambda: on_images(nn.Conv2d(4, 32, 6), nn.GELU(), nn.Conv2d(32, 4, 1)),
    "depthwise convolution": lambda: on_images(nn.Conv2d(4, 4, 3, groups=4), nn.InstanceNorm2d(4, affine=True)),
}
AWKWARD: dict[str, Callable[[], Parts]] = {
    "attention": lambda: on_sequences(Attention()),
    "raw parameters": lambda: on_sequences(Scaled()),
    "a layer that runs twice": lambda: on_sequences(Tied()),
    "an encoder layer": lambda: on_sequences(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)),
}
modes = pytest.mark.parametrize("reentrant", [False, True], ids=["not reentrant", "reentrant"])


def trial(path: Path, parts: Callable[[], Parts], reentrant: bool | None, **options: Any) -> Trial:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return Checkpointed(*parts(), reentrant)

    x = {nn.Conv2d: loops.images}.get(type(parts()[0]))
    if x is None:
        x = loops.vectors if isinstance(parts()[2], nn.Linear) else loops.sequences
    case = Trial(path, make, x(), **options)
    case._twin.reentrant = None
    return case


@pytest.mark.parametrize("layers", LAYERS)
def test_layers_in_a_checkpointed_block(tmp_path: Path, layers: str) -> None:
    with trial(tmp_path / "run", LAYERS[layers], reentrant=False) as case:
        case.epochs(BATCHES, 2)
    case.check()


@pytest.mark.parametrize("layers", LAYERS)
def test_layers_in_a_reentrant_checkpoint_are_right_or_refused(tmp_path: Path, layers: str) -> None:
    with trial(tmp_path / "run", LAYERS[layers], reentrant=True) as case:
        case.right_or_refused(lambda: case.epochs(BATCHES, 2), CURE)


@modes
@pytest.mark.parametrize("layers", AWKWARD)
def test_parameters_that_no_layer_holds_in_a_checkpoint_are_right_or_refused(
    tmp_path: Path, layers: str, reentrant: bool
) -> None:
    with trial(tmp_path / "run", AWKWARD[layers], reentrant) as case:
        case.right_or_refused(lambda: case.epochs(BATCHES, 2), CURE)


@modes
@pytest.mark.parametrize("layers", [*LAYERS, *AWKWARD])
def test_after_the_first_batch_a_refused_checkpoint_is_still_refused(
    tmp_path: Path, layers: str, reentrant: bool
) -> None:
    """Checkpointing that begins later, when the first batch has been checked: no number may be wrong then either."""
    with trial(tmp_path / "run", {**LAYERS, **AWKWARD}[layers], None) as case:

        def train() -> None:
            case.epochs(BATCHES, 1)
            case.model.reentrant = reentrant
            case.epochs([[0, 1, 2], *BATCHES, [5]], 1)

        case.right_or_refused(train, CURE)


@modes
@pytest.mark.parametrize("layers", ["attention", "raw parameters"])
def test_parameters_that_are_refused_in_a_checkpoint_are_so_with_a_cure_that_helps(
    tmp_path: Path, layers: str, reentrant: bool
) -> None:
    """Out of the checkpoint, or left out; the other kind of checkpoint would not help."""
    with trial(tmp_path / "run", AWKWARD[layers], reentrant) as case:
        with pytest.raises(LayerError, match=r"out of the checkpoint.*layers=|layers=.*out of the checkpoint") as error:
            case.epochs(BATCHES, 1)
        assert "use_reentrant" not in str(error.value)
    for name, mode, recorded in (("out of it", None, "all"), ("left out", reentrant, ["stem", "head"])):
        with trial(tmp_path / name, AWKWARD[layers], mode, layers=recorded) as case:
            case.epochs(BATCHES, 1)
        case.check()


class InPieces(nn.Module):
    """Several checkpoints in a row; the second has a checkpoint inside."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        block = [nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.GroupNorm(2, 4), nn.ReLU()]
        more = [nn.Conv2d(4, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 4, 3, groups=2)]
        self.stem, self.blocks = nn.Conv2d(2, 4, 1), nn.Sequential(*block, *more)
        self.inner, self.head = nn.Linear(64, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if not self.training:
            return self.head(self.inner(self.blocks(x).flatten(1)).tanh())
        x = checkpoint_sequential(self.blocks, 3, x, use_reentrant=False)
        return checkpoint(self.rest, x, use_reentrant=False)

    def rest(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(lambda x: self.inner(x.flatten(1)).tanh(), x, use_reentrant=False))


def test_several_checkpoints_and_one_inside_another(tmp_path: Path) -> None:
    with Trial(tmp_path / "run", InPieces, loops.images()) as case:
        case.epochs(BATCHES, 2)
    case.check()


@pytest.mark.parametrize("layers", LAYERS)
def test_checkpointing_saves_its_memory_while_recording(tmp_path: Path, layers: str) -> None:
    """What the block has computed is gone after the forward pass, and gone again after the backward pass."""
    with trial(tmp_path / "run", LAYERS[layers], reentrant=False) as case:
        case.step([0, 1, 2])
        alive: list[weakref.ref[Tensor]] = []
        inside = [module for module in case.model.block.modules() if list(module.parameters(recurse=False))][:-1]
        handles = [m.register_forward_hook(lambda m, args, out: alive.append(weakref.ref(out))) for m in inside]
        loss = F.cross_entropy(case.model(case.x), case.y)
        gc.collect()
        assert len(alive) == len(inside)
        assert [reference() for reference in alive if reference() is not None] == []
        case.expect(range(SAMPLES))
        loss.backward()
        case.recorder.step(case.y, sample_ids=range(SAMPLES))
        gc.collect()
        assert [reference() for reference in alive if reference() is not None] == []
        for handle in handles:
            handle.remove()
        case.end_epoch()
    case.check()


@pytest.mark.parametrize("layers", LAYERS)
def test_tensors_kept_on_the_cpu_or_packed_are_the_same(tmp_path: Path, layers: str) -> None:
    """`save_on_cpu`, and hooks on saved tensors that pack them in some way."""

    def packed(case: Trial, ids: list[int]) -> None:
        case.expect(ids)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (t.clone(), t.shape), lambda kept: kept[0]):
            loss = F.cross_entropy(case.model(case.x[ids]), case.y[ids])
        loss.backward()
        case.recorder.step(case.y[ids], sample_ids=ids)

    with trial(tmp_path / "run", LAYERS[layers], None) as case:
        for ids in BATCHES:
            packed(case, ids)
        case.end_epoch()
    case.check()
