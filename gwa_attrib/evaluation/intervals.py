"""How sure a result is: a ranking's metrics by bootstrap, the difference of two ways to train by both its parts."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm
from scipy.stats import t as student

from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores
from gwa_attrib.thresholds import LEVEL
from gwa_attrib.value_types import Floats

METRICS = ("auroc", "average_precision", "precision_at_errors", "recall_at_10_percent", "recall_at_20_percent")
DRAWS = 1000
TOGETHER = 4_000_000
"""Numbers that are worked on at a time."""
Interval = tuple[float, float]


def mislabel_intervals(
    scores: Scores, is_error: Bool[np.ndarray, " train"], *, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval]:
    """Percentile intervals of the metrics of `mislabel_metrics`, the samples drawn again with replacement.

    The same seed draws the same samples, so that methods are compared on the same ones. NaN where all or none are
    errors, or there is no sample.

    Raises:
        InputError: not one truth value per sample.
    """
    drawn = drawn_metrics(scores, is_error, draws=draws, seed=seed)
    return {name: percentiles(values, level) for name, values in drawn.items()}


def mislabel_differences(
    scores: Scores,
    other: Scores,
    is_error: Bool[np.ndarray, " train"],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Percentile intervals of how far the metrics of `scores` are above those of `other` on the same drawn samples.

    Where the whole interval is above 0, `scores` finds more. Much narrower than the two intervals of
    `mislabel_intervals`, as both methods meet the same hard samples.

    Raises:
        InputError: not one truth value per sample, or not the same number of samples.
    """
    one, two = (drawn_metrics(each, is_error, draws=draws, seed=seed) for each in (scores, other))
    return {name: percentiles(one[name] - two[name], level) for name in METRICS}


def drawn_metrics(
    scores: Scores, is_error: Bool[np.ndarray, " train"], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Float[np.ndarray, " draw"]]:
    """The metrics on samples drawn with replacement: entry i of every method is about the same samples.

    Raises:
        InputError: not one truth value per sample.
    """
    if len(is_error) != len(scores):
        raise InputError(
            expected=f"one truth value per sample, {len(scores)}", found=f"{len(is_error)}", todo="Align them by row."
        )
    if not len(scores):
        return {name: np.full(draws, math.nan) for name in METRICS}
    order = scores.order()
    wrong, ranks = is_error[order], scores.ranks()[order]
    last_of_tie = np.flatnonzero(np.r_[ranks[1:] != ranks[:-1], True])
    found = [metrics_of_counts(counts[:, order], wrong, last_of_tie) for counts in _counts(len(scores), draws, seed)]
    return {name: np.concatenate([part[name] for part in found]) for name in METRICS}


def percentiles(values: Float[np.ndarray, " draw"], level: float = LEVEL) -> Interval:
    """The interval that holds `level` of the draws; NaN where none is finite."""
    if not np.isfinite(values).any():
        return math.nan, math.nan
    low, high = np.nanquantile(values, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _counts(samples: int, draws: int, seed: int) -> Iterator[Int[np.ndarray, "draw sample"]]:
    """Count how often each sample is in each draw."""
    generator = np.random.default_rng(seed)
    step = max(1, TOGETHER // max(1, samples))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = generator.integers(0, samples, (rows, samples)) + samples * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * samples).reshape(rows, samples)


def metrics_of_counts(
    counts: Int[np.ndarray, "draw sample"], wrong: Bool[np.ndarray, " sample"], last_of_tie: Int[np.ndarray, " tie"]
) -> dict[str, Float[np.ndarray, " draw"]]:
    """The metrics where sample i, of samples ordered from the worst, counts `counts[:, i]` times.

    AUROC and average precision as scikit-learn has them: equal values count as one threshold, the last of which stands
    at `last_of_tie`. The others look at the samples in their order.
    """
    hits, seen = np.cumsum(counts * wrong, axis=1), np.cumsum(counts, axis=1)
    errors, total = hits[:, -1].astype(np.float64), seen[:, -1].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        at, of = hits[:, last_of_tie], seen[:, last_of_tie]
        gained = np.diff(at, axis=1, prepend=0)
        passed = of - at
        before = passed - np.diff(passed, axis=1, prepend=0) / 2
        auroc = 1.0 - (gained * before).sum(axis=1) / (errors * (total - errors))
        precision = np.where(of > 0, at / np.maximum(of, 1), 0.0)
        average_precision = (precision * gained).sum(axis=1) / errors
        auroc[(errors == 0) | (errors == total)] = np.nan
        average_precision[(errors == 0) | (errors == total)] = np.nan
        within = {k: _hits_within(hits, seen, counts, wrong, np.round(k * total)) / errors for k in (0.1, 0.2)}
        within_errors = _hits_within(hits, seen, counts, wrong, errors) / errors
    return {
        "auroc": auroc,
        "average_precision": average_precision,
        "precision_at_errors": within_errors,
        "recall_at_10_percent": within[0.1],
        "recall_at_20_percent": within[0.2],
    }


def _hits_within(
    hits: Int[np.ndarray, "draw sample"],
    seen: Int[np.ndarray, "draw sample"],
    counts: Int[np.ndarray, "draw sample"],
    wrong: Bool[np.ndarray, " sample"],
    inspected: Float[np.ndarray, " draw"],
) -> Float[np.ndarray, " draw"]:
    """Errors among the first `inspected`; a sample that counts several times may be looked at in part."""
    rows = np.arange(len(hits))
    at = np.minimum((seen < inspected[:, None]).sum(axis=1), hits.shape[1] - 1)
    over = seen[rows, at] - inspected
    found: Floats = hits[rows, at] - np.clip(over, 0, counts[rows, at]) * wrong[at]
    return found


class Difference(NamedTuple):
    """A mean and its 95 % interval; NaN where there is no interval."""

    mean: float
    low: float
    high: float


def mean_of_both(values: Float[np.ndarray, "seed sample"]) -> Difference:
    """The mean over trainings and samples, for other trainings and other samples of the same kind.

    Two parts that are independent: that of the trainings by Student's t over their means, and that of the samples by
    the normal distribution over theirs; their half-widths add up in squares. The noise that belongs to both is counted
    twice, so the interval is rather too wide (Owen 2007, "The pigeonhole bootstrap", has the variance). With one
    training there is no interval.
    """
    seeds, samples = values.shape
    mean = float(values.mean()) if values.size else math.nan
    if seeds < 2 or samples < 2:
        return Difference(mean, math.nan, math.nan)
    by_seed = values.mean(axis=1).std(ddof=1) / math.sqrt(seeds) * student.ppf((1 + LEVEL) / 2, seeds - 1)
    by_sample = values.mean(axis=0).std(ddof=1) / math.sqrt(samples) * norm.ppf((1 + LEVEL) / 2)
    half = math.hypot(by_seed, by_sample)
    return Difference(mean, mean - half, mean + half)
