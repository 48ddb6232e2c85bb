"""The noise matrix, which classes are taken for which, estimated from what a run says of its samples.

``matrix[k, j]`` is the probability that a sample of class k carries the label j. How many labels are errors is how many
the epochs together contradict. Where they go is where they most likely go, if class probabilities are what the epochs
say, sharpened a little: an average of epochs that were taught the wrong labels is less sure than it should be. That is
smoothed by empirical Bayes towards how errors go in all classes together, as some labels are given too often: what
stands out is kept (labels go to the look-alike), and chance is evened out.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from torch import Tensor

SHARPER = 1.25
"""Power of the class probabilities, to see where errors go."""
TRUST = 0.75
"""Power of the shares: errors that depend on the sample, not on its class alone, do not keep to them."""
STEPS = 40
"""Steps of expectation maximisation."""
FIRST_RATE = 0.1
"""Rate of errors where the estimate starts."""
ALPHAS = (1e-2, 1e4)
"""Bounds of `agreement` for each other class: from the errors of each class go their own way, to all go one way."""

Matrix = Float[np.ndarray, "class class"]


def estimate_noise_matrix(probabilities: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Matrix:
    """Estimate it from the samples that have probabilities; rows sum to 1. The identity where there is one class, or
    no sample."""
    known = ~probabilities[:, 0].isnan()
    classes = probabilities.shape[1]
    if classes < 2 or not known.any():
        return np.eye(classes)
    probabilities, labels = probabilities[known], labels[known]
    rate = (int((probabilities.argmax(dim=1) != labels).sum()) + 1) / (len(labels) + 2)
    matrix = np.zeros((classes, classes))
    off = ~np.eye(classes, dtype=bool)
    matrix[off] = (rate * shares(joint_counts(probabilities, labels, SHARPER))).ravel()
    np.fill_diagonal(matrix, 1.0 - rate)
    return matrix


def joint_counts(
    probabilities: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], sharpness: float
) -> Matrix:
    """``[k, j]``: how many samples with label j are of class k, by expectation maximisation (Dawid & Skene 1979)."""
    classes = probabilities.shape[1]
    log = probabilities.double().clamp_min(1e-12).log()
    of_label = _by_label((sharpness * log).softmax(dim=1), labels)
    eye = torch.eye(classes, dtype=torch.float64)
    matrix = (1 - FIRST_RATE) * eye + FIRST_RATE / classes
    counts = torch.zeros(classes, classes, dtype=torch.float64)
    for _ in range(STEPS):
        counts = torch.zeros_like(counts)
        for label, rows in of_label.items():
            likely = matrix[:, label]
            counts[:, label] = likely * (rows.T @ (rows @ likely).reciprocal())
        # A cell of zero would stay zero in every later step.
        matrix = counts + 1e-3
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
    found: Matrix = counts.numpy()
    return found


def _by_label(rows: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> dict[int, Tensor]:
    """The rows of each label that occurs."""
    found, sizes = torch.unique(labels, return_counts=True)
    return dict(zip(found.tolist(), torch.split(rows[labels.argsort()], sizes.tolist()), strict=True))


def shares(counts: Matrix) -> Float[np.ndarray, "class other"]:
    """Share the errors of each class out over the other classes, in their order without itself; rows sum to 1.

    Counts are pulled to how errors go in all classes together, by how alike the classes are in that.
    """
    classes = len(counts)
    off = ~np.eye(classes, dtype=bool)
    errors = np.where(off, counts, 0.0)
    evenly = errors.mean() * classes + 1e-9
    common = np.where(off, errors.sum(axis=0) + evenly, 0.0)  # half of it alike for all, so that chance counts less
    errors, common = (of[off].reshape(classes, classes - 1) for of in (errors, common))
    common = common / common.sum(axis=1, keepdims=True)
    pulled = errors + agreement(errors, common) * common
    found = (pulled / pulled.sum(axis=1, keepdims=True)) ** TRUST
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def agreement(errors: Float[np.ndarray, "class other"], common: Float[np.ndarray, "class other"]) -> float:
    """Find how many errors the common ways weigh: the Dirichlet distribution with this sum of its parameters, and with
    `common` as its mean, makes the counts likeliest."""
    others = errors.shape[1]

    def surprise(log_alpha: float) -> float:
        alpha = np.exp(log_alpha) * others
        of_rows = gammaln(alpha) - gammaln(alpha + errors.sum(axis=1))
        of_cells = gammaln(alpha * common + errors) - gammaln(alpha * common)
        return -float(of_rows.sum() + of_cells.sum())

    found = minimize_scalar(surprise, bounds=np.log(ALPHAS), method="bounded")
    return float(np.exp(found.x) * others)
