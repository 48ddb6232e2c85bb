"""Pictures of a run, in a notebook or as files: which samples are opposed, when, and what the rules would keep.

    python examples/plots.py [--fast]

Trains a linear model on digits with 10 % of the labels flipped. In a notebook `gwa.plot.alignments(run)` alone shows a
picture, and a run or scores as the last line of a cell show a table. Here there is no notebook: four pictures go into
one figure of ours, `runs/plots/together.png`, and all of them into `runs/plots/figures`.
"""

import argparse

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa


def recorded(epochs: int) -> gwa.Run:
    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    y = torch.where(torch.rand(len(y)) < 0.1, (y + torch.randint(1, 10, (len(y),))) % 10, y)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
    names = [f"digit {name}" for name in digits.target_names]
    with gwa.record(model, "runs/plots", num_samples=len(x), class_names=names, overwrite=True) as recorder:
        for _ in range(epochs):
            for xb, yb in recorder.batches(loader):
                F.cross_entropy(model(xb), yb).backward()
                recorder.step(yb)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
    return gwa.open_run("runs/plots")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="three epochs")
    run = recorded(3 if parser.parse_args().fast else 20)
    scores = gwa.rank(run)

    figure = Figure(figsize=(13, 9), layout="constrained")
    axes = figure.subplots(2, 2)
    gwa.plot.alignments(run, scores=scores, ax=axes[0, 0])
    gwa.plot.trajectories(run, scores.top(5), ax=axes[0, 1])
    gwa.plot.data_map(run, scores=scores, ax=axes[1, 0])
    gwa.plot.stopping(run, ax=axes[1, 1])
    figure.savefig("runs/plots/together.png", dpi=100)

    files = gwa.plot.write_figures(run, "runs/plots/figures", scores=scores)
    print("written:", ", ".join(files.written))
    for name, reason in files.missing.items():
        print(f"{name}: {reason}")


if __name__ == "__main__":
    main()
