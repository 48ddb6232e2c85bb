"""Which model generalises best, without a validation set: proxies against test accuracy, over 24 models.

    python benchmarks/model_comparison.py --out FOLDER --json [--flip 0.1]

The models differ in width, depth, weight decay and augmentation; the number of features of the head is the same. All
are trained on the same 5,000 images of Fashion-MNIST (with a share of the labels flipped, if asked for), with the same
schedule. The rank correlation (Spearman) is of a proxy's best value in any epoch (turned so that high is good) with the
test accuracy in the last epoch; the same for the proxy's value in the last epoch. FOLDER keeps the runs, so that a
benchmark that was cut off goes on, and gets comparison.svg.
"""

import argparse
import json
import shutil
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from stopping_grid import BATCH, Cell, Data, accuracy, load
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.auditing.augment import shift_and_flip
from gwa_attrib.datasets.flip import flip_labels
from gwa_attrib.stopping import proxies

EPOCHS = 40
LEARNING_RATE = 0.03
"""At the start; it follows half a cosine to zero, so that augmented models are trained to an end too."""
PROXIES = (
    "mean_alignment", "gwa", "probe_alignment", "probe_gwa", "probe_bounded_gwa", "consensus", "projected_alignment",
    "train_loss", "train_accuracy", "label_wave", "gradient_disparity", "gradient_disparity_rescaled", "llid", "sve",
    "lsvr", "pre_memorization_accuracy",
)  # fmt: skip


class Config(NamedTuple):
    """One model and how it is trained."""

    width: int
    depth: int
    weight_decay: float
    augment: bool

    @property
    def name(self) -> str:
        return f"w{self.width}-d{self.depth}-wd{self.weight_decay:g}{'-aug' if self.augment else ''}"


CONFIGS = [Config(*values) for values in product((4, 12, 32), (1, 2), (0.0, 5e-3), (False, True))]


def network(config: Config) -> nn.Sequential:
    """Strided convolutions, further ones of the same size, a hidden layer of 128 features."""
    width = config.width
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU()]
    for _ in range(config.depth - 1):
        layers += [nn.Conv2d(2 * width, 2 * width, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(98 * width, 128), nn.ReLU(), nn.Linear(128, 10))


def train(config: Config, data: Data, folder: Path) -> None:
    """Record one training to `folder`, with the test accuracy as a metric that no proxy reads."""
    torch.manual_seed(0)
    model = network(config)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    views = torch.Generator().manual_seed(0)
    options: dict[str, Any] = {
        "probe": 2000,
        "measures": ["gradient_disparity", "llid", "spectrum", "projected_alignment"],
        "overwrite": True,
    }
    with gwa.record(model, folder, num_samples=len(data.x), **options) as recorder:
        recorder.batches(DataLoader(TensorDataset(data.x, data.y), 500))  # tells the probe what the training set is
        for _ in range(EPOCHS):
            for ids in torch.randperm(len(data.x)).split(BATCH):
                x = data.x[ids]
                x = shift_and_flip(x, flip=True, generator=views) if config.augment else x
                F.cross_entropy(model(x), data.y[ids]).backward()  # type: ignore[no-untyped-call]
                recorder.step(data.y[ids], sample_ids=ids)
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()
            recorder.end_epoch(test_accuracy=accuracy(model, data.test_x, data.test_y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--flip", type=float, default=0.0, help="share of the labels to flip")
    parser.add_argument("--part", default="0/1", help="K/N: only train every Nth model from the Kth")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    data = load(Cell("fashion", "none", "constant", batch_norm=False, seed=0, held_out=0.0), None)
    flipped, _ = flip_labels(data.y.numpy(), 10, arguments.flip, "symmetric", 0)
    data = data._replace(y=torch.from_numpy(flipped))
    part, of = map(int, arguments.part.split("/"))
    for number, config in list(enumerate(CONFIGS))[part::of]:
        folder, half = arguments.out / config.name, arguments.out / f"half-{part}"
        if folder.exists():
            continue
        began = time.perf_counter()
        train(config, data, half)
        shutil.move(half, folder)
        print(f"{number + 1}/{len(CONFIGS)} {config.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    if of > 1:
        return
    runs = {config.name: gwa.open_run(arguments.out / config.name) for config in CONFIGS}
    tested = {name: float(run.epochs()["test_accuracy"].iloc[-1]) for name, run in runs.items()}
    result: dict[str, Any] = {
        "models": len(runs),
        "epochs": EPOCHS,
        "flip": arguments.flip,
        "accuracy": tested,
        "spearman": {},
    }
    for proxy in PROXIES:
        compared = gwa.compare_runs(runs, proxy, accuracy=tested)
        sign = 1.0 if proxies[proxy].suspect == "low" else -1.0
        last = [sign * float(gwa.measure(run, proxy).iloc[-1]) for run in runs.values()]
        at_end = float(spearmanr(last, list(tested.values()), nan_policy="omit")[0])
        result["spearman"][proxy] = {"best": round(compared.spearman, 3), "last_epoch": round(at_end, 3)}
        if proxy == "mean_alignment":
            compared.plot(arguments.out / "comparison.svg")
    if arguments.json:
        print(json.dumps(result))
        return
    for proxy, values in result["spearman"].items():
        print(f"{proxy:28} best {values['best']:6.3f}   last epoch {values['last_epoch']:6.3f}")


if __name__ == "__main__":
    main()
