"""How many labels are wrong, from the odds against each: a count at even-handed odds, between a strict and a lax one.

A run has no truth to calibrate against, so the interval is no confidence interval: it is what the count becomes under
stricter and laxer odds, and wide where the odds are spread out, as they are when the model itself is often unsure.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

STRICT, EVEN, LAX = 4.0, 2.0, 1.0
"""How many times likelier than the given label another class is: for `low`, `count` and `high`."""
ERRORS = 1.96
"""Standard errors of a count (Poisson) by which the interval is widened."""


@dataclass(frozen=True)
class ErrorCount:
    """Estimated number of wrong labels."""

    count: int
    """Samples with another class at least twice as likely as the given label."""
    low: int
    """At least four times as likely; less the sampling error of that number."""
    high: int
    """More likely at all; and the sampling error of that number."""


def count_errors(log_odds: Float[np.ndarray, " sample"]) -> ErrorCount:
    """Count the samples by their log-odds against the given label; NaN (never seen) counts for nothing."""
    count, strict, lax = (int(np.sum(log_odds > np.log(odds))) for odds in (EVEN, STRICT, LAX))
    low = max(0, int(strict - ERRORS * np.sqrt(strict)))
    high = min(int(np.sum(~np.isnan(log_odds))), int(np.ceil(lax + ERRORS * np.sqrt(lax))))
    return ErrorCount(count, low, high)


def is_issue(log_odds: Float[np.ndarray, " sample"]) -> Bool[np.ndarray, " sample"]:
    """The samples that make up `ErrorCount.count`."""
    return np.asarray(log_odds > np.log(EVEN))
