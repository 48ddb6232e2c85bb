"""skorch: record a training on digits with 5 % wrong labels by a callback, stop by a rule, and list the suspects.

Needs  pip install 'gwa-attrib[skorch]'.  Prints, beside skorch's own table with the columns gwa and mean_alignment:
    Kept epoch 13 of 19; 20 of the 20 worst samples have a wrong label.
"""

import argparse
import tempfile

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.integrations.skorch import GWACallback, GWAEarlyStopping


def main(epochs: int) -> None:
    torch.manual_seed(0)
    images, y = load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32)
    rng = np.random.default_rng(0)
    wrong = rng.permutation(len(y))[: len(y) // 20]
    y[wrong] = (y[wrong] + rng.integers(1, 10, len(wrong))) % 10

    with tempfile.TemporaryDirectory() as folder:
        recording = GWACallback(f"{folder}/run", num_samples=len(y), probe=500)
        stopping = GWAEarlyStopping(recording, patience=5, epochs=epochs)
        net = NeuralNetClassifier(
            nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=1e-3,
            batch_size=64,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=None,
            callbacks=[recording, stopping],
        )
        net.fit(x, y)

        run = gwa.open_run(f"{folder}/run")
        suspects = gwa.rank(run, "mislabeled")
        print(suspects.to_frame().sort_values("rank").head(20).to_string())
        found = np.isin(suspects.top(20), wrong).sum()
        kept = f"Kept epoch {stopping.best_epoch} of {len(run.epoch_numbers)}"
        print(f"{kept}; {found} of the 20 worst samples have a wrong label.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="fewer epochs")
    main(epochs=4 if parser.parse_args().fast else 20)
