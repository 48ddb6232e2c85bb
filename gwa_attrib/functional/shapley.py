"""Shapley values of training samples for a nearest-neighbour vote, exactly, by sorting."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def knn_shapley(
    distances: Float[Tensor, "train query"],
    labels: Int[Tensor, " train"],
    query_labels: Int[Tensor, " query"],
    neighbours: int,
) -> Float[Tensor, "train query"]:
    """Return Shapley values for the share of the `neighbours` nearest that have the query's label; low is harmful.

    The worth of a set is the number of right labels among its ``min(K, size)`` nearest, divided by K; the values of a
    query add up to the worth of all samples (Jia et al. 2019, 1908.08619, theorem 1). Equal distances: in the order of
    the samples.
    """
    order = torch.argsort(distances, dim=0, stable=True)
    values = shapley_of_votes(labels[order] == query_labels.unsqueeze(0), neighbours)
    return torch.zeros_like(values).scatter_(0, order, values)


def shapley_of_votes(right: Bool[Tensor, "train query"], neighbours: int) -> Float[Tensor, "train query"]:
    """Return the values of `knn_shapley` from which labels are right, nearest sample first."""
    train, votes = len(right), right.to(torch.float64)
    rank = torch.arange(1, train, dtype=torch.float64).unsqueeze(1)
    steps = (votes[:-1] - votes[1:]) / neighbours * rank.clamp_max(neighbours) / rank
    last = votes[-1:] * min(neighbours, train) / (train * neighbours)
    return torch.cat([steps, last]).flip(0).cumsum(dim=0).flip(0)
