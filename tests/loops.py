"""Small training loops for the tests of capture and recorder, over a data set whose samples can be told apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gwa_attrib.recording.begin import record
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.store import Run, open_run

FEATURES, CLASSES, SAMPLES = 6, 3, 20
Loss = Callable[[Tensor, Tensor], Tensor]


class Told(Dataset[Any]):
    """Sample i is ``(x, i % classes)``, and the first number of x is i: a batch says which samples it holds."""

    def __init__(self, n: int = SAMPLES, classes: int = CLASSES) -> None:
        generator = torch.Generator().manual_seed(n)
        self.x = torch.cat([torch.arange(float(n)).unsqueeze(1), torch.randn(n, FEATURES - 1, generator=generator)], 1)
        self.y = torch.arange(n) % classes

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


def told_ids(x: Tensor) -> list[int]:
    """Which samples of `Told` are in a batch."""
    return x[:, 0].long().tolist()


class Classifier(nn.Module):
    """``head(body(x))``. The first feature is the sample's number: scaled down, so that it does not rule."""

    def __init__(self, classes: int = CLASSES, dropout: float = 0.0, *, bias: bool = True, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Dropout(dropout))
        self.head = nn.Linear(8, classes, bias=bias)

    def features(self, x: Tensor) -> Tensor:
        return self.body(torch.cat([x[:, :1] / SAMPLES, x[:, 1:]], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def loader(dataset: Dataset[Any] | None = None, batch_size: int = 6, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset if dataset is not None else Told(), batch_size, **options)


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr)


def train(
    recorder: Recorder,
    model: nn.Module,
    batches: DataLoader[Any] | None = None,
    *,
    epochs: int = 1,
    loss: Loss = F.cross_entropy,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """The loop of the documentation."""
    batches = batches if batches is not None else loader()
    optimizer = optimizer or sgd(model)
    for _ in range(epochs):
        for x, y in recorder.batches(batches):
            loss(model(x), y).backward()
            recorder.step(y)
            optimizer.step()
            optimizer.zero_grad()
        recorder.end_epoch()


def recorded(
    path: Path,
    model: nn.Module | None = None,
    batches: DataLoader[Any] | None = None,
    *,
    epochs: int = 1,
    loss: Loss = F.cross_entropy,
    optimizer: torch.optim.Optimizer | None = None,
    num_samples: int = SAMPLES,
    **options: Any,
) -> Run:
    """Train with the loop of the documentation, and open what was recorded."""
    model = Classifier() if model is None else model
    with record(model, path, num_samples=num_samples, **options) as recorder:
        train(recorder, model, batches, epochs=epochs, loss=loss, optimizer=optimizer)
    return open_run(path)


def same_observations(found: Run, expected: Run) -> None:
    """To the bit."""
    frames = [run.observations().to_pandas() for run in (found, expected)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def backward(model: nn.Module, ids: list[int], loss: Loss = F.cross_entropy) -> Tensor:
    """Forward and backward over some samples of `Told`; returns their labels."""
    data = Told()
    loss(model(data.x[ids]), data.y[ids]).backward()
    return data.y[ids]
