"""The same quantities by other libraries, on models that they support."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

import gwa_attrib as gwa
from attributors.problems import Problem, mlp, plain_cnn

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries

LEARNING_RATES = (0.3, 0.05)


def checkpoints(model: nn.Module, folder: Path) -> list[str]:
    """Two state dicts on disk: shrunk, and as it is."""
    paths = []
    for number, factor in enumerate((0.5, 1.0)):
        state = {name: factor * value for name, value in model.state_dict().items()}
        torch.save(state, folder / f"{number}.pt")
        paths.append(str(folder / f"{number}.pt"))
    return paths


@pytest.mark.parametrize("make", [mlp, plain_cnn])
def test_tracin_equals_captum(make: "type[Problem]", tmp_path: Path) -> None:
    """captum 0.9 is right for linear layers and convolutions in evaluation mode, with a summed loss."""
    influence = pytest.importorskip("captum.influence", reason="captum is not installed")
    problem = make()
    paths = checkpoints(problem.model, tmp_path)
    rates = dict(zip(paths, LEARNING_RATES, strict=True))

    def load(model: nn.Module, path: str) -> float:
        model.load_state_dict(torch.load(path, weights_only=True))
        return rates[path]

    theirs = influence.TracInCP(
        copy.deepcopy(problem.model).eval(),
        TensorDataset(*problem.train),
        paths,
        checkpoints_load_func=load,
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        batch_size=8,
        sample_wise_grads_per_batch=True,
    )
    options = {"layers": "all", "checkpoints": paths, "learning_rates": list(LEARNING_RATES)}
    ours = gwa.self_influence(problem.model, F.cross_entropy, problem.train, "tracin", **options)
    np.testing.assert_allclose(ours.values, theirs.self_influence().numpy(), rtol=1e-6)
    pairs = gwa.attribute(problem.model, F.cross_entropy, problem.train, problem.query, "tracin", **options)
    expected = theirs.influence(problem.query, show_progress=False).numpy().T
    np.testing.assert_allclose(pairs.values, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", [mlp, plain_cnn])
def test_ekfac_equals_kronfluence(make: "type[Problem]", tmp_path: Path) -> None:
    """With the empirical Fisher matrix, so that no label is drawn."""
    analyzer = pytest.importorskip("kronfluence.analyzer", reason="kronfluence is not installed")
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):  # type: ignore[no-untyped-def]
            return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")

        def compute_measurement(self, batch, model):  # type: ignore[no-untyped-def]
            return self.compute_train_loss(batch, model)

    problem = make()
    model = analyzer.prepare_model(copy.deepcopy(problem.model).float(), Classification())
    train = TensorDataset(problem.x.float(), problem.y)
    theirs = analyzer.Analyzer("run", model, Classification(), cpu=True, disable_tqdm=True, output_dir=str(tmp_path))
    arguments = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
    theirs.fit_all_factors("f", train, per_device_batch_size=8, factor_args=arguments)
    damping = ScoreArguments(damping_factor=None)  # a tenth of the mean eigenvalue; its own default is 1e-8
    theirs.compute_self_scores("s", "f", train, per_device_train_batch_size=8, score_args=damping)
    expected = theirs.load_self_scores("s")["all_modules"].numpy()
    ours = gwa.self_influence(
        problem.model.float(),
        F.cross_entropy,
        (problem.x.float(), problem.y),
        "ekfac",
        layers="linear",
        fisher="empirical",
    )
    np.testing.assert_allclose(ours.values, expected, rtol=1e-3)
