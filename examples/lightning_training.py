"""Lightning: record a training on digits with 5 % wrong labels by a callback, stop by a rule, and list the suspects.

Needs  pip install 'gwa-attrib[lightning]'.  Prints, among others:
    Kept epoch 13 of 19; 20 of the 20 worst samples have a wrong label.
"""

import argparse
import logging
import tempfile
import warnings

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.integrations.lightning import GWACallback, GWAEarlyStopping


class Digits(L.LightningModule):
    """A network on 64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-3)


def main(epochs: int) -> None:
    warnings.filterwarnings("ignore", module="lightning|torch")  # about few workers and short epochs
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    images, clean = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(clean)
    wrong = torch.randperm(len(y))[: len(y) // 20]
    y[wrong] = (y[wrong] + torch.randint(1, 10, (len(wrong),))) % 10
    loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)

    with tempfile.TemporaryDirectory() as folder:
        recording = GWACallback(f"{folder}/run", num_samples=len(y), probe=500)
        stopping = GWAEarlyStopping(recording, patience=5, epochs=epochs)
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[recording, stopping],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Digits(), loader)
        logged = {
            name: round(trainer.callback_metrics[name].item(), 3) for name in ("gwa", "mean_alignment", "coverage")
        }
        print("Logged last:", logged)

        run = gwa.open_run(f"{folder}/run")
        suspects = gwa.rank(run, "mislabeled")
        print(suspects.to_frame().sort_values("rank").head(20).to_string())
        found = torch.isin(torch.from_numpy(suspects.top(20)), wrong).sum().item()
        kept = f"Kept epoch {stopping.best_epoch} of {len(run.epoch_numbers)}"
        print(f"{kept}; {found} of the 20 worst samples have a wrong label.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="fewer epochs")
    main(epochs=4 if parser.parse_args().fast else 20)
