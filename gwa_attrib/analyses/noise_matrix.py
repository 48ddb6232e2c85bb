"""Which classes are taken for which: a noise matrix, estimated from what a run says of its samples.

``matrix[k, j]`` is the probability that a sample of class k carries the label j. It is that under which the given
labels are most likely, if class probabilities are what the epochs say, a little sharpened: an average of epochs that
were taught the wrong labels is less sure than it should be. The errors of a class are then shared out among the other
classes by empirical Bayes, which keeps what stands out (labels go to the look-alike) and evens out what is chance.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from torch import Tensor

SHARPNESS = 1.25
"""Power of the class probabilities."""
STEPS = 40
"""Of expectation maximisation."""
FIRST_RATE = 0.1
"""Of errors, where the estimate starts."""
ALPHAS = (1e-2, 1e4)
"""Bounds of how even the other classes are expected to be: from one class takes all, to each as likely."""

Matrix = Float[np.ndarray, "class class"]


def noise_matrix(probabilities: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Matrix:
    """Estimated from samples with probabilities; rows sum to 1. The identity where there is one class or no sample."""
    known = ~probabilities[:, 0].isnan()
    classes = probabilities.shape[1]
    if classes < 2 or not known.any():
        return np.eye(classes)
    return shared_out(joint_counts(probabilities[known], labels[known]))


def joint_counts(probabilities: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Matrix:
    """``[k, j]``: how many samples with label j are of class k, by expectation maximisation (Dawid & Skene 1979)."""
    classes = probabilities.shape[1]
    log = probabilities.double().clamp_min(1e-12).log()
    sharpened = (SHARPNESS * log).softmax(dim=1)
    eye = torch.eye(classes, dtype=torch.float64)
    matrix = (1 - FIRST_RATE) * eye + FIRST_RATE / classes
    counts = torch.zeros(classes, classes, dtype=torch.float64)
    for _ in range(STEPS):
        share = sharpened * matrix.T[labels]
        share /= share.sum(dim=1, keepdim=True)
        counts = torch.zeros_like(counts).index_add_(0, labels, share).T
        matrix = counts + 1e-3
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
    found: Matrix = counts.numpy()
    return found


def shared_out(counts: Matrix) -> Matrix:
    """From joint counts: the rate of errors of each class, pulled to the rate of all by the weight of one error, and
    its errors over the other classes, pulled to each as likely by what they have in common in all classes."""
    classes = len(counts)
    off = ~np.eye(classes, dtype=bool)
    errors = counts[off].reshape(classes, classes - 1)
    rate = (errors.sum() + 1) / (counts.sum() + 2)
    rates = (errors.sum(axis=1) + 1) / (counts.sum(axis=1) + 1 / rate)
    alpha = evenness(errors)
    shares = (errors + alpha) / (errors + alpha).sum(axis=1, keepdims=True)
    matrix = np.zeros((classes, classes))
    matrix[off] = (np.clip(rates, 0.0, 1.0)[:, None] * shares).ravel()
    np.fill_diagonal(matrix, 1.0 - matrix.sum(axis=1))
    return matrix


def evenness(errors: Float[np.ndarray, "class other"]) -> float:
    """Parameter of the symmetric Dirichlet distribution that makes these counts likeliest; large is even."""
    others = errors.shape[1]
    if others < 2:
        return 1.0

    def surprise(log_alpha: float) -> float:
        alpha = np.exp(log_alpha)
        of_rows = gammaln(alpha * others) - gammaln(alpha * others + errors.sum(axis=1))
        return -float(of_rows.sum() + (gammaln(alpha + errors) - gammaln(alpha)).sum())

    found = minimize_scalar(surprise, bounds=np.log(ALPHAS), method="bounded")
    return float(np.exp(found.x))
