"""Alignment of every layer of a small residual network on digits with 10 % of the labels flipped.

    python examples/all_layers.py [--fast]

It prints how well each layer's alignment separates the wrong labels (AUROC; 0.5 is chance), and writes
runs/all-layers/report.html with the layers' alignments over the epochs. After 12 epochs:

    all    0.999
    0      0.607
    1.0    0.977
    1.1    0.999
    1.2    0.999
    4      0.999
"""

import argparse

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa


class Block(nn.Module):
    """A convolution with group norm, and a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.convolution(x)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="two epochs")
    epochs = 2 if parser.parse_args().fast else 12
    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(digits.target)
    wrong = torch.rand(len(y)) < 0.1
    given = torch.where(wrong, (y + torch.randint(1, 10, y.shape)) % 10, y)
    data = TensorDataset(x, given)
    blocks = nn.Sequential(*(Block(32) for _ in range(3)))
    model = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), blocks, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(512, 10))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    loader = DataLoader(data, batch_size=64, shuffle=True)
    with gwa.record(model, "runs/all-layers", num_samples=len(data), layers="all", overwrite=True) as recorder:
        for _ in range(epochs):
            for xb, yb in recorder.batches(loader):
                F.cross_entropy(model(xb), yb).backward()
                recorder.step(yb)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
    run = gwa.open_run("runs/all-layers")
    for layer in run.layers:
        scores = gwa.rank(run, "alignment", layer=layer)
        print(f"{layer:6} {roc_auc_score(wrong, -scores.values):.3f}")
    print(gwa.report(run, data=data))


if __name__ == "__main__":
    main()
