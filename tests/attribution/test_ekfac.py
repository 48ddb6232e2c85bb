"""EK-FAC against matrices that are written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, LayerError
from tests.attribution.problems import Problem, cnn, head_names, loop_gradients, mlp, plain_cnn


def inputs_of(model: nn.Sequential, x: Tensor, layer: int) -> Tensor:
    """What a layer sees of one sample, ``[position, feature + 1]``."""
    seen = model[:layer](x.unsqueeze(0))
    if isinstance(model[layer], nn.Conv2d):
        seen = F.unfold(seen, 3, padding=1, stride=2).transpose(1, 2)
    rows = seen.reshape(-1, seen.shape[-1]).detach()
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def output_gradients(model: nn.Sequential, x: Tensor, y: Tensor, layer: int) -> Tensor:
    """∂ℓ/∂out of one sample, ``[position, output]``."""
    out = model[: layer + 1](x.unsqueeze(0)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model[layer + 1 :](out), y.unsqueeze(0)), out)
    return gradient.flatten(2).squeeze(0).T if out.dim() == 4 else gradient


def expected_of_layer(problem: Problem, layer: int) -> Tensor:
    """⟨g_i, (Q Λ Qᵀ + λ)⁻¹ g_q⟩ with ``Q = Q_S ⊗ Q_A`` as one matrix."""
    model = problem.model
    assert isinstance(model, nn.Sequential)
    a = sum(inputs_of(model, x, layer).T @ inputs_of(model, x, layer) for x in problem.x)
    deltas = [output_gradients(model, x, y, layer) for x, y in zip(*problem.train, strict=True)]
    s = sum(delta.T @ delta for delta in deltas)
    q = torch.kron(torch.linalg.eigh(s).eigenvectors, torch.linalg.eigh(a).eigenvectors)
    names = [f"{layer}.weight", f"{layer}.bias"]
    train, query = (
        _with_bias_last(loop_gradients(model, *part, names), len(s)) for part in (problem.train, problem.query)
    )
    eigenvalues = (train @ q).square().mean(dim=0)
    damped = q @ (eigenvalues + 0.1 * eigenvalues.mean()).diag() @ q.T
    return train @ torch.linalg.solve(damped, query.T)


def _with_bias_last(flat: Tensor, outputs: int) -> Tensor:
    weight, bias = flat[:, :-outputs], flat[:, -outputs:]
    return torch.cat([weight.reshape(len(flat), outputs, -1), bias.unsqueeze(2)], dim=2).flatten(1)


@pytest.mark.parametrize(("make", "layers"), [(mlp, (0, 2)), (plain_cnn, (0, 3))])
def test_it_equals_its_definition(make: "type[Problem]", layers: tuple[int, ...]) -> None:
    problem = make()
    expected = sum(expected_of_layer(problem, layer) for layer in layers)
    found = gwa.attribute(
        problem.model,
        F.cross_entropy,
        problem.train,
        problem.query,
        "ekfac",
        layers="linear",
        fisher="empirical",
        batch_size=8,
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)


def test_with_one_sample_it_is_the_fisher_matrix_itself() -> None:
    """Of a linear layer and one sample the Kronecker product is exact."""
    problem = mlp()
    one = (problem.x[:1], problem.y[:1])
    g = loop_gradients(problem.model, *one, head_names(problem.model))[0]
    query = loop_gradients(problem.model, *problem.query, head_names(problem.model))
    fisher = torch.outer(g, g)
    damping = 0.1 * float(fisher.diagonal().mean())
    expected = g @ torch.linalg.solve(fisher + damping * torch.eye(len(g)), query.T)
    found = gwa.attribute(problem.model, F.cross_entropy, one, problem.query, "ekfac", fisher="empirical")
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-6)


def test_the_true_fisher_draws_labels_from_the_model() -> None:
    """Averaged over many draws the eigenvalues are those of the Gauss-Newton matrix; here: other than empirical."""
    problem = mlp()
    args = (problem.model, F.cross_entropy, problem.train, problem.query, "ekfac")
    one, again, other = (gwa.attribute(*args, seed=seed).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_other_layers_are_refused() -> None:
    problem = cnn()
    args = (problem.model, F.cross_entropy, problem.train, "ekfac")
    with pytest.raises(LayerError, match=r"parameters of others: 1\.bias, 1\.weight"):
        gwa.self_influence(*args, layers="all")
    gwa.self_influence(*args, layers="linear")
    with pytest.raises(InputError, match="'true' or 'empirical'"):
        gwa.self_influence(*args, layers="linear", fisher="exact")
