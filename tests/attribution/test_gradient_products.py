"""Products of gradients against loops, and against what a step of training does."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, UnknownNameError
from tests.attribution.problems import Problem, cnn, head_names, loop_gradients, mlp


@pytest.mark.parametrize("make", [mlp, cnn])
@pytest.mark.parametrize("layers", ["head", "all"])
def test_products_and_cosines_equal_a_loop(make: "type[Problem]", layers: str) -> None:
    problem = make()
    names = head_names(problem.model) if layers == "head" else None
    train = loop_gradients(problem.model, *problem.train, names)
    query = loop_gradients(problem.model, *problem.query, names)
    args = (problem.model, F.cross_entropy, problem.train, problem.query)
    dot = gwa.attribute(*args, "grad_dot", layers=layers, batch_size=7).values
    np.testing.assert_allclose(dot, train @ query.T, rtol=1e-9, atol=1e-12)
    cos = gwa.attribute(*args, "grad_cos", layers=layers, batch_size=7).values
    np.testing.assert_allclose(cos, F.normalize(train) @ F.normalize(query).T, rtol=1e-9, atol=1e-12)
    alone = gwa.self_influence(*args[:3], "tracin", layers=layers).values
    np.testing.assert_allclose(alone, train.square().sum(dim=1), rtol=1e-9)


def test_layers_by_name_and_queries_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = mlp()
    monkeypatch.setattr("gwa_attrib.attribution.gradient_products.QUERY_BYTES", 1)
    found = gwa.attribute(
        problem.model, F.cross_entropy, problem.train, problem.query, "grad_dot", layers=["0"], batch_size=2
    )
    names = ["0.weight", "0.bias"]
    expected = (
        loop_gradients(problem.model, *problem.train, names) @ loop_gradients(problem.model, *problem.query, names).T
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-12)


def test_tracin_sums_checkpoints_with_their_learning_rates(tmp_path: Path) -> None:
    problem = mlp()
    late, early = problem.model, mlp().model
    with torch.no_grad():
        for p in early.parameters():
            p.mul_(0.5)
    torch.save(early.state_dict(), tmp_path / "early.pt")
    expected = sum(
        rate * loop_gradients(model, *problem.train) @ loop_gradients(model, *problem.query).T
        for model, rate in ((early, 0.3), (late, 0.01))
    )
    args = (late, F.cross_entropy, problem.train)
    options = {
        "layers": "all",
        "checkpoints": [tmp_path / "early.pt", late.state_dict()],
        "learning_rates": [0.3, 0.01],
    }
    np.testing.assert_allclose(gwa.attribute(*args, problem.query, "tracin", **options).values, expected, rtol=1e-9)
    alone = gwa.self_influence(*args, "tracin", **options).values
    squares = [rate * loop_gradients(m, *problem.train).square().sum(dim=1) for m, rate in ((early, 0.3), (late, 0.01))]
    np.testing.assert_allclose(alone, sum(squares), rtol=1e-9)


def test_tracin_is_what_a_small_step_does() -> None:
    """The loss of each query falls by η ⟨g_i, g_q⟩ in a step on sample i, up to η²."""
    problem = mlp()
    values = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.query, "tracin", layers="all").values
    errors = []
    for rate in (1e-2, 1e-3):
        fallen = _fall_of_loss(problem, rate) / rate
        errors.append(np.abs(fallen - values).max())
    assert errors[0] < 0.1 * np.abs(values).max()
    assert errors[1] < 0.15 * errors[0]  # ten times smaller steps, ten times smaller errors


def _fall_of_loss(problem: Problem, rate: float) -> "np.ndarray":
    rows = []
    before = F.cross_entropy(problem.model(problem.query_x), problem.query_y, reduction="none").detach()
    for gradient in loop_gradients(problem.model, *problem.train):
        stepped = mlp().model
        nn.utils.vector_to_parameters(
            nn.utils.parameters_to_vector(stepped.parameters()) - rate * gradient, stepped.parameters()
        )
        after = F.cross_entropy(stepped(problem.query_x), problem.query_y, reduction="none").detach()
        rows.append((before - after).numpy())
    return np.stack(rows)


def test_a_zero_gradient_has_no_cosine() -> None:
    model = nn.Linear(2, 2, bias=False).double()
    x, y = torch.tensor([[0.0, 0.0], [1.0, 2.0]]).double(), torch.tensor([0, 1])
    cos = gwa.attribute(model, F.cross_entropy, (x, y), (x[1:], y[1:]), "grad_cos").values
    assert np.isnan(cos[0, 0])
    assert cos[1, 0] == pytest.approx(1.0)


def test_what_is_refused() -> None:
    problem = mlp()
    args = (problem.model, F.cross_entropy, problem.train)
    with pytest.raises(InputError, match="one learning rate for each of 2"):
        gwa.self_influence(*args, "tracin", checkpoints=[problem.model.state_dict()] * 2, learning_rates=[0.1])
    with pytest.raises(InputError, match="learning_rates"):
        gwa.self_influence(*args, "grad_dot", learning_rates=[0.1])
    with pytest.raises(UnknownNameError, match="grad_dot"):
        gwa.self_influence(*args, "leverage")
    with pytest.raises(InputError, match="state dict of this model"):
        gwa.self_influence(*args, checkpoints=[{"other": torch.zeros(1)}])
    with pytest.raises(InputError, match="empty set"):
        gwa.self_influence(*args[:2], (problem.x[:0], problem.y[:0]))
    with pytest.raises(InputError, match="an empty list"):
        gwa.self_influence(*args, checkpoints=[])
    with pytest.raises(InputError, match="inputs and 5 targets"):
        gwa.self_influence(*args[:2], (problem.x, problem.y[:5]))
    weight = torch.tensor([1.0, 5.0, 0.1]).double()
    with pytest.raises(InputError, match="reduction='none'"):
        gwa.self_influence(problem.model, nn.CrossEntropyLoss(weight=weight), problem.train)
    gwa.self_influence(problem.model, nn.CrossEntropyLoss(weight=weight, reduction="none"), problem.train)
