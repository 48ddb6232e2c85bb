"""The paper's figures in small: alignments over the epochs, GWA beside test accuracy, and who is opposed.

    python examples/when_to_stop.py [--fast] [--cifar10n FILE.npz]

Trains a small network on digits with 30 % of the labels flipped until it has learnt the wrong ones by heart, and writes
runs/when-to-stop/report.html: histograms of the alignments, curves, and the epoch that each stopping rule would keep;
and opposed.png: the samples with the most negative alignment.
With FILE.npz (`images` [sample, height, width, 3], `clean` and `random1` labels, `test_images`, `test_labels`,
`class_names`) it does so on CIFAR-10 with human label errors (CIFAR-10N). Source: Hölzl et al. 2025, arXiv 2510.25480.

With CIFAR-10N it restores epoch 7 of 60 by the default rule: test accuracy 0.502, best epoch 0.507, last 0.465; wrong
labels in it: 43% of the samples with negative alignment, 9% of the others. With digits it prints:

best epoch 18: test accuracy 0.959; last epoch: 0.848
consensus          epoch 25: test accuracy 0.956 (most predictions in evaluation mode as the training agrees)
paper              epoch 16: test accuracy 0.955 (largest GWA)
probe_alignment    epoch 16: test accuracy 0.955 (largest mean alignment in evaluation mode, averaged over 3 epochs)
probe_bounded_gwa  epoch 19: test accuracy 0.942 (largest mean alignment over kurtosis, in evaluation mode)
label_wave         epoch 19: test accuracy 0.942 (fewest prediction changes, with none fewer in the next 5 epochs)
wrong labels in epoch 25: 99% of the samples with negative alignment, 3% of the others
restored: 0.956
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, list[str]]:
    """Images, labels as given, right labels; test images and labels; class names."""
    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(data.target)
    order = torch.randperm(len(y))
    x, y = x[order], y[order]
    wrong = torch.rand(1000) < 0.3
    given = torch.where(wrong, (y[:1000] + torch.randint(1, 10, (1000,))) % 10, y[:1000])
    return x[:1000], given, y[:1000], x[1000:], y[1000:], [str(digit) for digit in range(10)]


def cifar10n(file: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, list[str]]:
    """The first 5,000 images with one annotator's labels."""
    data = np.load(file)
    x, test_x = (torch.tensor(data[name]).permute(0, 3, 1, 2).float() / 255 for name in ("images", "test_images"))
    given, right, test_y = (torch.tensor(data[name]).long() for name in ("random1", "clean", "test_labels"))
    return x[:5000], given[:5000], right[:5000], test_x, test_y, [str(name) for name in data["class_names"]]


def network(channels: int, size: int) -> nn.Sequential:
    convolutions = [nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1)]
    return nn.Sequential(*convolutions, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * size * size, 10))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="three epochs")
    parser.add_argument("--cifar10n", metavar="FILE.npz")
    arguments = parser.parse_args()
    x, given, right, test_x, test_y, names = cifar10n(arguments.cifar10n) if arguments.cifar10n else digits()
    epochs = 3 if arguments.fast else 60
    torch.manual_seed(0)
    model = network(x.shape[1], x.shape[2])
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    loader = DataLoader(TensorDataset(x, given), batch_size=64, shuffle=True)
    options = {"class_names": names, "probe": 1000, "overwrite": True}
    with gwa.record(model, "runs/when-to-stop", num_samples=len(x), **options) as recorder:
        stopper = gwa.EarlyStopping(recorder, epochs=epochs)
        for _ in range(epochs):
            for xb, yb in recorder.batches(loader):
                F.cross_entropy(model(xb), yb).backward()
                recorder.step(yb)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch(test_accuracy=accuracy(model, test_x, test_y))
            stopper.update()
    run = gwa.open_run("runs/when-to-stop")
    tested = run.epochs()["test_accuracy"]
    print(f"best epoch {tested.argmax()}: test accuracy {tested.max():.3f}; last epoch: {tested.iloc[-1]:.3f}")
    for rule in ("consensus", "paper", "probe_alignment", "probe_bounded_gwa", "label_wave"):
        choice = gwa.choose_epoch(run, rule)
        print(f"{rule:18} epoch {choice.epoch:2}: test accuracy {tested[choice.epoch]:.3f} ({choice.reason})")
    opposed = run.trajectory("alignment", table="probe")[stopper.best_epoch]
    probed = np.isfinite(opposed)
    wrong = (given != right).numpy()
    shares = f"{wrong[probed & (opposed < 0)].mean():.0%} of the samples with negative alignment"
    others = f"{wrong[probed & (opposed >= 0)].mean():.0%} of the others"
    print(f"wrong labels in epoch {stopper.best_epoch}: {shares}, {others}")
    stopper.restore()
    print(f"restored: {accuracy(model, test_x, test_y):.3f}")
    print(gwa.report(run, data=TensorDataset(x, given)))
    print(picture(x, given, right, names, opposed))


def picture(x: Tensor, given: Tensor, right: Tensor, names: list[str], alignment: np.ndarray) -> str:
    """The samples with the most negative alignment, with the given label; wrong ones also with the right label."""
    worst = np.argsort(np.where(np.isfinite(alignment), alignment, np.inf))[:24]
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    for axes, i in zip(figure.subplots(3, 8).flat, worst, strict=True):
        axes.imshow(x[i].permute(1, 2, 0).squeeze(2).numpy(), cmap="gray_r")
        is_wrong = given[i] != right[i]
        title = f"{names[given[i]]}, is {names[right[i]]}" if is_wrong else names[given[i]]
        axes.set_title(f"{title}\n{alignment[i]:.3f}", fontsize=9, color="C3" if is_wrong else "k")
        axes.axis("off")
    figure.savefig("runs/when-to-stop/opposed.png", dpi=100)
    return "runs/when-to-stop/opposed.png"


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    right = (model(x).argmax(dim=1) == y).float().mean().item()
    model.train()
    return right


if __name__ == "__main__":
    main()
