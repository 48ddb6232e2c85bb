"""Attributors that compare the gradients of two samples as they are: no curvature."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gwa_attrib.attribution.data import Samples
from gwa_attrib.attribution.registry import attributors
from gwa_attrib.attribution.sample_gradients import SampleGradients, stacked
from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import InputError

QUERY_BYTES = 1 << 30
"""Gradients of queries that are held at a time."""


class GradientProducts:
    """The products ``Σ_t η_t ⟨g_i, g_q⟩`` over checkpoints t; normalised to cosines if asked for."""

    def __init__(self, task: Task, weights: list[float], *, cosine: bool = False) -> None:
        self._task, self._weights, self._cosine = task, weights, cosine

    def pairs(self, query: object) -> Tensor:
        task, samples = self._task, self._task.samples(query)
        result = torch.zeros(len(task.train), len(samples), dtype=torch.float64)
        for number in task.checkpoints():
            for columns, of_queries in self._query_blocks(samples):
                lengths = of_queries.squared_norms().sqrt()
                for rows, batch in task.passes(task.train, "training gradients"):
                    of_train = task.per_sample.gradients(batch)
                    products = of_train.products(of_queries)
                    if self._cosine:
                        products = _cosines(products, of_train.squared_norms().sqrt(), lengths)
                    result[rows, columns] += self._weights[number] * products.double().cpu()
        return result

    def _query_blocks(self, samples: Samples) -> Iterator[tuple[slice, SampleGradients]]:
        """Yield the gradients of the queries, as many at a time as fit."""
        held: list[SampleGradients] = []
        first = end = 0
        for rows, batch in self._task.passes(samples, "query gradients"):
            held.append(self._task.per_sample.gradients(batch))
            end = rows.stop
            if sum(part.bytes for part in held) > QUERY_BYTES:
                yield slice(first, end), stacked(held)
                held, first = [], end
        if held:
            yield slice(first, end), stacked(held)

    def self_influence(self) -> Tensor:
        task = self._task
        result = torch.zeros(len(task.train), dtype=torch.float64)
        for number in task.checkpoints():
            for rows, batch in task.passes(task.train, "training gradients"):
                squared = task.per_sample.squared_norms(batch)
                value = torch.where(squared > 0, 1.0, torch.nan) if self._cosine else squared
                result[rows] += self._weights[number] * value.double().cpu()
        return result


def _cosines(products: Tensor, of_train: Tensor, of_query: Tensor) -> Tensor:
    """Return cosines; NaN where a gradient is zero."""
    return products / (of_train.unsqueeze(1) * of_query.unsqueeze(0))


@attributors.register("grad_dot", suspect="high", source="Charpiat et al. 2019, arXiv 2102.05262")
def grad_dot(task: Task) -> GradientProducts:
    """Product of the loss gradients of the trained model; with several checkpoints their mean."""
    return GradientProducts(task, [1.0 / task.number_of_checkpoints] * task.number_of_checkpoints)


@attributors.register("grad_cos", suspect="high", source="Charpiat et al. 2019, arXiv 2102.05262")
def grad_cos(task: Task) -> GradientProducts:
    """Cosine of the loss gradients, in [-1, 1]; with several checkpoints their mean. Of a sample with itself 1."""
    weights = [1.0 / task.number_of_checkpoints] * task.number_of_checkpoints
    return GradientProducts(task, weights, cosine=True)


@attributors.register("tracin", suspect="high", source="Pruthi et al. 2020, arXiv 2002.08484")
def tracin(task: Task, *, learning_rates: Sequence[float] | None = None) -> GradientProducts:
    """TracInCP: products of the loss gradients, summed over checkpoints with the learning rate at each (1 if None)."""
    count = task.number_of_checkpoints
    rates = [1.0] * count if learning_rates is None else [float(rate) for rate in learning_rates]
    if len(rates) != count:
        raise InputError(
            expected=f"one learning rate for each of {count} checkpoints",
            found=f"{len(rates)}",
            todo="Pass the rate with which the training went on from each checkpoint.",
        )
    return GradientProducts(task, rates)
