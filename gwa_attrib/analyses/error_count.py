"""How many labels are wrong, from the odds against each: a count at even odds, between a strict and a lax one.

A run has no truth to calibrate against, so the interval is no confidence interval: it is what the count becomes when
twenty to one is asked for, one way and the other, and wide where the model itself is often unsure. How often it held
where the truth is known is in `docs/detection.md`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

SURE = 20.0
"""Odds against a label from which it counts for `low`; odds for it up to which it counts for `high`."""
ERRORS = 1.64
"""Standard errors of a count (Poisson) by which the interval is widened."""


@dataclass(frozen=True)
class ErrorCount:
    """Estimated number of wrong labels."""

    count: int
    """Samples with the odds against their label: a label score below 1/2."""
    low: int
    """Those with odds of twenty to one against the label; less the sampling error of that number."""
    high: int
    """All but those with odds of twenty to one for the label; and the sampling error of that number."""


def count_errors(log_odds: Float[np.ndarray, " sample"]) -> ErrorCount:
    """Count the samples by their log-odds against the given label; NaN (never seen) counts for nothing."""
    count, strict, lax = (int(np.sum(log_odds > np.log(odds))) for odds in (1.0, SURE, 1 / SURE))
    low = max(0, int(strict - ERRORS * np.sqrt(strict)))
    high = min(int(np.sum(~np.isnan(log_odds))), int(np.ceil(lax + ERRORS * np.sqrt(lax))))
    return ErrorCount(count, low, high)


def is_issue(log_odds: Float[np.ndarray, " sample"]) -> Bool[np.ndarray, " sample"]:
    """The samples that make up `ErrorCount.count`."""
    return np.asarray(log_odds > 0)
