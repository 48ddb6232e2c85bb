"""Wrong labels expected among the first suspects, by what the label score has meant where the truth is known.

A run has no truth, and what a score means depends on the data. So the answer is a mean and a range, over the trainings
of `reports/detection/` with wrong labels: how often a label with such a score was wrong in each of them. The range is
that of eight trainings out of ten, added up as if each score were off in the same direction, since within one data set
they are.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SCORE = (0.03, 0.11, 0.30, 0.51, 0.71, 0.89, 0.99)
"""Mean label score of the labels in each bin."""
WRONG = (0.97, 0.86, 0.63, 0.44, 0.29, 0.17, 0.01)
"""Share of wrong labels in each bin, the mean over the trainings."""
LOW = (0.95, 0.60, 0.17, 0.06, 0.02, 0.00, 0.00)
HIGH = (1.00, 1.00, 1.00, 1.00, 0.86, 0.57, 0.03)
"""The same in the training with fewer than nine out of ten others, and in the one with more."""
TRAININGS = 63
FIRST = (20, 50, 100)
WORTH_IT = 0.5
"""Share of wrong labels at which looking further is no longer worth it: more right ones than wrong ones are met."""


@dataclass(frozen=True)
class Expected:
    """Wrong labels expected among the first so many."""

    first: int
    wrong: int
    low: int
    high: int


def expected_among(label_score: Float[np.ndarray, " suspect"], first: int) -> Expected:
    """Expect so many wrong labels among the `first` lowest label scores, with the range of eight trainings in ten.

    Args:
        label_score: Ascending.
        first: How many to look at; at least 1.
    """
    scores = label_score[:first]
    mean, low, high = (float(np.interp(scores, SCORE, share).sum()) for share in (WRONG, LOW, HIGH))
    return Expected(len(scores), round(mean), int(np.floor(low)), min(len(scores), int(np.ceil(high))))


def expected_steps(label_score: Float[np.ndarray, " suspect"]) -> list[Expected]:
    """Wrong labels expected among the first 20, 50 and 100 suspects, and among all of them where they are no more.

    Args:
        label_score: Ascending, of all suspects.
    """
    count = len(label_score)
    steps = [first for first in FIRST if first < count]
    steps += [count] if 0 < count <= FIRST[-1] else []
    return [expected_among(label_score, first) for first in steps]


def worth_looking(label_score: Float[np.ndarray, " suspect"]) -> tuple[int, int, int]:
    """Count the suspects that are worth looking at: until less than half of the next labels are expected to be wrong.

    Returns:
        By the mean of the trainings, by those in which scores meant least, and by those in which they meant most.
    """
    mean, low, high = (
        int(np.searchsorted(label_score, _crossing(share), side="right")) for share in (WRONG, LOW, HIGH)
    )
    return mean, low, high


def _crossing(share: tuple[float, ...]) -> float:
    """The label score from which fewer than `WORTH_IT` of the labels are wrong."""
    grid = np.linspace(0.0, 1.0, 10_001)
    return float(grid[np.interp(grid, SCORE, share) >= WORTH_IT].max(initial=0.0))
