"""The data of the detection benchmark: which samples, and which of their labels are wrong.

A cell is a data set, a kind of wrong label and a seed; the seed chooses the samples and the wrong labels, and is that
of the training. Every cell becomes one .npz with `X`, `y`, `truth` and `hard` (rightly labelled, but unusual).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gwa_attrib.datasets.flip import flip_labels, look_alikes
from gwa_attrib.datasets.readers.built_in import CLASS_NAMES, DEFAULT_FOLDER, read_idx

Array = np.ndarray[Any, np.dtype[Any]]
NOISES = {
    "digits": ("none", "symmetric-10", "symmetric-40", "pairs-20", "instance-10", "long-tail-10", "hard-10"),
    "breast-cancer": ("symmetric-05", "symmetric-10", "symmetric-20", "instance-10", "instance-20", "long-tail-10"),
    "fashion-mnist": ("symmetric-10", "symmetric-40", "pairs-10", "instance-10", "long-tail-10", "hard-10"),
    "noisyag": ("human",),
    "cifar10n": ("random1", "aggregate"),
}
"""Every kind and rate somewhere, few of them on the large sets. With two classes all flips are pairs, and 40 % wrong
leaves nothing to learn."""
SAMPLES = {"fashion-mnist": 2000, "noisyag": 5000, "cifar10n": 4000}
"""Of the larger sets, drawn by the seed."""
IMBALANCE = 20
"""How many times larger the largest class is than the smallest, where they are long-tailed."""
TURNED, DIMMED = 0.05, 0.05
"""Shares of the pictures that are hard but clean: turned by a quarter, or at a quarter of their contrast."""


@dataclass(frozen=True)
class Cell:
    """One training."""

    data: str
    noise: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.data}-{self.noise}-seed={self.seed}"

    @property
    def rate(self) -> float:
        return int(self.noise[-2:]) / 100 if self.noise[-2:].isdigit() else 0.0


def cells(seeds: int, sources: "Sources") -> list[Cell]:
    """All settings with one seed before the next seed."""
    there = [name for name in NOISES if sources.has(name)]
    return [Cell(data, noise, seed) for seed in range(seeds) for data in there for noise in NOISES[data]]


@dataclass(frozen=True)
class Sources:
    """Files that are no part of a package; the data sets without one are left out."""

    cifar10n: str | None = None
    """An .npz with `images`, `clean`, and labels by people as `random1` and `aggregate`."""
    noisyag: str | None = None
    """A parquet file with `text`, `noisy` and `clean` (NoisyAG-News)."""

    def has(self, data: str) -> bool:
        if data == "fashion-mnist":
            return DEFAULT_FOLDER.exists()
        return data in ("digits", "breast-cancer") or getattr(self, data) is not None


def make(cell: Cell, sources: Sources, work: Path) -> dict[str, Array]:
    """`X`, `y`, `truth` (class indices) and `hard`."""
    rng = np.random.default_rng(cell.seed)
    inputs, truth, human = READERS[cell.data](cell, sources, work)
    rows = rng.permutation(len(truth))
    limit = SAMPLES.get(cell.data, len(rows))
    if cell.noise.startswith("long-tail"):
        rows = rows[: 3 * limit]  # of ten classes about a third is left
        rows = rows[in_long_tail(truth[rows], rng)]
    rows = rows[:limit]
    x, truth = inputs[rows], truth[rows].astype(np.int64)
    hard = np.zeros(len(rows), dtype=bool)
    if cell.noise.startswith("hard"):
        x, hard = with_hard(x, rng)
    y = human[rows].astype(np.int64) if human is not None else wrong_labels(cell, x, truth)
    return {"X": x, "y": y, "truth": truth, "hard": hard & (y == truth)}


def wrong_labels(cell: Cell, x: Array, truth: Array) -> Array:
    """The labels with the cell's share of them wrong."""
    classes = int(truth.max()) + 1
    if cell.noise.startswith("instance"):
        return unsure_labels(x, truth, cell.rate, cell.seed)
    kind = "pairs" if cell.noise.startswith("pairs") else "symmetric"
    names = CLASS_NAMES if cell.data == "fashion-mnist" else ()
    pairs = look_alikes(torch.from_numpy(x).float(), truth, names)
    return flip_labels(truth, classes, cell.rate, kind, cell.seed, pairs)[0]


