"""Per-sample gradients of a table of embeddings, where a sample may look up the same row many times.

Each lookup adds its ``δ`` to the gradient of its row; the norm is of the rows' sums. A batch never forms the table.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def table_gradient(
    samples: int,
    rows: int,
    sample: Int[Tensor, " lookup"],
    row: Int[Tensor, " lookup"],
    delta: Float[Tensor, "lookup feature"],
) -> Float[Tensor, "sample row feature"]:
    """Gradient of each sample's loss with respect to the whole table: large, for checks and small tables."""
    gradient = delta.new_zeros(samples * rows, delta.shape[1])
    return gradient.index_add_(0, sample * rows + row, delta).view(samples, rows, delta.shape[1])


def table_squared_norm(
    samples: int,
    rows: int,
    sample: Int[Tensor, " lookup"],
    row: Int[Tensor, " lookup"],
    delta: Float[Tensor, "lookup feature"],
) -> Float[Tensor, " sample"]:
    """Squared norm of each sample's gradient of the table, from the rows that it looked up."""
    result = delta.new_zeros(samples)
    if not len(row):
        return result
    keys, slot = torch.unique(sample * rows + row, return_inverse=True)
    sums = delta.new_zeros(len(keys), delta.shape[1]).index_add_(0, slot, delta)
    return result.index_add_(0, keys // rows, sums.square().sum(dim=1))
