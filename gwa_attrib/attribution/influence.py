"""Influence functions with the curvature of the training loss, not approximated: solved in several ways.

All take `damping`, added to the diagonal: the weight decay, if the model was trained with one; None for a tenth of the
mean squared gradient entry. And `curvature`, for parameters other than the head's: "gauss_newton", which is never
negative, or "hessian". For the head the two are the same.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gwa_attrib.attribution.curvature import curvature_of
from gwa_attrib.attribution.data import Samples
from gwa_attrib.attribution.registry import attributors
from gwa_attrib.attribution.sample_gradients import CHUNK_BYTES
from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import InputError
from gwa_attrib.functional import linear_solvers

SOURCE = "Koh, Liang 2017, arXiv 1703.04730"
Inverse = Callable[[Tensor], Tensor]
"""Each row times the inverse of the damped curvature, ``[vector, size] -> [vector, size]``."""
Fit = Callable[[Task], Inverse]
DAMPING = 0.1
"""The share of the mean diagonal of the curvature that is added by default (Grosse et al. 2023, 2308.03296)."""


class InverseProducts:
    """The products of influence functions (Koh, Liang 2017, 1703.04730), however the inverse is found.

    The values are those of a mean curvature: removing a sample from n changes the loss of the query by about the value
    divided by n. With several checkpoints it is the mean over them.
    """

    def __init__(self, task: Task, fit: Fit) -> None:
        self._task, self._fit = task, fit

    def pairs(self, query: object) -> Tensor:
        task, samples = self._task, self._task.samples(query)
        result = torch.zeros(len(task.train), len(samples), dtype=torch.float64)
        for _ in task.checkpoints():
            inverse = self._fit(task)
            for columns, vectors in _flat(task, samples, "query gradients"):
                solved = inverse(vectors)
                for rows, gradients in _flat(task, task.train, "training gradients"):
                    result[rows, columns] += (gradients.to(solved.dtype) @ solved.T).double().cpu()
        return result / task.number_of_checkpoints

    def self_influence(self) -> Tensor:
        task = self._task
        result = torch.zeros(len(task.train), dtype=torch.float64)
        for _ in task.checkpoints():
            inverse = self._fit(task)
            for rows, gradients in _flat(task, task.train, "training gradients"):
                solved = inverse(gradients)
                result[rows] += (gradients.to(solved.dtype) * solved).sum(dim=1).double().cpu()
        return result / task.number_of_checkpoints


def _flat(task: Task, samples: Samples, what: str) -> Iterator[tuple[slice, Tensor]]:
    """Yield gradients of consecutive samples, of several batches if they fit: an inverse may cost a pass over all."""
    held: list[Tensor] = []
    start = 0
    for _, batch in task.passes(samples, what):
        for _, flat in task.per_sample.gradients(batch).flat_parts():
            if held and sum(map(_bytes, held)) + _bytes(flat) > CHUNK_BYTES:
                yield _rows(start, held)
                start, held = start + sum(map(len, held)), []
            held.append(flat)
    if held:
        yield _rows(start, held)


def _rows(start: int, held: list[Tensor]) -> tuple[slice, Tensor]:
    together = torch.cat(held)
    return slice(start, start + len(together)), together


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def mean_squared_gradient(task: Task) -> float:
    """Return the mean square of an entry of the training gradients: the empirical Fisher matrix's mean diagonal."""
    total = sum(float(task.per_sample.squared_norms(batch).sum()) for _, batch in task.passes(task.train, "damping"))
    return total / len(task.train) / task.per_sample.size


def default_damping(task: Task, damping: float | None) -> float:
    """Return the user's damping, or a tenth of `mean_squared_gradient`."""
    return DAMPING * mean_squared_gradient(task) if damping is None else damping


@attributors.register("influence", suspect="high", source=SOURCE)
def influence_attributor(
    task: Task, *, damping: float | None = None, curvature: str = "gauss_newton"
) -> InverseProducts:
    """Influence with the curvature formed and inverted: exact; up to 8192 parameters."""

    def fit(task: Task) -> Inverse:
        matrix = curvature_of(task, curvature).matrix()
        values, vectors = torch.linalg.eigh(matrix)
        damped = values + default_damping(task, damping)
        _refuse_indefinite(float(damped.min()), max(0.0, float(-values.min())))
        return lambda b: ((b.double() @ vectors) / damped) @ vectors.T

    return InverseProducts(task, fit)


def _refuse_indefinite(smallest: float, needed: float) -> None:
    if smallest <= 0:
        raise InputError(
            expected="the damped Hessian to be positive definite",
            found=f"an eigenvalue of {smallest:.3g}",
            todo=f"Pass damping= above {needed:.3g}, train until the loss is at a minimum, or use method='ekfac'.",
        )


@attributors.register("influence_cg", suspect="high", source=f"{SOURCE}; Hestenes, Stiefel 1952")
def influence_cg(
    task: Task,
    *,
    damping: float | None = None,
    curvature: str = "gauss_newton",
    tolerance: float = 1e-4,
    iterations: int = 200,
) -> InverseProducts:
    """Influence by conjugate gradients: exact to the tolerance; one pass over the data for each iteration."""

    def fit(task: Task) -> Inverse:
        matrix, added = curvature_of(task, curvature), default_damping(task, damping)

        def inverse(b: Tensor) -> Tensor:
            solved, residual = linear_solvers.conjugate_gradient(
                matrix.product, b.double(), added, tolerance=tolerance, iterations=iterations
            )
            _refuse_unsolved(residual, 10 * tolerance, iterations)
            return solved

        return inverse

    return InverseProducts(task, fit)