def unsure_labels(x: Array, truth: Array, rate: float, seed: int) -> Array:
    """Wrong where a weak model is unsure: the likelier, the less it believes the label; to its likeliest other class.

    The weak model is a logistic regression on at most 30 principal components, cross-validated.
    """
    flat = x.reshape(len(x), -1).astype(np.float64)
    weak = make_pipeline(
        StandardScaler(), PCA(min(30, flat.shape[1]), random_state=seed), LogisticRegression(max_iter=300)
    )
    believed = cross_val_predict(weak, flat, truth, cv=3, method="predict_proba")
    index = np.arange(len(truth))
    doubt = np.log(np.clip(1.0 - believed[index, truth], 1e-6, None))
    gumbel = np.random.default_rng(seed + 1000).gumbel(size=len(truth))
    chosen = np.argsort(-(doubt + gumbel))[: round(rate * len(truth))]  # drawn without replacement by their doubt
    believed[index, truth] = -1.0
    labels = truth.copy()
    labels[chosen] = believed[chosen].argmax(axis=1)
    return labels


def in_long_tail(truth: Array, rng: np.random.Generator) -> Array:
    """Positions that are kept so that the class sizes fall by a constant factor, `IMBALANCE` in all."""
    classes, sizes = np.unique(truth, return_counts=True)
    wanted = sizes.min() * IMBALANCE ** -(rng.permutation(len(classes)) / (len(classes) - 1))
    kept = [np.flatnonzero(truth == c)[: max(2, round(size))] for c, size in zip(classes, wanted, strict=True)]
    return np.sort(np.concatenate(kept))


def with_hard(x: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Some pictures turned by a quarter, others dimmed; and which."""
    x, order = x.copy(), rng.permutation(len(x))
    turned, dimmed = np.split(order[: round((TURNED + DIMMED) * len(x))], [round(TURNED * len(x))])
    x[turned] = np.rot90(x[turned], axes=(1, 2))
    x[dimmed] = (x[dimmed] * 0.25).astype(x.dtype)
    hard = np.zeros(len(x), dtype=bool)
    hard[turned], hard[dimmed] = True, True
    return x, hard


Read = tuple[Array, Array, Array | None]
"""Inputs, right labels, and labels by people where there are any."""


def _digits(*_: Any) -> Read:
    pictures, labels = load_digits(return_X_y=True)
    return (pictures * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8), labels, None


def _breast_cancer(*_: Any) -> Read:
    table, labels = load_breast_cancer(return_X_y=True)
    return table, labels, None


def _fashion(*_: Any) -> Read:
    pictures = _idx("train-images-idx3-ubyte.gz", 3)
    return pictures, _idx("train-labels-idx1-ubyte.gz", 1).astype(np.int64), None


@cache
def _idx(name: str, dimensions: int) -> Array:
    return read_idx(DEFAULT_FOLDER / name, dimensions=dimensions)


def _cifar10n(cell: Cell, sources: Sources, _: Path) -> Read:
    with np.load(str(sources.cifar10n)) as file:
        return file["images"], file["clean"], file[cell.noise]


def _noisyag(_: Cell, sources: Sources, work: Path) -> Read:
    import pandas as pd

    from gwa_attrib.datasets.encoding.texts import embed_texts

    frame = pd.read_parquet(str(sources.noisyag))
    stored = work / "noisyag-embeddings.npy"
    if not stored.exists():
        np.save(stored, embed_texts(frame["text"].to_numpy().astype(str)))
    return np.load(stored), frame["clean"].to_numpy(), frame["noisy"].to_numpy()


READERS: dict[str, Callable[[Cell, Sources, Path], Read]] = {
    "digits": _digits,
    "breast-cancer": _breast_cancer,
    "fashion-mnist": _fashion,
    "cifar10n": _cifar10n,
    "noisyag": _noisyag,
}
