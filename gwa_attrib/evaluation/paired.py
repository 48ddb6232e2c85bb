"""The difference between two ways to train, with its interval."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm
from scipy.stats import t as student

LEVEL = 0.95


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
