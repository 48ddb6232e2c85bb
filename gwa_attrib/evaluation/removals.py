"""Subset removal: take out what a method ranks first, train again, and see what becomes of the queries."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import t as student

from gwa_attrib.errors import InputError
from gwa_attrib.evaluation.retraining import Train, retrain_each
from gwa_attrib.thresholds import LEVEL

SHARES = (0.05, 0.1, 0.2)


def subset_removal(
    train: Train,
    rankings: Mapping[str, Int[np.ndarray, " removed"]],
    samples: int,
    folder: str | Path,
    *,
    shares: Sequence[float] = SHARES,
    seeds: int = 5,
    workers: int = 1,
) -> pd.DataFrame:
    """How the loss of the queries changes when the first samples of each ranking are left out of the training.

    One row for each ranking and share: ``method``, ``share`` and number ``removed``, the mean ``loss`` (whatever
    `train` returns, over seeds and queries), its ``change`` from the training on all samples with the same seeds, and
    the 95 % interval of that, ``low`` to ``high``, by Student's t over the seeds; NaN with one seed. It covers the
    chance of training, for these queries.

    Args:
        train: Gets the positions of the samples that are left, and a seed; returns one loss per query.
        rankings: By method, the positions of the samples in the order in which they are removed. Add a random one: what
            the removal of as many others does is the measure.
        samples: How many there are.
        folder: For the results of the trainings, so that a call that was cut off goes on.
        shares: Of all samples, to remove.
        seeds: Trainings for each; see `retrain_each`.
        workers: Processes.

    Raises:
        InputError: shares that are none, no seed, no ranking, or one that names too few samples or one of them twice.
    """
    check_plan(shares, seeds)
    if not rankings:
        raise InputError(expected="rankings to remove by", found="none", todo="Pass for example {'random': order}.")
    counts = [round(share * samples) for share in shares]
    cases = [(method, share, count) for method in rankings for share, count in zip(shares, counts, strict=True)]
    masks = np.ones((1 + len(cases), samples), dtype=bool)
    for mask, (method, _, count) in zip(masks[1:], cases, strict=True):
        mask[_first(rankings[method], count, samples, method)] = False
    losses = retrain_each(train, masks, folder, seeds=seeds, workers=workers).mean(axis=2)
    rows = []
    for (method, share, count), of_case in zip(cases, losses[1:], strict=True):
        change, low, high = _paired(of_case - losses[0])
        rows.append(
            {
                "method": method,
                "share": share,
                "removed": count,
                "loss": float(of_case.mean()),
                "change": change,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def check_plan(shares: Sequence[float], seeds: int) -> None:
    """Refuse what cannot be removed, before any training.

    Raises:
        InputError: no shares between 0 and 1, or no training.
    """
    if not shares or not all(0 < share < 1 for share in shares) or seeds < 1:
        raise InputError(
            expected="shares between 0 and 1 to remove, and at least one training for each",
            found=f"shares {list(shares)}, {seeds} seeds",
            todo="Pass for example shares=[0.1, 0.2] and seeds=3.",
        )


def _first(order: Int[np.ndarray, " removed"], count: int, samples: int, method: str) -> Int[np.ndarray, " first"]:
    first = np.asarray(order)[:count]
    if len(first) < count or len(np.unique(first)) < count or not ((first >= 0) & (first < samples)).all():
        raise InputError(
            expected=f"the ranking of {method!r} to name at least {count} different ones of {samples} samples",
            found=f"{len(np.unique(first))} different ones",
            todo="Pass positions, as scores.order() has them.",
        )
    return first


def _paired(differences: Float[np.ndarray, " seed"]) -> tuple[float, float, float]:
    """Mean, and its interval by Student's t."""
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(student.ppf((1 + LEVEL) / 2, count - 1) * differences.std(ddof=1) / count**0.5)
    return mean, mean - half, mean + half
