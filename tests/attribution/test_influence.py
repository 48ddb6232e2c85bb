"""Influence functions against dense matrices, and against training without the sample."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from tests.attribution.problems import (
    L2,
    Problem,
    dense_gauss_newton,
    dense_hessian,
    fit,
    head_names,
    logistic,
    loop_gradients,
    mlp,
)

SOLVERS: dict[str, dict[str, Any]] = {
    "influence": {},
    "influence_cg": {"tolerance": 1e-9},
    "lissa": {"iterations": 20000},
    "arnoldi": {"steps": 200, "keep": 200},
}


def left_out(problem: Problem) -> "np.ndarray":
    """By how much the loss of each query rises when a sample is left out and the model trained again."""
    before = F.cross_entropy(problem.model(problem.query_x), problem.query_y, reduction="none").detach()
    rows = []
    for i in range(len(problem.x)):
        keep = torch.arange(len(problem.x)) != i
        model = nn.Linear(problem.x.shape[1], 3).double()
        model.load_state_dict(problem.model.state_dict())
        fit(model, problem.x[keep], problem.y[keep], total=len(problem.x))
        rows.append(F.cross_entropy(model(problem.query_x), problem.query_y, reduction="none").detach() - before)
    return torch.stack(rows).numpy()


def test_influence_is_what_leaving_out_does() -> None:
    """Spearman over the training samples, for each query; and the size: influence over n is the rise of the loss."""
    problem = logistic()
    truth = left_out(problem)
    for method, least in {"influence": 0.99, "influence_cg": 0.99, "arnoldi": 0.99, "lissa": 0.99}.items():
        options = {**SOLVERS[method], "damping": L2}
        found = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.query, method, **options).values
        agreement = [spearmanr(found[:, q], truth[:, q])[0] for q in range(truth.shape[1])]
        assert min(agreement) >= least, method
        slope = (found / len(truth) * truth).sum() / np.square(truth).sum()
        assert slope == pytest.approx(1.0, abs=0.1)


def test_self_influence_ranks_as_leaving_out_does() -> None:
    problem = logistic()
    queries = Problem(problem.model, problem.x, problem.y, problem.x, problem.y)
    truth = left_out(queries).diagonal()
    found = gwa.self_influence(problem.model, F.cross_entropy, problem.train, "influence", damping=L2).values
    assert spearmanr(found, truth)[0] >= 0.99
    approximate = gwa.self_influence(
        problem.model, F.cross_entropy, problem.train, "arnoldi", damping=L2, steps=12, keep=10
    ).values
    assert spearmanr(approximate, truth)[0] >= 0.95


@pytest.mark.parametrize("method", SOLVERS)
def test_of_the_head_it_equals_the_dense_hessian(method: str) -> None:
    problem = mlp()
    names = head_names(problem.model)
    hessian = dense_hessian(problem.model, *problem.train, names) + 0.05 * torch.eye(21)
    train, query = (loop_gradients(problem.model, *part, names) for part in (problem.train, problem.query))
    expected = train @ torch.linalg.solve(hessian, query.T)
    found = gwa.attribute(
        problem.model,
        F.cross_entropy,
        problem.train,
        problem.query,
        method,
        damping=0.05,
        batch_size=8,
        **SOLVERS[method],
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
def test_of_all_layers_it_equals_dense_matrices(method: str, curvature: str) -> None:
    problem = mlp()
    names = [name for name, _ in problem.model.named_parameters()]
    if curvature == "hessian":
        matrix = dense_hessian(problem.model, *problem.train, names)
    else:
        matrix = dense_gauss_newton(problem.model, problem.x, names)
    damping = 0.5
    train, query = (loop_gradients(problem.model, *part) for part in (problem.train, problem.query))
    expected = train @ torch.linalg.solve(matrix + damping * torch.eye(len(matrix)), query.T)
    options = {**SOLVERS[method], "damping": damping, "curvature": curvature, "layers": "all", "batch_size": 8}
    found = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.query, method, **options)
    np.testing.assert_allclose(found.values, expected.detach(), rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_datainf_equals_its_formula() -> None:
    """(1/λ) (v - mean_i g_i ⟨g_i, v⟩ / (λ + ‖g_i‖²)) of each tensor."""
    problem = mlp()
    parameters = dict(problem.model.named_parameters())
    expected = torch.zeros(19, 7, dtype=torch.float64)
    for name in parameters:
        train, query = (loop_gradients(problem.model, *part, [name]) for part in (problem.train, problem.query))
        damping = 0.1 * float(train.square().mean())
        for q, v in enumerate(query):
            mean = sum(g * (g @ v) / (damping + g @ g) for g in train) / len(train)
            expected[:, q] += train @ (v - mean) / damping
    found = gwa.attribute(
        problem.model, F.cross_entropy, problem.train, problem.query, "datainf", layers="all", batch_size=6
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


def test_stochastic_lissa_comes_close() -> None:
    problem = logistic()
    args = (problem.model, F.cross_entropy, problem.train, problem.query)
    exact = gwa.attribute(*args, "influence", damping=L2).values
    options = {"damping": L2, "stochastic": True, "iterations": 5000, "scale": 30.0, "batch_size": 20}
    found = gwa.attribute(*args, "lissa", **options).values
    assert min(spearmanr(found[:, q], exact[:, q])[0] for q in range(12)) >= 0.95


def test_what_cannot_be_solved_is_refused() -> None:
    problem = mlp()
    args = (problem.model, F.cross_entropy, problem.train, problem.query)
    whole = {"layers": "all", "curvature": "hessian"}
    with pytest.raises(InputError, match="positive definite"):
        gwa.attribute(*args, "influence", damping=1e-9, **whole)
    with pytest.raises(InputError, match="relative residual"):
        gwa.attribute(*args, "influence_cg", damping=1e-9, **whole)
    with pytest.raises(InputError, match="the series to converge"):
        gwa.attribute(*args, "lissa", damping=0.01, scale=1e-3)
    with pytest.raises(InputError, match="'gauss_newton' or 'hessian'"):
        gwa.attribute(*args, "influence", curvature="fisher")


def test_too_many_logit_hessians_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwa_attrib.attribution.curvature.MOST_HELD", 19 * 9 - 1)
    problem = mlp()
    with pytest.raises(InputError, match="19 samples of 3 classes"):
        gwa.self_influence(problem.model, F.cross_entropy, problem.train, "influence")


def test_a_matrix_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwa_attrib.attribution.curvature.MOST_EXPLICIT", 20)
    problem = mlp()
    with pytest.raises(InputError, match="at most 20 parameters"):
        gwa.self_influence(problem.model, F.cross_entropy, problem.train, "influence")


@pytest.mark.parametrize("method", ["influence", "datainf", "arnoldi"])
def test_how_much_is_formed_at_a_time_makes_no_difference(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = mlp()
    args = (problem.model, F.cross_entropy, problem.train)
    pairs = gwa.attribute(*args, problem.query, method, batch_size=4).values
    alone = gwa.self_influence(*args, method, batch_size=4).values
    monkeypatch.setattr("gwa_attrib.attribution.influence.CHUNK_BYTES", 1)
    np.testing.assert_allclose(gwa.attribute(*args, problem.query, method, batch_size=4).values, pairs, rtol=1e-6)
    np.testing.assert_allclose(gwa.self_influence(*args, method, batch_size=4).values, alone, rtol=1e-6)
