"""The same quantities by other libraries, on models that they support."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gwa_attrib as gwa
from tests.attribution.problems import L2, Problem, logistic, mlp, plain_cnn

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


@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("influence", "IFAttributorExplicit", {}),
        ("influence_cg", "IFAttributorCG", {"max_iter": 12}),
        ("datainf", "IFAttributorDataInf", {}),
    ],
)
def test_influence_equals_dattri(name: str, theirs: str, options: dict[str, int]) -> None:
    """On a kernel without a bias: dattri 0.3 takes all parameters for one layer in DataInf, where we take each tensor.

    Its TracIn and TRAK always project at random, so that there is nothing to compare.
    """
    functions = pytest.importorskip("dattri.algorithm.influence_function", reason="dattri is not installed")
    from dattri.task import AttributionTask

    problem = logistic()
    train, query = [(x.float(), y) for x, y in (problem.train, problem.query)]
    model = nn.Linear(4, 3, bias=False)
    model.load_state_dict({"weight": problem.model.weight.detach().float()})

    def loss(parameters: dict[str, torch.Tensor], batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(torch.func.functional_call(model, parameters, batch[0]), batch[1])

    loaders = [DataLoader(TensorDataset(x, y), batch_size=len(y)) for x, y in (train, query)]
    attributor = getattr(functions, theirs)(
        AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict()), regularization=L2, **options
    )
    attributor.cache(loaders[0])
    expected = attributor.attribute(*loaders).detach().numpy()
    ours = gwa.attribute(model, F.cross_entropy, train, query, name, damping=L2)
    np.testing.assert_allclose(ours.values, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("make", [mlp, plain_cnn])
def test_trak_equals_traker(make: "type[Problem]", tmp_path: Path) -> None:
    """Without a projection, with the kernel damped alike, up to one factor.

    It divides gradients by √parameters, which cancels, and the inverse of the kernel by the mean of its magnitudes.
    """
    trak = pytest.importorskip("trak", reason="traker is not installed")
    from trak.projectors import NoOpProjector

    problem, damping = make(), 1e-3
    model = copy.deepcopy(problem.model).double().eval()
    size = sum(p.numel() for p in model.parameters())
    train, query = [(x.double(), y) for x, y in (problem.train, problem.query)]
    kernel_mean = _kernel_mean(model, *train) / size
    theirs = trak.TRAKer(
        model=model,
        task="image_classification",
        train_set_size=len(train[1]),
        save_dir=str(tmp_path),
        device="cpu",
        projector=NoOpProjector(grad_dim=size, proj_dim=size, device="cpu"),
        proj_dim=size,
        use_half_precision=False,
        lambda_reg=damping * kernel_mean,
    )
    theirs.load_checkpoint(model.state_dict(), model_id=0)
    theirs.featurize(batch=train, num_samples=len(train[1]))
    theirs.finalize_features()
    theirs.start_scoring_checkpoint(exp_name="e", checkpoint=model.state_dict(), model_id=0, num_targets=len(query[1]))
    theirs.score(batch=query, num_samples=len(query[1]))
    expected = np.asarray(theirs.finalize_scores(exp_name="e"))
    ours = gwa.attribute(model, F.cross_entropy, train, query, "trak", layers="all", dimensions=size, damping=damping)
    factor = float((ours.values * expected).sum() / np.square(expected).sum())
    np.testing.assert_allclose(ours.values, factor * expected, rtol=1e-2, atol=1e-3 * np.abs(ours.values).max())


def _kernel_mean(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean of the diagonal of ``ΦᵀΦ``, of the gradients of the margin."""
    total, size = 0.0, 0
    for one, label in zip(x, y, strict=True):
        model.zero_grad()
        outputs = model(one.unsqueeze(0))[0]
        others = torch.cat([outputs[:label], outputs[label + 1 :]])
        (outputs[label] - others.logsumexp(dim=0)).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        total, size = total + float(gradient.square().sum()), len(gradient)
    model.zero_grad()
    return total / size
