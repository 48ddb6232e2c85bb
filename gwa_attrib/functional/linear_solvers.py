"""Solving ``(H + λ) s = b`` where H is known by its products with vectors only.

All functions take the right-hand sides as rows, ``[vector, size]``, and a function that multiplies each row with H, a
symmetric matrix; they are deterministic.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""Each row times H, ``[vector, size] -> [vector, size]``."""


def conjugate_gradient(
    product: Product,
    b: Float[Tensor, "vector size"],
    damping: float,
    *,
    tolerance: float = 1e-5,
    iterations: int | None = None,
) -> tuple[Float[Tensor, "vector size"], float]:
    """Return solutions, and the largest residual relative to its right-hand side (Hestenes, Stiefel 1952).

    H + λ has to be positive definite; along a direction where it is not the solution stays where it is.

    Args:
        tolerance: Relative residual at which a system is solved.
        iterations: At most so many; None: as many as H has rows.
    """
    x, r = torch.zeros_like(b), b.clone()
    p, squared = r.clone(), r.square().sum(dim=1)
    goal = squared * tolerance**2
    for _ in range(b.shape[1] if iterations is None else iterations):
        going = squared > goal
        if not going.any():
            break
        hp = product(p) + damping * p
        curvature = (p * hp).sum(dim=1)
        step = torch.where(going & (curvature > 0), squared / curvature, 0.0).unsqueeze(1)
        x, r = x + step * p, r - step * hp
        before, squared = squared, torch.where(step.squeeze(1) > 0, r.square().sum(dim=1), 0.0)
        p = r + torch.where(before > 0, squared / before, 0.0).unsqueeze(1) * p
    residual = b - product(x) - damping * x
    relative = torch.linalg.vector_norm(residual, dim=1) / torch.linalg.vector_norm(b, dim=1).clamp_min(1e-300)
    return x, float(relative.max()) if len(b) else 0.0


class Eigenpairs(NamedTuple):
    """Eigenpairs of a symmetric matrix; values by falling magnitude."""

    values: Float[Tensor, " pair"]
    vectors: Float[Tensor, "pair size"]


def arnoldi(product: Product, start: Float[Tensor, " size"], steps: int, keep: int) -> Eigenpairs:
    """Find the `keep` eigenpairs of largest magnitude that a Krylov space of `steps` dimensions knows (Arnoldi 1951).

    The basis is orthogonalised twice against all its vectors. Fewer pairs if the space is exhausted before.
    """
    basis = [start / torch.linalg.vector_norm(start)]
    matrix = start.new_zeros(steps, steps)
    for column in range(steps):
        w = product(basis[-1].unsqueeze(0)).squeeze(0)
        size = torch.linalg.vector_norm(w)
        q = torch.stack(basis)
        for _ in range(2):
            overlap = q @ w
            w = w - overlap @ q
            matrix[: len(basis), column] += overlap
        rest = torch.linalg.vector_norm(w)
        if column + 1 == steps or rest <= 1e-6 * size:
            break
        matrix[column + 1, column] = rest
        basis.append(w / rest)
    count = len(basis)
    symmetric = (matrix[:count, :count] + matrix[:count, :count].T) / 2
    values, vectors = torch.linalg.eigh(symmetric)
    order = values.abs().argsort(descending=True)[:keep]
    return Eigenpairs(values[order], vectors[:, order].T @ torch.stack(basis))


def largest_eigenvalue(product: Product, start: Float[Tensor, " size"], iterations: int = 50) -> float:
    """Estimate its magnitude by power iteration: a lower bound that is close after enough iterations."""
    v, value = start.unsqueeze(0) / torch.linalg.vector_norm(start), 0.0
    for _ in range(iterations):
        w = product(v)
        value = float(torch.linalg.vector_norm(w))
        if not value:
            break
        v = w / value
    return value


def lissa(
    product: Callable[[Tensor, int], Tensor],
    b: Float[Tensor, "vector size"],
    damping: float,
    *,
    scale: float,
    iterations: int,
    tolerance: float = 1e-6,
) -> tuple[Float[Tensor, "vector size"], float]:
    """Return solutions by the series ``s ← b/scale + (1 - (H + λ)/scale) s``, and the last relative change.

    Source: Agarwal et al. 2017, 1602.03943; for influence Koh, Liang 2017, 1703.04730. Converges if `scale` exceeds
    half the largest eigenvalue of H + λ. `product` is told the number of the iteration, so that it may look at a part
    of the samples. The series ends after `iterations`, or where the relative change has fallen below `tolerance`.
    """
    s, change = b / scale, float("inf")
    for number in range(iterations):
        following = b / scale + s - (product(s, number) + damping * s) / scale
        moved, size = torch.linalg.vector_norm(following - s, dim=1), torch.linalg.vector_norm(following, dim=1)
        change = float(torch.where(moved == 0, 0.0, moved / size).nan_to_num(torch.inf).amax()) if len(b) else 0.0
        s = following
        if change < tolerance:
            break
    return s, change
