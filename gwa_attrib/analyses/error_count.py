"""How many labels are wrong: the confident joint of Northcutt, Jiang & Chuang 2021 (arXiv 1911.00068).

A sample counts for a class when its probability of that class reaches what the samples with that label have on average;
the counts of given label against that class are then scaled to the number of samples of each label.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BETWEEN = 1.96
"""Standard errors of the counts that the interval is widened by."""


@dataclass(frozen=True)
class ErrorCount:
    """Estimated number of wrong labels, with an interval that it should be in."""

    count: int
    low: int
    """Samples that another class explains with confidence, less the sampling error of that number."""
    high: int
    """Samples whose consensus is another class at all, with the sampling error."""


def class_thresholds(
    p_label: Float[np.ndarray, " sample"], labels: Int[np.ndarray, " sample"], classes: int
) -> Float[np.ndarray, " class"]:
    """Mean probability of the label over the samples with that label; infinite for a class without samples."""
    seen = ~np.isnan(p_label)
    number = np.bincount(labels[seen], minlength=classes)
    total = np.bincount(labels[seen], weights=p_label[seen], minlength=classes)
    return np.where(number > 0, total / np.maximum(number, 1), np.inf)


def confident_class(
    probabilities: Float[np.ndarray, "sample class"], thresholds: Float[np.ndarray, " class"]
) -> Int[np.ndarray, " sample"]:
    """The likeliest of the classes that a sample reaches the threshold of; -1 if it reaches none."""
    reached = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    return np.where(reached.max(axis=1) > 0, reached.argmax(axis=1), -1)


def count_errors(
    labels: Int[np.ndarray, " sample"],
    confident: Int[np.ndarray, " sample"],
    predicted: Int[np.ndarray, " sample"],
) -> ErrorCount:
    """Count the errors among the seen samples (label and prediction not negative).

    Args:
        labels: Given labels.
        confident: The class of each sample in the confident joint, -1 for none.
        predicted: The consensus of each sample.
    """
    joint = (labels >= 0) & (confident >= 0)
    surely = int(np.sum(confident[joint] != labels[joint]))
    share = np.zeros(labels.max(initial=0) + 1)
    number = np.bincount(labels[joint], minlength=len(share))
    np.add.at(share, labels[joint], confident[joint] != labels[joint])
    share = share / np.maximum(number, 1)
    seen = labels >= 0
    count = round(float(np.sum(share[labels[seen]])))
    differing = int(np.sum(predicted[seen] != labels[seen]))
    low = int(max(0.0, surely - BETWEEN * np.sqrt(surely)))
    high = int(np.ceil(differing + BETWEEN * np.sqrt(differing)))
    return ErrorCount(count, min(low, count), min(max(high, count), int(seen.sum())))
