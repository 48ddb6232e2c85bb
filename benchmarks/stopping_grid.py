"""The trainings that stopping rules are judged on: data, label noise, network and schedule of each cell.

Each training is recorded with everything that any rule needs, and gives one row per epoch: the measures, and the test
accuracy that no rule sees.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.datasets.flip import flip_labels, known_look_alikes
from gwa_attrib.datasets.readers.built_in import CLASS_NAMES, DEFAULT_FOLDER, read_idx

EPOCHS = 40
BATCH = 128
SAMPLES = {"fashion": 5000, "cifar10n": 6000}
TEST = {"fashion": 4000, "cifar10n": 2000}
LEARNING_RATE = {"constant": 0.01, "one-cycle": 0.05, "cosine": 0.025}
"""With batch norm half of it: such that wrong labels are not learnt within the first two epochs already."""
HELD_OUT = (0.0, 0.1, 0.01)
PROBE = 2000


@dataclass(frozen=True)
class Cell:
    """One training."""

    data: str
    noise: str
    schedule: str
    batch_norm: bool
    seed: int
    held_out: float
    """Share of the training samples that is kept for validation."""

    @property
    def setting(self) -> str:
        """What a mean is taken within."""
        return f"{self.data} {self.noise} {self.schedule} {'bn' if self.batch_norm else 'no-bn'}"


def cells(seeds: int, *, cifar: bool) -> list[Cell]:
    """In order of value: all settings with one seed before the next seed."""
    settings = [("fashion", *rest) for rest in product(("none", "sym20", "sym40", "pairs20"), LEARNING_RATE)]
    if cifar:
        settings += [("cifar10n", noise, "cosine") for noise in ("random1", "worst", "aggregate")]
    norms = (True, False)
    return [
        Cell(*setting, norm, seed, held_out)
        for seed in range(seeds)
        for setting in settings
        for norm in norms
        for held_out in HELD_OUT
    ]


class Data(NamedTuple):
    """Standardised images, and labels as given; the test labels are right."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def load(cell: Cell, cifar10n: str | None) -> Data:
    """The choice of the samples and their wrong labels depend on the seed."""
    if cell.data == "fashion":
        images, labels, test_images, test_labels = (_fashion(*part) for part in FASHION)
    else:
        file = np.load(str(cifar10n))
        images, test_images = (file[name].transpose(0, 3, 1, 2) for name in ("images", "test_images"))
        labels, test_labels = file[cell.noise], file["test_labels"]
    rows = np.random.default_rng(cell.seed).permutation(len(images))[: SAMPLES[cell.data]]
    y = labels[rows].astype(np.int64)
    if cell.data == "fashion" and cell.noise != "none":
        kind = "pairs" if cell.noise == "pairs20" else "symmetric"
        y, _ = flip_labels(y, 10, int(cell.noise[-2:]) / 100, kind, cell.seed, known_look_alikes(CLASS_NAMES))
    x, test_x = (torch.from_numpy(part.copy()).float() / 255 for part in (images[rows], test_images))
    mean, std = x.mean(dim=(0, 2, 3), keepdim=True), x.std(dim=(0, 2, 3), keepdim=True)
    some = slice(TEST[cell.data])
    test_y = torch.from_numpy(test_labels.astype(np.int64))
    return Data((x - mean) / std, torch.from_numpy(y), ((test_x - mean) / std)[some], test_y[some])


FASHION = (
    ("train-images-idx3-ubyte.gz", 3),
    ("train-labels-idx1-ubyte.gz", 1),
    ("t10k-images-idx3-ubyte.gz", 3),
    ("t10k-labels-idx1-ubyte.gz", 1),
)


@cache
def _fashion(name: str, dimensions: int) -> np.ndarray[Any, np.dtype[Any]]:
    values = read_idx(DEFAULT_FOLDER / name, dimensions=dimensions)
    return values[:, None] if dimensions == 3 else values


def network(channels: int, size: int, width: int, *, batch_norm: bool) -> nn.Sequential:
    """Two strided convolutions and a hidden layer: small, and large enough to learn wrong labels by heart."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, width), (width, 2 * width)):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
        layers.append(nn.ReLU())
    layers += [nn.Flatten(), nn.Linear(2 * width * (size // 4) ** 2, 128)]
    layers += [nn.BatchNorm1d(128)] if batch_norm else []
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(128, 10))


def scheduler(optimizer: torch.optim.Optimizer, name: str, steps: int) -> Any:
    """Of the learning rate, to be stepped with each batch."""
    if name == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=steps)
    if name == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def train(cell: Cell, data: Data, epochs: int, folder: Path) -> pd.DataFrame:
    """One row an epoch: what the recorder measured, `val_accuracy` if samples are held out, and `test_accuracy`.

    The run is recorded to `folder`.
    """
    torch.manual_seed(cell.seed)
    held = round(cell.held_out * len(data.x))
    x, y = data.x[held:], data.y[held:]
    model = network(x.shape[1], x.shape[2], 16 if cell.data == "fashion" else 24, batch_norm=cell.batch_norm)
    rate = LEARNING_RATE[cell.schedule] * (0.5 if cell.batch_norm else 1.0)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=5e-4)
    schedule = scheduler(optimizer, cell.schedule, epochs * math.ceil(len(x) / BATCH))
    loader = DataLoader(TensorDataset(x, y), 500)
    test_accuracies = []
    options: dict[str, Any] = {"probe": PROBE, "measures": ["gradient_disparity"]}
    with gwa.record(model, folder, num_samples=len(x), optimizer=optimizer, **options) as recorder:
        recorder.batches(loader)  # tells the probe what the training set is
        for _ in range(epochs):
            for ids in torch.randperm(len(x)).split(BATCH):
                F.cross_entropy(model(x[ids]), y[ids]).backward()  # type: ignore[no-untyped-call]
                recorder.step(y[ids], sample_ids=ids)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
            metrics = {"val_accuracy": accuracy(model, data.x[:held], data.y[:held])} if held else {}
            recorder.end_epoch(**metrics)
            test_accuracies.append(accuracy(model, data.test_x, data.test_y))
        table = recorder.epochs()
    return table.assign(test_accuracy=test_accuracies)


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    right = sum(int((model(a).argmax(dim=1) == b).sum()) for a, b in zip(x.split(1000), y.split(1000), strict=True))
    model.train()
    return right / len(x)
