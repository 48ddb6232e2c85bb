"""What recording costs: a training step of ResNet-20 on CIFAR-size images (batch 128), plain, recorded, with Opacus.

    python benchmarks/overhead.py --json

The three trainings take turns step by step; medians over the steps, and their ratios to the plain step. Opacus'
GradSampleHooks on the head alone give the same alignment from instantiated per-sample gradients. The recorded steps
include the ids in the batches, the checks, and their share of writing the epoch. Then the probe: the seconds that 2,000
samples take in evaluation mode (median of 5 epochs), as a share of a plain epoch over 50,000 images.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa

BATCH, PROBE, IMAGES = 128, 2000, 50_000


class Block(nn.Module):
    """Two convolutions and a shortcut that pads channels with zeros (He et al. 2016, CIFAR variant A)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.stride = 1 if channels_in == channels else 2
        self.conv1 = nn.Conv2d(channels_in, channels, 3, self.stride, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        short = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(short, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1])))


def resnet20() -> nn.Sequential:
    blocks = [
        Block(a, b)
        for a, b in zip((16, 16, 16, 16, 32, 32, 32, 64, 64), (16,) * 3 + (32,) * 3 + (64,) * 3, strict=True)
    ]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def training(model: nn.Module, steps: int, recorder: gwa.Recorder | None, after: Callable[[], None]) -> Iterator[float]:
    """Seconds of each step of one epoch, loading included; the last includes `end_epoch`."""
    data = TensorDataset(torch.randn(BATCH * steps, 3, 32, 32), torch.randint(10, (BATCH * steps,)))
    loader = DataLoader(data, BATCH, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    batches = iter(recorder.batches(loader) if recorder else loader)
    for step in range(steps):
        began = time.perf_counter()
        x, y = next(batches)
        F.cross_entropy(model(x), y).backward()
        if recorder:
            recorder.step(y)
        after()
        optimizer.step()
        optimizer.zero_grad()
        if recorder and step == steps - 1:
            recorder.end_epoch()
        yield time.perf_counter() - began


def plain(steps: int, _: Path) -> Iterator[float]:
    yield from training(resnet20(), steps, None, lambda: None)


def recorded(steps: int, folder: Path) -> Iterator[float]:
    model = resnet20()
    with gwa.record(model, folder / "run", num_samples=BATCH * steps) as recorder:
        yield from training(model, steps, recorder, lambda: None)


def opacus_head(steps: int, _: Path) -> Iterator[float]:
    from opacus.grad_sample.grad_sample_module import GradSampleHooks

    model = resnet20()
    head = model[-1]
    hooks = GradSampleHooks(head, loss_reduction="mean")

    def alignment() -> None:
        flat = head.weight.grad_sample.flatten(1)
        F.cosine_similarity(-flat, head.weight.detach().flatten().unsqueeze(0))
        hooks.set_grad_sample_to_none()

    yield from training(model, steps, None, alignment)


def probe_seconds(folder: Path) -> float:
    """Of a probe of 2,000 samples; each epoch is one step."""
    model, data = resnet20(), TensorDataset(torch.randn(PROBE, 3, 32, 32), torch.randint(10, (PROBE,)))
    x, y = data.tensors
    found = []
    with gwa.record(model, folder / "probe", num_samples=PROBE, probe=PROBE) as recorder:
        recorder.batches(DataLoader(data, BATCH))  # tells the probe what the training set is
        for _ in range(5):
            F.cross_entropy(model(x[:BATCH]), y[:BATCH]).backward()
            recorder.step(y[:BATCH], sample_ids=range(BATCH))
            summary = recorder.end_epoch()
            found.append(summary.probe.seconds if summary.probe else 0.0)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        ways = {way.__name__: way(arguments.steps, Path(folder)) for way in (plain, recorded, opacus_head)}
        rounds = [{name: next(way) for name, way in ways.items()} for _ in range(arguments.steps)][2:]
        probe = probe_seconds(Path(folder))
    medians = {name: statistics.median(times[name] for times in rounds) for name in ways}
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "steps": len(rounds)}
    result |= {f"{name}_ms": round(1000 * median, 2) for name, median in medians.items()}
    result |= {f"{name}_ratio": round(medians[name] / medians["plain"], 4) for name in ways}
    result["recorded_ratio_paired"] = round(statistics.median(t["recorded"] / t["plain"] for t in rounds), 4)
    result["probe_s"] = round(probe, 3)
    result["probe_share_of_epoch"] = round(probe / (medians["plain"] * IMAGES / BATCH), 4)
    print(json.dumps(result) if arguments.json else "\n".join(f"{k:22} {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
