"""accelerate: record a prepared loop with accumulated gradients on digits with 5 % wrong labels, and list the suspects.

Needs  pip install 'gwa-attrib[hf]'.  Prints, among others:  20 of the 20 worst samples have a wrong label.
"""

import argparse
import tempfile

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.integrations.accelerate import batches


def main(epochs: int) -> None:
    torch.manual_seed(0)
    images, clean = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(clean)
    wrong = torch.randperm(len(y))[: len(y) // 20]
    y[wrong] = (y[wrong] + torch.randint(1, 10, (len(wrong),))) % 10

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    with tempfile.TemporaryDirectory() as folder:
        plain = accelerator.unwrap_model(model)
        with gwa.record(plain, f"{folder}/run", num_samples=len(y), optimizer=optimizer) as recorder:
            for _ in range(epochs):
                for xb, yb in batches(recorder, loader):  # of a loader that accelerate has prepared
                    with accelerator.accumulate(model):
                        accelerator.backward(F.cross_entropy(model(xb), yb))
                        recorder.step(yb)
                        optimizer.step()
                        optimizer.zero_grad()
                summary = recorder.end_epoch()
                accelerator.log({"gwa": summary.gwa, "mean_alignment": summary.mean, "coverage": summary.coverage})

        suspects = gwa.rank(gwa.open_run(f"{folder}/run"), "mislabeled")
        print(suspects.to_frame().sort_values("rank").head(20).to_string())
        found = torch.isin(torch.from_numpy(suspects.top(20)), wrong).sum().item()
        print(f"{found} of the 20 worst samples have a wrong label.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="fewer epochs")
    main(epochs=4 if parser.parse_args().fast else 20)
