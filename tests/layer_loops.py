"""Recorded trainings with the truth beside them: at each step a float64 loop over batches of one, by autograd."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.errors import GWAError
from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import Run, open_run

CLASSES, SAMPLES = 3, 12
FLOOR = 1e-2
"""A gradient below this share of the whole is measured against it: where it is zero by its nature, rounding is left."""
Loss = Callable[[Tensor, Tensor], Tensor]
Inputs = Any
"""What the model is called with: a tensor, or a tuple or dict of tensors; samples first in each."""


def vectors(n: int = SAMPLES, features: int = 6) -> Tensor:
    """The first number of sample i is i."""
    x = torch.randn(n, features, generator=torch.Generator().manual_seed(n))
    return torch.cat([torch.arange(float(n)).unsqueeze(1), x[:, 1:]], dim=1)


def images(n: int = SAMPLES, channels: int = 2, size: int = 6) -> Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(n))


def sequences(n: int = SAMPLES, length: int = 7, features: int = 6) -> Tensor:
    return torch.randn(n, length, features, generator=torch.Generator().manual_seed(n))


def labels(n: int = SAMPLES) -> Tensor:
    return torch.arange(n) % CLASSES


class Pool(nn.Module):
    """Mean over all but samples and channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8, bias=False), nn.ReLU(inplace=True), nn.Linear(8, 3)
    )


def convnet() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, stride=2, bias=False), nn.GELU(), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip


class Mean(nn.Module):
    """Mean over the positions of a sequence."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def sequence_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 8), Mean(), nn.Linear(8, 3))


class Attends(nn.Module):
    """A class token, position embeddings, attention and a layer scale: parameters that no layer's call holds."""

    def __init__(self, length: int = 7, features: int = 6) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.token = nn.Parameter(torch.randn(1, 1, features))
        self.position = nn.Parameter(torch.randn(1, length + 1, features))
        self.norm = nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(features, 2, batch_first=True)
        self.scale = nn.Parameter(torch.rand(features))
        self.head = nn.Linear(features, CLASSES)

    def body(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        y = self.norm(x)
        return x + self.scale * self.attention(y, y, y, need_weights=False)[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[:, 0])


KINDS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "mlp": (mlp, vectors),
    "convnet": (convnet, images),
    "sequence": (sequence_net, sequences),
    "attention": (Attends, sequences),
}


class Truth(NamedTuple):
    """One step: of each parameter ⟨∂ℓ/∂θ, θ⟩ and ‖∂ℓ/∂θ‖² of each sample's own loss, and ‖θ‖²."""

    epoch: int
    ids: list[int]
    gradients: dict[str, Tensor]
    weights: dict[str, float]

    def of(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, float]:
        """⟨-g, θ⟩ and ‖g‖ of each sample, and ‖θ‖, of several parameters together."""
        dot, square = sum(self.gradients[name] for name in names).unbind(1)  # type: ignore[union-attr]
        return -dot.numpy(), square.sqrt().numpy(), sum(self.weights[name] for name in names) ** 0.5


