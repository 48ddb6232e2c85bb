"""Nearest neighbours against all subsets; representer points against the theorem; TRAK against its formula."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gwa_attrib as gwa
from gwa_attrib.attribution.of_features import Representer
from gwa_attrib.attribution.task import Task
from gwa_attrib.attribution.trak import Projection
from gwa_attrib.errors import HeadError, InputError
from gwa_attrib.functional.shapley import knn_shapley
from tests.attribution.problems import head_names, mlp


def worth(distances: Tensor, labels: Tensor, label: int, members: tuple[int, ...], neighbours: int) -> float:
    """Share of the K nearest members that have the label."""
    nearest = sorted(members, key=lambda i: (float(distances[i]), i))[:neighbours]
    return sum(int(labels[i] == label) for i in nearest) / neighbours


def shapley_by_subsets(distances: Tensor, labels: Tensor, label: int, neighbours: int) -> list[float]:
    """The definition: the mean over all orders of what a sample adds."""
    n = len(labels)
    values = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        total = 0.0
        for size in range(n):
            for members in combinations(others, size):
                gain = worth(distances, labels, label, (*members, i), neighbours)
                gain -= worth(distances, labels, label, members, neighbours)
                total += gain / (n * comb(n - 1, size))
        values.append(total)
    return values


@pytest.mark.parametrize("neighbours", [1, 3, 10, 12])
def test_knn_shapley_equals_the_definition(neighbours: int) -> None:
    generator = torch.Generator().manual_seed(neighbours)
    distances = torch.rand(10, 2, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (10,), generator=generator)
    found = knn_shapley(distances, labels, torch.tensor([0, 1]), neighbours)
    for query in range(2):
        expected = shapley_by_subsets(distances[:, query], labels, query, neighbours)
        np.testing.assert_allclose(found[:, query], expected, atol=1e-12)


def test_knn_shapley_of_samples_alone_leaves_each_query_out() -> None:
    problem = mlp()
    found = gwa.self_influence(problem.model, F.cross_entropy, problem.train, "knn_shapley", neighbours=3)
    features = problem.model[:2](problem.x).detach()  # type: ignore[index]
    expected = torch.zeros(19)
    for i in range(19):
        others = torch.arange(19) != i
        distances = torch.cdist(features[others], features[i : i + 1])
        values = knn_shapley(distances, problem.y[others], problem.y[i : i + 1], 3).squeeze(1)
        expected[others] += values / 18
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)
    assert found.suspect == "low"


def test_representer_values_add_up_to_the_logits() -> None:
    """At the minimum of a loss with an L2 penalty every logit is a sum over the training samples."""
    problem = mlp()
    task = Task(problem.model, F.cross_entropy, problem.train)
    fitted = Representer(task, 1e-2)
    features = problem.model[:2](problem.query_x).detach().double()  # type: ignore[index]
    logits = features @ fitted.weight.T
    values = fitted.pairs(problem.query)
    np.testing.assert_allclose(values.sum(dim=0), logits.gather(1, problem.query_y.unsqueeze(1)).squeeze(1), atol=1e-5)


def test_trak_equals_its_formula() -> None:
    """Without a projection, over two checkpoints."""
    problem, other = mlp(), mlp()
    with torch.no_grad():
        for p in other.model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(0), dtype=p.dtype), alpha=0.3)
    names = head_names(problem.model)
    products, doubts = torch.zeros(19, 7), torch.zeros(19)
    for model in (problem.model, other.model):
        train, query = (_margin_gradients(model, *part, names) for part in (problem.train, problem.query))
        damped = train.T @ train
        damped = damped + 0.01 * damped.diagonal().mean() * torch.eye(len(damped))
        products += train @ torch.linalg.solve(damped, query.T) / 2
        p = model(problem.x).softmax(dim=1).gather(1, problem.y.unsqueeze(1)).squeeze(1).detach()
        doubts += (1 - p) / 2
    found = gwa.attribute(
        problem.model,
        F.cross_entropy,
        problem.train,
        problem.query,
        "trak",
        checkpoints=[problem.model.state_dict(), other.model.state_dict()],
        damping=0.01,
        batch_size=5,
    )
    np.testing.assert_allclose(found.values, products * doubts.unsqueeze(1), rtol=1e-4, atol=1e-6)


def _margin_gradients(model: nn.Module, x: Tensor, y: Tensor, names: list[str]) -> Tensor:
    parameters = [p for name, p in model.named_parameters() if name in names]
    rows = []
    for i in range(len(x)):
        p = model(x[i : i + 1]).softmax(dim=1)[0, y[i]]
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad((p / (1 - p)).log(), parameters)]))
    return torch.stack(rows)


def test_a_projection_keeps_products_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 40_000, generator=generator, dtype=torch.float64)
    exact = rows @ rows.T
    project = Projection(40_000, 2000, seed=1)
    found = project(rows) @ project(rows).T
    np.testing.assert_allclose(found / 40_000, exact / 40_000, atol=0.12)  # five standard deviations: 1/sqrt(2000)
    again, other = Projection(40_000, 2000, seed=1), Projection(40_000, 2000, seed=2)
    assert torch.equal(project(rows), again(rows))
    assert not torch.allclose(project(rows), other(rows))


def test_a_head_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwa_attrib.attribution.of_features.ITERATIONS", 1)
    problem = mlp()
    with pytest.raises(InputError, match="after 1 iterations"):
        gwa.self_influence(problem.model, F.cross_entropy, problem.train, "representer", penalty=1e-6)


def test_what_is_refused() -> None:
    problem = mlp()
    args = (problem.model, F.cross_entropy, problem.train)
    for method, options in {
        "knn_shapley": {"neighbours": 0},
        "representer": {"penalty": 0.0},
        "trak": {"dimensions": 0},
    }.items():
        with pytest.raises(InputError):
            gwa.self_influence(*args, method, **options)
    soft = F.one_hot(problem.y, 3).double()
    with pytest.raises(HeadError, match="integer labels"):
        gwa.self_influence(problem.model, F.cross_entropy, (problem.x, soft), "knn_shapley")
    convolutional = nn.Sequential(nn.Conv1d(1, 3, 4), nn.Flatten()).double()
    with pytest.raises(HeadError, match="a linear layer that runs last"):
        gwa.self_influence(convolutional, F.cross_entropy, (problem.x.unsqueeze(1), problem.y), "knn_shapley")
