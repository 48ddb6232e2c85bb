"""What holds for every registered attributor: the day one is registered, it is tested."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from gwa_attrib.attribution import attributors
from gwa_attrib.errors import InputError
from tests.attribution.problems import L2, cnn, logistic, mlp, plain_cnn

OPTIONS: dict[str, dict[str, Any]] = {
    "influence_cg": {"tolerance": 1e-8},
    "lissa": {"damping": 1.0, "iterations": 20000},
    "ekfac": {"fisher": "empirical"},
}
"""Such that results do not depend on chance or on where an iteration ends."""
each = pytest.mark.parametrize("method", attributors.names())
each_that_knows = pytest.mark.parametrize("method", [name for name in attributors.names() if name != "random"])
each_with_diagonal = pytest.mark.parametrize(
    "method", [name for name in attributors.names() if name not in ("knn_shapley", "random")]
)
"""Of the others the value of a sample alone is not that of the pair (sample, sample)."""


@each_with_diagonal
def test_self_influence_is_the_diagonal(method: str) -> None:
    problem, options = mlp(), OPTIONS.get(method, {})
    pairs = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.train, method, **options)
    alone = gwa.self_influence(problem.model, F.cross_entropy, problem.train, method, **options)
    assert pairs.values.shape == (19, 19)
    np.testing.assert_allclose(alone.values, pairs.values.diagonal(), rtol=1e-4)
    assert alone.suspect == "high"


@each
@pytest.mark.parametrize("layers", ["head", "linear"])
def test_the_size_of_the_batches_makes_no_difference(method: str, layers: str) -> None:
    problem, options = plain_cnn(), OPTIONS.get(method, {})
    args = (problem.model, F.cross_entropy, problem.train, problem.query, method)
    one = gwa.attribute(*args, layers=layers, batch_size=19, **options)
    other = gwa.attribute(*args, layers=layers, batch_size=4, **options)
    np.testing.assert_allclose(other.values, one.values, rtol=1e-4, atol=1e-6 * np.abs(one.values).max())
    alone = [
        gwa.self_influence(*args[:3], method, layers=layers, batch_size=size, **options).values for size in (19, 4)
    ]
    np.testing.assert_allclose(alone[1], alone[0], rtol=1e-4, atol=1e-6 * np.abs(alone[0]).max())


@each_that_knows
def test_the_order_of_the_samples_makes_no_difference(method: str) -> None:
    problem, options = mlp(), OPTIONS.get(method, {})
    order = torch.randperm(19, generator=torch.Generator().manual_seed(0))
    shuffled = (problem.x[order], problem.y[order])
    plain = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.query, method, **options)
    other = gwa.attribute(problem.model, F.cross_entropy, shuffled, problem.query, method, **options)
    np.testing.assert_allclose(other.values, plain.values[order], rtol=1e-4, atol=1e-6 * np.abs(plain.values).max())


@each
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_reduction_of_the_loss_makes_no_difference(method: str, reduction: str) -> None:
    problem, options = mlp(), OPTIONS.get(method, {})

    def values(loss: Any) -> Any:
        return gwa.attribute(problem.model, loss, problem.train, problem.query, method, **options).values

    found = values(nn.CrossEntropyLoss(reduction=reduction))
    np.testing.assert_allclose(found, values(nn.CrossEntropyLoss(reduction="sum")), rtol=1e-6)


@each
def test_the_model_is_left_alone(method: str) -> None:
    problem = cnn() if method not in ("ekfac",) else plain_cnn()
    model = problem.model.train()
    before = copy.deepcopy(model.state_dict())
    gwa.attribute(model, F.cross_entropy, problem.train, problem.query, method, **OPTIONS.get(method, {}))
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@each_that_knows
def test_a_sample_with_the_query_itself_helps(method: str) -> None:
    """At a minimum, with a penalty: what is trained on is what is asked, so that leaving it out must hurt."""
    problem, options = logistic(), {**OPTIONS.get(method, {})}
    if method in ("influence", "influence_cg", "lissa", "arnoldi", "datainf", "ekfac"):
        options["damping"] = L2
    scores = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.train, method, **options)
    own = scores.values.diagonal()
    assert (own >= 0).all()
    assert own.mean() > scores.values.mean()
    assert scores.suspect == "low"


@each
def test_loaders_and_data_sets_are_read_in_order(method: str) -> None:
    problem, options = mlp(), OPTIONS.get(method, {})
    dataset = TensorDataset(*problem.train)
    shuffled = DataLoader(dataset, batch_size=5, shuffle=True)
    plain = gwa.self_influence(problem.model, F.cross_entropy, problem.train, method, **options)
    for source in (dataset, shuffled):
        found = gwa.self_influence(problem.model, F.cross_entropy, source, method, **options)
        np.testing.assert_allclose(found.values, plain.values, rtol=1e-6)


@each_that_knows
def test_a_sample_without_a_finite_output_is_refused(method: str) -> None:
    problem = mlp()
    x = problem.x.clone()
    x[13, 0] = torch.nan
    with pytest.raises(InputError, match="NaN or infinity for 1 of a batch of 5, the first at position 3"):
        gwa.self_influence(problem.model, F.cross_entropy, (x, problem.y), method, batch_size=5)


@each
def test_one_sample_is_enough(method: str) -> None:
    problem, options = mlp(), OPTIONS.get(method, {})
    one = (problem.x[:1], problem.y[:1])
    scores = gwa.attribute(problem.model, F.cross_entropy, one, one, method, **options)
    assert scores.values.shape == (1, 1)
    assert np.isfinite(scores.values).all()
