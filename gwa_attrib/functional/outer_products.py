"""Per-sample gradients of a linear map: sums of outer products over positions, and their norms without forming them.

For ``out = W x`` at positions ``t`` the gradient of one sample's loss with respect to ``W`` is ``Σ_t δ_t x_tᵀ`` with
``δ = ∂ℓ/∂out``. Its squared norm is ``Σ_{s,t} (x_s·x_t)(δ_s·δ_t)``: two Gram matrices of the positions, which is less
work than the gradient where positions are few (Goodfellow 2015, 1510.01799; Li et al. 2022, 2110.05679).

In a table of embeddings each lookup adds its ``δ`` to the gradient of its row, and a sample may look up the same row
many times; the norm is of the rows' sums. A batch never forms the table.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gwa_attrib.functional.chunking import chunks

MEMORY_PRICE = 60
"""The cost of reading and writing one number, in multiply-adds of a matrix product: measured on CPUs."""


def outer_gradient(
    x: Float[Tensor, "sample position feature"], delta: Float[Tensor, "sample position output"]
) -> Float[Tensor, "sample output feature"]:
    """Form ``Σ_t δ_t x_tᵀ`` of each sample."""
    return torch.bmm(delta.transpose(1, 2), x)


def gram_is_less_work(positions: int, features: int, outputs: int) -> bool:
    """Tell whether the norm is expected to come faster from the Gram matrices than from the gradient."""
    by_gram = positions**2 * (features + outputs + 3 * MEMORY_PRICE)
    by_gradient = features * outputs * (positions + 2 * MEMORY_PRICE)
    return by_gram < by_gradient


def outer_squared_norm(
    x: Float[Tensor, "sample position feature"], delta: Float[Tensor, "sample position output"]
) -> Float[Tensor, " sample"]:
    """Return ``‖Σ_t δ_t x_tᵀ‖²`` of each sample, by whichever exact way is less work."""
    samples, positions, features = x.shape
    outputs = delta.shape[2]
    if positions == 1:
        return x.square().sum(dim=(1, 2)) * delta.square().sum(dim=(1, 2))
    result = x.new_empty(samples)
    if gram_is_less_work(positions, features, outputs):
        for part in chunks(samples, 2 * positions**2, x.device):
            a, b = x[part], delta[part]
            result[part] = (torch.bmm(a, a.transpose(1, 2)) * torch.bmm(b, b.transpose(1, 2))).sum(dim=(1, 2))
        # A sum of signed products may fall below zero by rounding, and its root would be NaN.
        return result.clamp_min_(0.0)
    for part in chunks(samples, features * outputs, x.device):
        result[part] = outer_gradient(x[part], delta[part]).square().sum(dim=(1, 2))
    return result


def table_gradient(
    samples: int,
    rows: int,
    sample: Int[Tensor, " lookup"],
    row: Int[Tensor, " lookup"],
    delta: Float[Tensor, "lookup feature"],
) -> Float[Tensor, "sample row feature"]:
    """Form each sample's gradient of the whole table: large, for checks and small tables."""
    gradient = delta.new_zeros(samples * rows, delta.shape[1])
    return gradient.index_add_(0, sample * rows + row, delta).view(samples, rows, delta.shape[1])


def table_squared_norm(
    samples: int,
    rows: int,
    sample: Int[Tensor, " lookup"],
    row: Int[Tensor, " lookup"],
    delta: Float[Tensor, "lookup feature"],
) -> Float[Tensor, " sample"]:
    """Return the squared norm of each sample's gradient of the table, from the rows that it looked up."""
    result = delta.new_zeros(samples)
    if not len(row):
        return result
    keys, slot = torch.unique(sample * rows + row, return_inverse=True)
    sums = delta.new_zeros(len(keys), delta.shape[1]).index_add_(0, slot, delta)
    return result.index_add_(0, keys // rows, sums.square().sum(dim=1))
