"""What attribution costs: self-influence and EK-FAC, ours beside captum, kronfluence and a vmap(grad) loop.

    python benchmarks/attribution.py --json [--samples 2000] [--repeats 5]

One multilayer perceptron and one convolutional network on Fashion-MNIST, all layers, batches of 128. The ways take
turns within one process, and each has had a first call; a ratio is that of the medians. Values are compared too: a way
that deviates by more than 0.1 % (EK-FAC 1 %) is an error. Memory is the peak of the process above that before the call.
captum and kronfluence are measured if they are installed.
"""

import argparse
import contextlib
import copy
import importlib.util
import io
import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from stopping_grid import Cell, load
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils.data import TensorDataset

import gwa_attrib as gwa
from gwa_attrib.comparison.limits import measured

BATCH = 128
PARTS = ["self_influence", "pairs", "ekfac"]
Way = Callable[[], Tensor]


def models() -> dict[str, nn.Module]:
    """Small, of layers that all libraries support."""
    torch.manual_seed(0)
    hidden = [nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()]
    convolutions = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten()]
    return {
        "mlp": nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 10)),
        "cnn": nn.Sequential(*convolutions, nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10)),
    }


def train(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Two epochs, so that the gradients are not those of noise."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(2):
        for ids in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(x[ids]), y[ids]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def self_influence_ways(model: nn.Module, x: Tensor, y: Tensor, folder: str) -> dict[str, Way]:
    """Squared gradient norms of all parameters, for each sample."""
    ways: dict[str, Way] = {
        "ours": lambda: torch.from_numpy(
            gwa.self_influence(model, F.cross_entropy, (x, y), "tracin", layers="all", batch_size=BATCH).values
        ),
        "vmap": lambda: _vmap(model, x, y),
    }
    if importlib.util.find_spec("captum"):
        ways["captum"] = lambda: captum_tracin(model, x, y, folder).self_influence()
    return ways


def _vmap(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, parameters, (x.unsqueeze(0),)), y.unsqueeze(0))

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    return torch.cat(
        [
            sum(g.flatten(1).square().sum(dim=1) for g in gradients(parameters, a, b).values())
            for a, b in zip(x.split(BATCH), y.split(BATCH), strict=True)
        ]
    )


def captum_tracin(model: nn.Module, x: Tensor, y: Tensor, folder: str) -> Any:
    """captum's TracInCP, of one checkpoint with learning rate 1."""
    from captum.influence import TracInCP

    torch.save(model.state_dict(), f"{folder}/model.pt")

    def state(model: nn.Module, path: str) -> float:
        model.load_state_dict(torch.load(path, weights_only=True))
        return 1.0

    return TracInCP(
        copy.deepcopy(model),
        TensorDataset(x, y),
        [f"{folder}/model.pt"],
        checkpoints_load_func=state,
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        batch_size=BATCH,
        sample_wise_grads_per_batch=True,
    )


def pair_ways(model: nn.Module, x: Tensor, y: Tensor, query: tuple[Tensor, Tensor], folder: str) -> dict[str, Way]:
    """Products of the gradients of all samples with those of the queries."""
    ways: dict[str, Way] = {
        "ours": lambda: torch.from_numpy(
            gwa.attribute(model, F.cross_entropy, (x, y), query, "tracin", layers="all", batch_size=BATCH).values
        )
    }
    if importlib.util.find_spec("captum"):
        ways["captum"] = lambda: captum_tracin(model, x, y, folder).influence(query).T
    return ways


def ekfac_ways(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Way]:
    """Factors and self-influence with the empirical Fisher matrix, so that no label is drawn."""
    options = {"layers": "linear", "fisher": "empirical", "batch_size": BATCH}
    ways: dict[str, Way] = {
        "ours": lambda: torch.from_numpy(gwa.self_influence(model, F.cross_entropy, (x, y), "ekfac", **options).values)
    }
    if importlib.util.find_spec("kronfluence"):
        ways["kronfluence"] = lambda: _kronfluence(model, x, y)
    return ways


def _kronfluence(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:  # noqa: ARG002
            return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")

        def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
            return self.compute_train_loss(batch, model)

    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_model(copy.deepcopy(model), Classification())
        analyzer = Analyzer("a", prepared, Classification(), cpu=True, disable_tqdm=True, output_dir=folder)
        data = TensorDataset(x, y)
        factors = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
        analyzer.fit_all_factors("f", data, per_device_batch_size=BATCH, factor_args=factors)
        scores = ScoreArguments(damping_factor=None)
        analyzer.compute_self_scores("s", "f", data, per_device_train_batch_size=BATCH, score_args=scores)
        found: Tensor = analyzer.load_self_scores("s")["all_modules"]
        return found


def ways_of(
    what: str, model: nn.Module, train: tuple[Tensor, Tensor], query: tuple[Tensor, Tensor], folder: str
) -> dict[str, Way]:
    """Of one part of the benchmark."""
    if what == "ekfac":
        return ekfac_ways(model, *train)
    return pair_ways(model, *train, query, folder) if what == "pairs" else self_influence_ways(model, *train, folder)


def timed(ways: dict[str, Way], repeats: int, tolerance: float) -> dict[str, Any]:
    """Median seconds and largest memory of each way; ratios of medians to ours; the ways take turns."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = {name: way() for name, way in ways.items()}
        for name, value in values.items():
            deviation = float((value - values["ours"]).abs().max() / values["ours"].abs().max())
            if not deviation < tolerance:
                raise SystemExit(f"{name} deviates by {deviation:.2g}")
        costs: dict[str, list[Any]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                with measured() as cost:
                    way()
                costs[name].append(cost)
    medians = {name: statistics.median(cost.seconds for cost in of) for name, of in costs.items()}
    return {
        "seconds": {name: round(value, 4) for name, value in medians.items()},
        "megabytes": {name: round(max(cost.megabytes for cost in of), 1) for name, of in costs.items()},
        "ratio_to_ours": {name: round(value / medians["ours"], 2) for name, value in medians.items() if name != "ours"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--what", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    data = load(Cell("fashion", "none", "constant", batch_norm=False, seed=0, held_out=0.0), None)
    x, y = data.x[: arguments.samples], data.y[: arguments.samples]
    query = data.test_x[: arguments.queries], data.test_y[: arguments.queries]
    result: dict[str, Any] = {"samples": len(x), "queries": len(query[0]), "threads": torch.get_num_threads()}
    for name, model in models().items():
        train(model, x, y)
        model.eval()
        print(name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            result[name] = {"parameters": sum(p.numel() for p in model.parameters())}
            for what in arguments.what:
                ways = ways_of(what, model, (x, y), query, folder)
                result[name][what] = timed(ways, arguments.repeats, 1e-2 if what == "ekfac" else 1e-3)
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
