"""Predictions of models for samples that they were not trained on: cross-validation with the training of an audit."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from sklearn.model_selection import StratifiedKFold

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.comparison.limits import measured
from gwa_attrib.display.progress import bar
from gwa_attrib.errors import InputError
from gwa_attrib.files.whole import whole_file
from gwa_attrib.value_types import Ints

FOLDS = 5
FOLDER = "out_of_fold"


class OutOfFold(NamedTuple):
    """Probabilities, and what they took."""

    probabilities: Float[np.ndarray, "sample class"]
    seconds_before: float
    """Seconds of the trainings that an earlier call made."""


def out_of_fold(audited: AuditedModel, *, folds: int = FOLDS, seed: int = 0) -> OutOfFold:
    """Each sample's class probabilities by a model that was trained, as the audit's was, on the other folds.

    The folds hold the classes in equal shares. Every training leaves a file beside the run, so that a call that was cut
    off goes on where it ended, and that a second call trains nothing.

    Raises:
        InputError: fewer than two folds, or more than the largest class has samples.
        RunError: a file cannot be written.
    """
    samples = len(audited.labels)
    largest = int(audited.labels.bincount().max()) if samples else 0
    if not 2 <= folds <= largest:
        raise InputError(
            expected=f"at least 2 folds, and no more than the {largest} samples of the largest class",
            found=f"{folds}",
            todo="Pass fewer folds, or more data.",
        )
    found, seconds = np.full((samples, audited.classes), np.nan), 0.0
    splits = list(_splits(audited.labels.numpy(), folds, seed))
    for number, (kept, left_out) in enumerate(bar(splits, "folds")):
        file = audited.path / FOLDER / f"{folds}-folds-seed={seed}" / f"fold={number}.npz"
        # What an earlier call trained is a cost of this method, too: it is counted once, in `seconds_before`.
        before = file.exists()
        if not before:
            _train(audited, kept, left_out, seed, file)
        with np.load(file) as stored:
            found[left_out] = stored["probabilities"]
            seconds += before * float(stored["seconds"])
    return OutOfFold(found, seconds)


def _splits(labels: Ints, folds: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # such classes are spread too
        yield from split.split(np.zeros((len(labels), 1)), labels)


def _train(audited: AuditedModel, kept: Ints, left_out: Ints, seed: int, file: Path) -> None:
    with measured() as cost:
        probabilities = audited.train_and_ask(kept, left_out, seed).double().softmax(dim=1).numpy()

    with whole_file(file, within=audited.path) as half, half.open("wb") as stream:
        np.savez(stream, probabilities=probabilities, seconds=cost.seconds)
