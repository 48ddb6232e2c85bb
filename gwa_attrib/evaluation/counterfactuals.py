"""Trainings again as scores of the samples, and how well other scores predict them."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores


def linear_datamodeling_score(
    scores: Scores, masks: Bool[np.ndarray, "subset train"], losses: Float[np.ndarray, "subset query"]
) -> Float[np.ndarray, " query"]:
    """LDS of each query: Spearman over the subsets of the sum of the scores in them with how low the loss became.

    1 is perfect, 0 is chance (Park et al. 2023, 2303.14186). NaN where the losses or the sums are constant.

    Raises:
        InputError: the shapes do not fit.
    """
    subsets, queries = losses.shape
    if scores.values.shape != (masks.shape[1], queries) or len(masks) != subsets:
        raise InputError(
            expected=f"scores for {masks.shape[1]} samples and {queries} queries, and losses of {len(masks)} subsets",
            found=f"scores {scores.values.shape} and losses {losses.shape}",
            todo="Attribute the same samples to the same queries as were trained on and asked.",
        )
    predicted = masks.astype(np.float64) @ np.nan_to_num(scores.values)
    found = np.full(queries, np.nan)
    for query in range(queries):
        if np.ptp(predicted[:, query]) > 0 and np.ptp(losses[:, query]) > 0:
            found[query] = spearmanr(predicted[:, query], -losses[:, query])[0]
    return found


def leave_one_out(losses: Float[np.ndarray, "train query"], whole: Float[np.ndarray, " query"]) -> Scores:
    """Turn what `retrain` over `all_but_one` found into scores ``[train, query]``: how far the loss rises without each.

    Negative: the sample is harmful.

    Args:
        losses: Without each sample in turn.
        whole: With all of them.
    """
    values = losses - whole
    return Scores(values, np.arange(len(values)), method="leave_one_out", suspect="low")


def leave_one_out_correlation(scores: Scores, truth: Scores) -> Float[np.ndarray, " query"]:
    """Spearman correlation, for each query, of scores with what `leave_one_out` found; 1 is perfect, 0 is chance.

    NaN where either is constant.

    Raises:
        InputError: not the same samples and queries.
    """
    if scores.values.shape != truth.values.shape or scores.values.ndim != 2:
        raise InputError(
            expected="scores [train, query] of the samples and queries that were left out and asked",
            found=f"{scores.values.shape} and {truth.values.shape}",
            todo="Attribute with gwa.attribute to the same queries.",
        )
    found = np.full(scores.values.shape[1], np.nan)
    for query, (one, other) in enumerate(zip(scores.values.T, truth.values.T, strict=True)):
        if np.ptp(one) > 0 and np.ptp(other) > 0:
            found[query] = spearmanr(one, other, nan_policy="omit")[0]
    return found


def datamodel(
    masks: Bool[np.ndarray, "subset train"], losses: Float[np.ndarray, "subset query"], *, penalty: float = 1e-2
) -> Scores:
    """Linear models of the losses in which samples are there, as scores ``[train, query]``; negative is harmful.

    Lasso, as in Ilyas et al. 2022 (2202.00622), with `penalty` relative to the smallest at which all is zero.
    """
    from sklearn.linear_model import Lasso

    inputs = masks.astype(np.float64)
    values = np.zeros((masks.shape[1], losses.shape[1]))
    for query, of_query in enumerate(losses.T):
        largest = np.abs(inputs.T @ (of_query - of_query.mean())).max() / len(masks)
        if largest > 0:
            values[:, query] = -Lasso(penalty * largest, max_iter=20_000).fit(inputs, of_query).coef_
    return Scores(values, np.arange(len(values)), method="datamodel", suspect="low")
