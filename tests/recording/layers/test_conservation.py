"""A law of training: what the samples' products say is what the weights do. Under plain gradient descent half the
squared norm of each block grows by the learning rate times the mean product of the batch, up to the rate squared."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwa_attrib.recording.begin import record
from gwa_attrib.store import Run, open_run
from tests import layer_loops as loops
from tests.layer_loops import BATCHES, KINDS

EPOCHS, RATE = 4, 0.02
Norms = dict[str, float]


def members(model: nn.Module, layers: tuple[str, ...]) -> dict[str, list[nn.Parameter]]:
    named = dict(model.named_parameters())
    blocks = {layer: [p for name, p in named.items() if (name + ".").startswith(layer + ".")] for layer in layers[1:]}
    return {"all": list(named.values()), **blocks}


def half_squares(model: nn.Module, layers: tuple[str, ...]) -> Norms:
    return {
        layer: sum(float(p.detach().double().square().sum()) for p in parameters) / 2
        for layer, parameters in members(model, layers).items()
    }


class Descent:
    """A recorded training by plain gradient descent, with the squared norms of the weights before and after."""

    def __init__(self, path: Path, make: Callable[[], nn.Module], x: Tensor, rate: float, epochs: int) -> None:
        self.rate, self.path = rate, path
        model, y = make(), loops.labels()
        self.half_squared_gradients: Norms = {}
        self.totals: list[Norms] = []
        optimizer = torch.optim.SGD(model.parameters(), rate)
        with record(model, path, num_samples=loops.SAMPLES, layers="all") as recorder:
            layers = open_run(path).layers
            before = half_squares(model, layers)
            for _ in range(epochs):
                for ids in BATCHES:
                    F.cross_entropy(model(x[ids]), y[ids]).backward()
                    recorder.step(y[ids], sample_ids=ids)
                    self._note(model, layers)
                    optimizer.step()
                    optimizer.zero_grad()
                recorder.end_epoch()
            after = half_squares(model, layers)
        self.growth = {layer: after[layer] - before[layer] for layer in layers}
        self.size = before["all"]

    def _note(self, model: nn.Module, layers: tuple[str, ...]) -> None:
        total: Norms = {}
        for layer, parameters in members(model, layers).items():
            pairs = [(p.grad.double(), p.detach().double()) for p in parameters if p.grad is not None]
            total[layer] = -sum(float((g * p).sum()) for g, p in pairs)
            square = self.rate**2 / 2 * sum(float(g.square().sum()) for g, _ in pairs)
            self.half_squared_gradients[layer] = self.half_squared_gradients.get(layer, 0.0) + square
        self.totals.append(total)

    @property
    def run(self) -> Run:
        return open_run(self.path)

    def mean_products(self) -> np.ndarray:
        """Mean over the batch of the stored products, ``[step, layer]``."""
        frame = self.run.layer_observations().to_pandas()
        means = frame.groupby(["step", "layer"], observed=True)["dot"].mean().unstack()
        return means[list(self.run.layers)].to_numpy(np.float64)

    def gaps(self) -> np.ndarray:
        """For each layer, growth of the weights less what the products say."""
        return np.array([self.growth[x] for x in self.run.layers]) - self.rate * self.mean_products().sum(axis=0)


each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_the_products_of_a_batch_add_up_to_those_of_autograd(tmp_path: Path, kind: str) -> None:
    make, x = KINDS[kind]
    descent = Descent(tmp_path / "run", make, x(), RATE, EPOCHS)
    expected = np.array([[total[layer] for layer in descent.run.layers] for total in descent.totals])
    assert descent.mean_products().shape == (EPOCHS * len(BATCHES), len(descent.run.layers))
    np.testing.assert_allclose(descent.mean_products(), expected, rtol=1e-4, atol=1e-6)


@each_kind
def test_the_weights_grow_by_the_products_and_by_the_squared_gradients(tmp_path: Path, kind: str) -> None:
    """Exact: ½‖θ - η G‖² - ½‖θ‖² = -η⟨G, θ⟩ + ½η²‖G‖²."""
    make, x = KINDS[kind]
    descent = Descent(tmp_path / "run", make, x(), 0.1, EPOCHS)
    expected = [descent.half_squared_gradients[layer] for layer in descent.run.layers]
    np.testing.assert_allclose(descent.gaps(), expected, atol=1e-6 * descent.size, rtol=1e-3)


@each_kind
def test_what_the_products_leave_open_shrinks_with_the_learning_rate(tmp_path: Path, kind: str) -> None:
    """Over the same total of learning rates, half the rate leaves half the gap: in the limit nothing is left."""
    make, x = KINDS[kind]
    gaps = [Descent(tmp_path / str(k), make, x(), RATE / 2**k, EPOCHS * 2**k).gaps() for k in range(3)]
    assert (np.abs(gaps[0]) > 0).all()
    for larger, smaller in pairwise(gaps):
        np.testing.assert_allclose(smaller / larger, 0.5, atol=0.06)


class Drops(nn.Module):
    """Dropout everywhere, and inside attention, where the weights of the positions are dropped."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.drop = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.3), nn.LayerNorm(6)), nn.Dropout1d(0.2)
        self.attends = loops.Attends()
        self.attends.attention.dropout = 0.3

    def forward(self, x: Tensor) -> Tensor:
        return self.attends(F.dropout(self.drop(self.stem(x)), 0.1, self.training))


def test_under_dropout_the_products_are_those_of_the_masks_that_were_drawn(tmp_path: Path) -> None:
    descent = Descent(tmp_path / "run", Drops, loops.sequences(), 0.1, EPOCHS)
    expected = np.array([[total[layer] for layer in descent.run.layers] for total in descent.totals])
    np.testing.assert_allclose(descent.mean_products(), expected, rtol=1e-4, atol=1e-6)


@each_kind
def test_the_blocks_add_up_to_the_whole(tmp_path: Path, kind: str) -> None:
    make, x = KINDS[kind]
    frame = Descent(tmp_path / "run", make, x(), RATE, 1).run.layer_observations().to_pandas()
    assert (frame["alignment"].dropna().abs() <= 1).all()
    whole = frame[frame["layer"] == "all"].sort_values(["step", "sample_id"])
    blocks = frame[frame["layer"] != "all"].astype({"grad_norm": np.float64}).groupby(["step", "sample_id"])
    np.testing.assert_allclose(whole["dot"], blocks["dot"].sum(), rtol=1e-4, atol=1e-6)
    length = blocks["grad_norm"].agg(lambda norms: np.linalg.norm(norms))
    np.testing.assert_allclose(whole["grad_norm"], length, rtol=1e-5)