def rows(inputs: Inputs, ids: Sequence[int], dtype: torch.dtype | None = None) -> Inputs:
    """The samples with these numbers."""
    if isinstance(inputs, dict):
        return {name: rows(value, ids, dtype) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(rows(value, ids, dtype) for value in inputs)
    part = inputs[list(ids)]
    return part.to(dtype) if dtype is not None and part.is_floating_point() else part


def call(model: nn.Module, inputs: Inputs) -> Tensor:
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


class Trial:
    """A recorded training in a ``with`` block. `expect` notes the truth of a batch at the weights of that moment."""

    def __init__(
        self,
        path: Path,
        make: Callable[[], nn.Module],
        x: Inputs,
        y: Tensor | None = None,
        *,
        own: Loss = F.cross_entropy,
        **options: Any,
    ) -> None:
        self.model, self._twin, self.x, self._own = make(), make().double(), x, own
        self.y = labels() if y is None else y
        self.recorder: Recorder = record(self.model, path, num_samples=len(self.y), **{"layers": "all", **options})
        self.truths: list[Truth] = []
        self.epoch = 0

    def __enter__(self) -> "Trial":
        self.recorder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.recorder.__exit__(kind, error, trace)

    def expect(self, ids: Sequence[int]) -> None:
        self._twin.load_state_dict(self.model.state_dict())
        for ours, theirs in zip(self.model.modules(), self._twin.modules(), strict=True):
            theirs.training = ours.training
        parameters = dict(self._twin.named_parameters())
        for name, parameter in self.model.named_parameters():
            parameters[name].requires_grad_(parameter.requires_grad)
        trainable = {name: p for name, p in parameters.items() if p.requires_grad}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in trainable}
        for i in ids:
            target = self.y[[i]] if self.y.dim() == 1 else self.y[[i]].double()
            loss = self._own(call(self._twin, rows(self.x, [i], torch.float64)), target)
            gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
            for (name, p), g in zip(trainable.items(), gradients, strict=True):
                found[name].append(
                    (0.0, 0.0) if g is None else (float((g * p.detach()).sum()), float(g.square().sum()))
                )
        values = {name: torch.tensor(value, dtype=torch.float64).view(-1, 2) for name, value in found.items()}
        weights = {name: float(p.detach().square().sum()) for name, p in trainable.items()}
        self.truths.append(Truth(self.epoch, list(ids), values, weights))

    def backward(self, ids: Sequence[int], loss: Loss = F.cross_entropy, model: nn.Module | None = None) -> Tensor:
        """Forward and backward over these samples, whose truth is noted before; returns their targets."""
        self.expect(ids)
        loss(call(self.model if model is None else model, rows(self.x, ids)), self.y[list(ids)]).backward()
        return self.y[list(ids)]

    def step(self, ids: Sequence[int], loss: Loss = F.cross_entropy, model: nn.Module | None = None) -> None:
        self.recorder.step(self.backward(ids, loss, model), sample_ids=torch.tensor(list(ids), dtype=torch.int64))

    def epochs(
        self, batches: Sequence[Sequence[int]], n: int = 1, loss: Loss = F.cross_entropy, lr: float = 0.1
    ) -> "Trial":
        """Epochs of the documentation's loop."""
        optimizer = torch.optim.SGD(self.model.parameters(), lr)
        for _ in range(n):
            for ids in batches:
                self.step(ids, loss)
                optimizer.step()
                optimizer.zero_grad()
            self.end_epoch()
        return self

    def end_epoch(self) -> None:
        self.recorder.end_epoch()
        self.epoch += 1

    def right_or_refused(self, train: Callable[[], Any], cure: str) -> None:
        """Either all numbers are the truth, or an error of this package says what to do about it."""
        refusal: GWAError | None = None
        try:
            train()
        except GWAError as error:
            refusal = error
        if refusal is None:
            self.check()
        else:
            assert re.search(cure, refusal.todo), refusal

    @property
    def run(self) -> Run:
        return open_run(self.recorder.path)

    def check(self, tolerance: float = 1e-5) -> None:
        """Every number that was recorded is the truth, and none is missing."""
        run = self.run
        blocks, trainable = run.layers[1:], self.truths[0].gradients
        members = {block: [p for p in trainable if p == block or p.startswith(block + ".")] for block in blocks}
        members["all"] = [name for names in members.values() for name in names]
        frame = run.layer_observations().to_pandas()
        assert list(run.layers) == ["all", *blocks]
        assert all(members.values())
        assert len(frame) == len(run.layers) * sum(len(truth.ids) for truth in self.truths)
        for step, truth in enumerate(self.truths):
            for layer in run.layers:
                of_step = frame[(frame["step"] == step) & (frame["layer"] == layer)]
                check_rows(of_step.set_index("sample_id"), truth, members[layer], members["all"], tolerance)


def check_rows(found: Any, truth: Truth, names: list[str], everything: list[str], tolerance: float) -> None:
    where = f"epoch {truth.epoch}, {names}"
    assert sorted(found.index) == sorted(truth.ids), where
    assert (found["epoch"] == truth.epoch).all(), where
    found = found.loc[truth.ids, ["alignment", "dot", "grad_norm"]].astype(np.float64)
    dot, norm, weight = truth.of(names)
    size = np.maximum(norm, FLOOR * truth.of(everything)[1])
    for name, expected, scale in (("grad_norm", norm, size), ("dot", dot, size * weight)):
        gap = np.abs(found[name].to_numpy() - expected)
        assert (gap <= tolerance * scale).all(), f"{name} of {where}: {gap / np.maximum(scale, 1e-30)}"
    known = norm * weight > 0
    assert np.isnan(found["alignment"].to_numpy()[~known]).all(), where
    assert (found["grad_norm"].to_numpy()[norm == 0] == 0).all(), where
    gap = np.abs(found["alignment"].to_numpy()[known] - dot[known] / (norm[known] * weight))
    assert (gap <= 2 * tolerance * size[known] / norm[known]).all(), f"alignment of {where}: {gap}"


BATCHES = [[3, 0, 5, 7, 1], [2, 4, 11, 6, 8], [9, 10]]
"""All samples, in batches of several sizes."""