def _refuse_unsolved(residual: float, allowed: float, iterations: int) -> None:
    # Asked this way round, NaN is refused too.
    if not residual <= allowed:
        raise InputError(
            expected=f"a relative residual of at most {allowed:.1g} after {iterations} iterations",
            found=f"{residual:.3g}",
            todo="Pass more damping= (the Hessian may have negative eigenvalues), or more iterations=.",
        )


@attributors.register("lissa", suspect="high", source=f"{SOURCE}; Agarwal et al. 2017, arXiv 1602.03943")
def lissa(
    task: Task,
    *,
    damping: float | None = None,
    curvature: str = "gauss_newton",
    scale: float | None = None,
    iterations: int = 1000,
    stochastic: bool = False,
) -> InverseProducts:
    """Influence by a truncated series; over all samples in each iteration, or with `stochastic` over one batch.

    scale: has to exceed half the largest eigenvalue; None: found by power iteration.
    """

    def fit(task: Task) -> Inverse:
        matrix, added = curvature_of(task, curvature), default_damping(task, damping)

        def product(v: Tensor, number: int) -> Tensor:
            return matrix.product(v, number if stochastic else None)

        def inverse(b: Tensor) -> Tensor:
            divisor = _scale(matrix.product, b[0].double(), added) if scale is None else scale
            solved, change = linear_solvers.lissa(product, b.double(), added, scale=divisor, iterations=iterations)
            if not change < 1.0:
                raise InputError(
                    expected="the series to converge",
                    found=f"a relative change of {change:.3g} in the last of {iterations} iterations",
                    todo="Pass a larger scale=, or more damping=.",
                )
            return solved

        return inverse

    return InverseProducts(task, fit)


def _scale(product: linear_solvers.Product, like: Tensor, damping: float) -> float:
    start = torch.randn(like.shape, generator=torch.Generator().manual_seed(0), dtype=like.dtype).to(like.device)
    return 1.2 * linear_solvers.largest_eigenvalue(product, start) + damping


@attributors.register("arnoldi", suspect="high", source="Schioppa et al. 2022, arXiv 2112.03052")
def arnoldi(
    task: Task,
    *,
    damping: float | None = None,
    curvature: str = "gauss_newton",
    steps: int = 100,
    keep: int = 50,
) -> InverseProducts:
    """Influence within the eigenvectors of largest curvature that a Krylov space of `steps` dimensions finds.

    Of a Hessian that is not positive definite, those with a positive damped eigenvalue count.
    """

    def fit(task: Task) -> Inverse:
        matrix, added = curvature_of(task, curvature), default_damping(task, damping)
        generator = torch.Generator().manual_seed(task.seed)
        start = torch.randn(matrix.size, generator=generator, dtype=torch.float64).to(task.device)
        values, vectors = linear_solvers.arnoldi(matrix.product, start, min(steps, matrix.size), keep)
        damped = values + added
        usable = damped > 0
        return lambda b: ((b.double() @ vectors[usable].T) / damped[usable]) @ vectors[usable]

    return InverseProducts(task, fit)


@attributors.register("datainf", suspect="high", source="Kwon et al. 2024, arXiv 2310.00902")
def datainf(task: Task, *, damping: float | None = None) -> InverseProducts:
    """Influence with the mean of the inverses instead of the inverse of the mean, one parameter tensor at a time.

    damping: of every tensor; None for a tenth of its own mean squared gradient entry, as the paper has it.
    """

    def fit(task: Task) -> Inverse:
        sizes = [parameter.numel() for parameter in task.per_sample.parameters.values()]
        added = _of_tensors(task, sizes, damping)

        def inverse(b: Tensor) -> Tensor:
            result, split = torch.zeros_like(b), torch.split(b, sizes, dim=1)
            for _, batch in task.passes(task.train, "rank-one inverses"):
                for _, flat in task.per_sample.gradients(batch).flat_parts():
                    pieces = []
                    for g, v, of_tensor in zip(torch.split(flat, sizes, dim=1), split, added, strict=True):
                        share = (v @ g.T) / (of_tensor + g.square().sum(dim=1))
                        pieces.append(share @ g)
                    result += torch.cat(pieces, dim=1)
            left = torch.split(b - result / len(task.train), sizes, dim=1)
            return torch.cat([piece / of_tensor for piece, of_tensor in zip(left, added, strict=True)], dim=1)

        return inverse

    return InverseProducts(task, fit)


def _of_tensors(task: Task, sizes: list[int], damping: float | None) -> list[float]:
    if damping is not None:
        return [damping] * len(sizes)
    totals = torch.zeros(len(sizes), dtype=torch.float64)
    for _, batch in task.passes(task.train, "damping"):
        for _, flat in task.per_sample.gradients(batch).flat_parts():
            totals += torch.stack([part.square().sum() for part in torch.split(flat, sizes, dim=1)]).double().cpu()
    means = 0.1 * totals / len(task.train) / torch.tensor(sizes)
    return means.clamp_min(torch.finfo(torch.float32).tiny).tolist()
