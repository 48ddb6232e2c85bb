"""Summaries of the trajectories for the figures: one pass over the run, in memory for one epoch and a few columns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gwa_attrib.store import Run
from gwa_attrib.value_types import Array

BINS = 2000
"""Bins of the alignment histograms, over [-1, 1]: fine, to be joined to what a figure needs."""


@dataclass(frozen=True, eq=False)
class Signals:
    """Sums over the run. NaN where there is no value."""

    epochs: tuple[int, ...]
    others: Int[np.ndarray, "epoch bin"]
    """How many of the samples that are no suspects have an alignment in each bin."""
    suspects: Int[np.ndarray, "epoch bin"]
    accuracy: Float[np.ndarray, " epoch"]
    """Share of the seen samples whose prediction was the given label, in [0, 1]; high is good."""
    trajectories: Float[np.ndarray, "epoch shown"]
    """Alignments of the samples that are shown one by one."""
    correctness: Float[np.ndarray, " sample"]
    """Share of a sample's epochs in which the prediction was the given label, in [0, 1]; low is suspicious."""
    confidence: Float[np.ndarray, " sample"] | None
    """Mean probability of the given label; None where it was not recorded."""
    variability: Float[np.ndarray, " sample"] | None
    """Standard deviation of the probability of the given label over the epochs; high is ambiguous."""


def read_signals(run: Run, is_suspect: Bool[np.ndarray, " sample"], shown: Int[np.ndarray, " shown"]) -> Signals:
    """Read the epochs of the run one after the other.

    Args:
        run: The run.
        is_suspect: Which of its samples are suspects.
        shown: Rows of the samples whose alignment is kept epoch by epoch.
    """
    names = ["alignment", "correct", *(["p_label"] if "p_label" in run.info["signals"] else [])]
    samples = len(run.sample_ids)
    correct, p_label = _Sums(samples), _Sums(samples)
    others, suspects, accuracy, trajectories = [], [], [], []
    for _, dense in run.by_epoch(*names):
        others.append(histogram(dense["alignment"][~is_suspect]))
        suspects.append(histogram(dense["alignment"][is_suspect]))
        accuracy.append(_mean(dense["correct"]))
        trajectories.append(dense["alignment"][shown])
        correct.add(dense["correct"])
        if "p_label" in names:
            p_label.add(dense["p_label"])
    return Signals(
        epochs=run.epoch_numbers,
        others=np.stack(others),
        suspects=np.stack(suspects),
        accuracy=np.array(accuracy),
        trajectories=np.stack(trajectories),
        correctness=correct.mean(),
        confidence=p_label.mean() if "p_label" in names else None,
        variability=p_label.deviation() if "p_label" in names else None,
    )


def histogram(alignment: Float[np.ndarray, " sample"]) -> Int[np.ndarray, " bin"]:
    """Counts of the defined alignments in `BINS` equal bins over [-1, 1]."""
    defined = alignment[~np.isnan(alignment)].astype(np.float64)
    bins = np.clip(np.floor((defined + 1.0) * (BINS / 2)), 0, BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=BINS)


def _mean(values: Array) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else np.nan


class _Sums:
    """Number, sum and sum of squares of each sample's values in [0, 1], epoch after epoch."""

    def __init__(self, samples: int) -> None:
        self._n, self._sum, self._squares = np.zeros(samples), np.zeros(samples), np.zeros(samples)

    def add(self, values: Array) -> None:
        present = np.nan_to_num(values.astype(np.float64))
        self._n += ~np.isnan(values)
        self._sum += present
        self._squares += present**2

    def mean(self) -> Array:
        return self._sum / np.where(self._n > 0, self._n, np.nan)

    def deviation(self) -> Array:
        variance = self._squares / np.where(self._n > 0, self._n, np.nan) - self.mean() ** 2
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
