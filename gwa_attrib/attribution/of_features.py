"""Attributors that look at the head's features and labels: representer points, nearest neighbours; and none at all."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gwa_attrib.attribution.data import Samples
from gwa_attrib.attribution.registry import attributors
from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import HeadError, InputError
from gwa_attrib.functional.shapley import knn_shapley, shapley_of_votes
from gwa_attrib.hooks.forward import glimpses

CONVERGED, ITERATIONS = 1e-4, 1000
"""Largest entry of the gradient at which a head counts as fitted, and iterations until then."""
QUERIES = 256
"""Queries that are worked on at a time."""


class HeadData(NamedTuple):
    """The data of a head: float64 features ``[sample, feature]`` and integer labels."""

    features: Tensor
    labels: Tensor


def head_data(task: Task, samples: Samples, what: str) -> HeadData:
    """Collect the input of the layer that runs last, one row a sample.

    Raises:
        HeadError: there is no such layer, or it sees something else.
    """
    head = task.head_layer
    features, labels = [], []
    for _, batch in task.passes(samples, what):
        with torch.no_grad(), glimpses(head) as seen:
            outputs, targets = task.forward(task.model, batch)
        found = seen[-1].features
        right = found.dim() == 2 and len(found) == len(outputs)
        if not right or targets.is_floating_point() or targets.dim() != 1:
            raise HeadError(
                expected="a linear head over one row of features per sample, and integer labels",
                found=f"features {list(found.shape)}, targets {targets.dtype} {list(targets.shape)}",
                todo="Choose another method; `gwa_attrib.attribution.attributors.names()` lists them.",
            )
        features.append(found.double().cpu())
        labels.append(targets.long().cpu())
    return HeadData(torch.cat(features), torch.cat(labels))


@attributors.register("representer", suspect="high", source="Yeh et al. 2018, arXiv 1811.09720")
def representer(task: Task, *, penalty: float = 1e-3) -> "Representer":
    """Share of a sample in the query's own logit, of a head that is fitted again with an L2 penalty (no bias).

    penalty: λ in ``mean loss + λ‖W‖²``; at its minimum every logit is a sum over the training samples.
    """
    return Representer(task, penalty)


class Representer:
    """The values ``α_i[y_q] (h_i · h_q)`` with ``α_i = -(1/2λn) ∂ℓ_i/∂z``."""

    def __init__(self, task: Task, penalty: float) -> None:
        if not penalty > 0:
            raise InputError(expected="a penalty above 0", found=f"{penalty}", todo="Leave it at 1e-3.")
        self._task = task
        self._train = head_data(task, task.train, "features")
        self.weight = fit_head(self._train, penalty, task.head_layer.out_features)
        z = self._train.features @ self.weight.T
        residual = z.softmax(dim=1) - F.one_hot(self._train.labels, z.shape[1])
        self.alpha = -residual / (2 * penalty * len(z))

    def pairs(self, query: object) -> Tensor:
        of_query = head_data(self._task, self._task.samples(query), "query features")
        return self.alpha[:, of_query.labels] * (self._train.features @ of_query.features.T)

    def self_influence(self) -> Tensor:
        own = self.alpha.gather(1, self._train.labels.unsqueeze(1)).squeeze(1)
        return own * self._train.features.square().sum(dim=1)


def fit_head(data: HeadData, penalty: float, classes: int) -> Tensor:
    """Fit ``[class, feature]`` to the minimum of ``mean cross-entropy + penalty ‖W‖²``."""
    weight = torch.zeros(classes, data.features.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight], max_iter=ITERATIONS, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(data.features @ weight.T, data.labels) + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
        loss()
    left = float(weight.grad.abs().max()) if weight.grad is not None else float("nan")
    if not left < CONVERGED:
        raise InputError(
            expected="the head to reach the minimum of its penalised loss",
            found=f"a gradient of {left:.2g} after {ITERATIONS} iterations",
            todo="Pass more penalty=.",
        )
    return weight.detach()


@attributors.register("knn_shapley", suspect="low", source="Jia et al. 2019, arXiv 1908.08619")
def knn_shapley_attributor(task: Task, *, neighbours: int = 10) -> "KnnShapley":
    """Shapley value for a vote of the nearest neighbours in the head's feature space.

    Of samples alone: the mean value with every other training sample as the query; there low is suspicious.
    """
    return KnnShapley(task, neighbours)


class KnnShapley:
    """The Shapley values by Euclidean distance of features."""

    def __init__(self, task: Task, neighbours: int) -> None:
        if neighbours < 1:
            raise InputError(expected="at least one neighbour", found=f"{neighbours}", todo="Leave it at 10.")
        self._task, self._neighbours = task, neighbours
        self._train = head_data(task, task.train, "features")

    def pairs(self, query: object) -> Tensor:
        data = head_data(self._task, self._task.samples(query), "query features")
        parts = zip(torch.split(data.features, QUERIES), torch.split(data.labels, QUERIES), strict=True)
        return torch.cat([self._values(features, labels) for features, labels in parts], dim=1)

    def _values(self, features: Tensor, labels: Tensor) -> Tensor:
        distances = torch.cdist(self._train.features, features)
        return knn_shapley(distances, self._train.labels, labels, self._neighbours)

    def self_influence(self) -> Tensor:
        train, total = self._train, torch.zeros(len(self._train.labels), dtype=torch.float64)
        if len(total) < 2:
            return torch.full_like(total, torch.nan)
        for part in torch.split(torch.arange(len(total)), QUERIES):
            distances = torch.cdist(train.features, train.features[part])
            distances[part, torch.arange(len(part))] = torch.inf
            total += self._without_own(distances, part)
        return total / (len(total) - 1)

    def _without_own(self, distances: Tensor, part: Tensor) -> Tensor:
        """Sum the values for the queries `part`, each of which comes last in its own column."""
        order = torch.argsort(distances, dim=0, stable=True)
        others = order[:-1]
        values = shapley_of_votes(self._train.labels[others] == self._train.labels[part].unsqueeze(0), self._neighbours)
        return torch.zeros_like(distances).scatter_(0, others, values).sum(dim=1)


@attributors.register("random", suspect="high", source="no method")
def random(task: Task) -> "Random":
    """Random numbers, which the task's seed fixes: what any method has to beat."""
    return Random(task)


class Random:
    """The values of chance, uniform in [0, 1)."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def _draw(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=torch.Generator().manual_seed(self._task.seed), dtype=torch.float64)

    def pairs(self, query: object) -> Tensor:
        return self._draw(len(self._task.train), len(self._task.samples(query)))

    def self_influence(self) -> Tensor:
        return self._draw(len(self._task.train))
