"""Four lines in a training loop: record a small classifier on digits with 5 % wrong labels, and list the suspects.

Prints, among others:  18 of the 20 worst samples have a wrong label.
(The number can differ by one or two with the version of torch.)
"""

import argparse
import tempfile

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa


def main(epochs: int) -> None:
    torch.manual_seed(0)
    images, clean = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(clean)
    wrong = torch.randperm(len(y))[: len(y) // 20]
    y[wrong] = (y[wrong] + torch.randint(1, 10, (len(wrong),))) % 10

    train_set = TensorDataset(x, y)
    loader = DataLoader(train_set, batch_size=64, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    with tempfile.TemporaryDirectory() as folder:
        with gwa.record(model, f"{folder}/run", num_samples=len(train_set), optimizer=optimizer) as recorder:
            for _ in range(epochs):
                for xb, yb in recorder.batches(loader):  # the same batches; their sample ids ride along
                    loss = F.cross_entropy(model(xb), yb)
                    loss.backward()
                    recorder.step(yb)  # after backward, before optimizer.step()
                    optimizer.step()
                    optimizer.zero_grad()
                print(recorder.end_epoch())

        run = gwa.open_run(f"{folder}/run")
        suspects = gwa.rank(run, "mislabeled")
        print(suspects.to_frame().sort_values("rank").head(20).to_string())
        found = torch.isin(torch.from_numpy(suspects.top(20)), wrong).sum().item()
        print(f"{found} of the 20 worst samples have a wrong label.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="fewer epochs")
    main(epochs=4 if parser.parse_args().fast else 15)
