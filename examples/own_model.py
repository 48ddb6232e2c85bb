"""Audit with a model of one's own: `audit` calls the factory with the shape of an input and the number of classes.

On the command line the same is:  gwa-attrib audit digits --out runs/own --model own_model:make_model --flip 0.1
Prints the result of the audit, with the AUROC of the flipped labels: above 0.99 after all epochs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from torch import nn

import gwa_attrib as gwa


def make_model(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 2) * (width // 2), num_classes),
    )


def main(epochs: int | None) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as folder:
        result = gwa.audit("digits", f"{folder}/run", model="own_model:make_model", flip=0.1, epochs=epochs)
        for name, value in result.to_dict().items():
            print(f"{name:16} {value}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="two epochs")
    main(epochs=2 if parser.parse_args().fast else None)
