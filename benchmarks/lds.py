"""How well attribution predicts what training again shows: LDS and subset removal of every attributor.

    python benchmarks/lds.py --work FOLDER --json [--networks mlp cnn] [--workers 2] [--report reports/lds]

Digits: 1,000 training samples, 300 queries. The network is trained on 200 random halves of the samples, with 5 seeds
each; the linear datamodeling score of a query is the Spearman correlation over the halves of the summed scores of the
samples in them with how low the query's loss became. Scores come from one model and, averaged, from ten, trained on all
samples with other seeds. Ground truth beside them: leaving each sample out (3 seeds), and datamodels fitted to 800
other halves (1 seed). Removal: the samples that help all queries together most are left out, 5 seeds.
Every training leaves a file in FOLDER, so that a call that was cut off goes on; the seconds of what was made before are
those of that time.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import gwa_attrib as gwa
from gwa_attrib.attribution import attributors
from gwa_attrib.comparison.limits import measured
from gwa_attrib.errors import GWAError
from gwa_attrib.evaluation import (
    all_but_one,
    datamodel,
    half_subsets,
    leave_one_out,
    leave_one_out_correlation,
    linear_datamodeling_score,
    retrain,
    subset_removal,
)
from gwa_attrib.scores import Scores

SAMPLES, QUERIES = 1000, 300
EPOCHS, BATCH, RATE, DECAY = 30, 50, 0.05, 1e-3
HALVES, SEEDS = 200, 5
MODELS = 10
SHARES = (0.05, 0.1, 0.2, 0.3)
SLOW = ("influence_cg", "lissa")
"""Solve the same system as `influence`, of the head; asked of one model only."""
EVERYWHERE = ("grad_dot", "grad_cos", "tracin", "arnoldi", "datainf", "trak", "ekfac")
"""Also on all layers (EK-FAC: linear layers and convolutions)."""
LEFT_OUT = "leave one out"
CHECKPOINTED = ("tracin", "trak")


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def cnn() -> nn.Sequential:
    convolutions = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {"mlp": mlp, "cnn": cnn}


@dataclass(frozen=True)
class Data:
    """Inputs and labels."""

    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor


def digits() -> Data:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[: SAMPLES + QUERIES]
    x = torch.from_numpy(images[order] / 8 - 1).float().reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels[order]).long()
    return Data(x[:SAMPLES], y[:SAMPLES], x[SAMPLES:], y[SAMPLES:])


@dataclass(frozen=True)
class Training:
    """What is done again and again: called with the samples that are left and a seed, it gives the queries' losses."""

    network: str
    data: Data

    def fit(self, kept: np.ndarray, seed: int, checkpoints: int = 1) -> tuple[nn.Module, list[dict[str, Tensor]]]:
        """The model, and its weights after evenly spaced epochs, the last among them."""
        torch.manual_seed(seed)
        model, ids = NETWORKS[self.network](), torch.from_numpy(kept)
        optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=DECAY)
        steps = EPOCHS * -(-len(ids) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        states = []
        for epoch in range(EPOCHS):
            for batch in ids[torch.randperm(len(ids))].split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(model(self.data.x[batch]), self.data.y[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            if (epoch + 1) % (EPOCHS // checkpoints) == 0:
                states.append({name: value.clone() for name, value in model.state_dict().items()})
        return model.eval(), states

    def __call__(self, kept: np.ndarray, seed: int) -> np.ndarray:
        model, _ = self.fit(kept, seed)
        with torch.no_grad():
            losses: np.ndarray = F.cross_entropy(model(self.data.query_x), self.data.query_y, reduction="none").numpy()
        return losses


def ways() -> list[tuple[str, str, int]]:
    """Attributor, layers, number of checkpoints."""
    found = []
    for name in attributors.names():
        for layers in ["head"] + (["linear" if name == "ekfac" else "all"] if name in EVERYWHERE else []):
            found += [(name, layers, count) for count in ((1, 5) if name in CHECKPOINTED else (1,))]
    return found


def attribute(training: Training, way: tuple[str, str, int], fitted: Any) -> np.ndarray:
    """[train, query], of one trained model."""
    method, layers, count = way
    model, states = fitted
    options: dict[str, Any] = {"layers": layers}
    if count > 1:
        options["checkpoints"] = states
    data = training.data
    query = (data.query_x, data.query_y)
    return gwa.attribute(model, F.cross_entropy, (data.x, data.y), query, method, **options).values


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 %, of the mean over the queries: bootstrap."""
    drawn = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def as_scores(values: np.ndarray) -> Scores:
    return Scores(values, np.arange(len(values)), method="", suspect="low")


def judged(values: np.ndarray, masks: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    """LDS, mean over the queries whose loss and scores are not constant."""
    lds = linear_datamodeling_score(as_scores(values), masks, losses)
    known = lds[np.isfinite(lds)]
    if not len(known):
        return {"lds": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = interval(known)
    return {"lds": round(float(known.mean()), 4), "low": round(low, 4), "high": round(high, 4)}


def timed_once(file: Path, work: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and the seconds of the call that made the files."""
    with measured() as cost:
        result = work()
    if not file.exists():
        file.write_text(json.dumps(cost.seconds), encoding="utf-8")
    return result, float(json.loads(file.read_text(encoding="utf-8")))


def of_network(network: str, work: Path, workers: int) -> dict[str, Any]:
    """Every attributor, judged."""
    work.mkdir(parents=True, exist_ok=True)
    training = Training(network, digits())
    masks = half_subsets(SAMPLES, HALVES, seed=1)
    losses, seconds = timed_once(
        work / "halves.json", lambda: retrain(training, masks, work / "halves", seeds=SEEDS, workers=workers)
    )
    whole = np.arange(SAMPLES)
    fitted = [training.fit(whole, 1000 + seed, checkpoints=5) for seed in range(MODELS)]
    with torch.no_grad():
        predicted = fitted[0][0](training.data.query_x).argmax(dim=1)
    accuracy = float((predicted == training.data.query_y).double().mean())
    truth = ground_truth(training, work, workers)
    left_out = as_scores(truth[LEFT_OUT][0])
    rows, helpful = [], {}
    for way in ways():
        name = f"{way[0]}:{way[1]}" + (f" {way[2]} checkpoints" if way[2] > 1 else "")
        print(network, name, file=sys.stderr)
        row: dict[str, Any] = {"method": name}
        try:
            with measured() as cost:
                values = [attribute(training, way, fitted[0])]
            values += [attribute(training, way, other) for other in fitted[1:] if way[0] not in SLOW]
        except GWAError as error:
            rows.append({**row, "skipped": str(error)})
            continue
        row["one"] = judged(values[0], masks, losses)
        if len(values) > 1:
            row["ten"] = judged(np.mean(values, axis=0), masks, losses)
        row["left_out"] = round(float(np.nanmean(leave_one_out_correlation(as_scores(values[0]), left_out))), 4)
        rows.append({**row, "seconds": round(cost.seconds, 3), "megabytes": round(cost.megabytes, 1)})
        helpful[name] = order_of(values[0])
    for name, (values_of, cost_of) in truth.items():
        rows.append({"method": name, "one": judged(values_of, masks, losses), "seconds": round(cost_of, 1)})
        helpful[name] = order_of(values_of)
    removal, _ = timed_once(
        work / "removal.json",
        lambda: subset_removal(
            training, helpful, SAMPLES, work / "removal", shares=SHARES, seeds=SEEDS, workers=workers
        ),
    )
    return {
        "samples": SAMPLES,
        "queries": QUERIES,
        "parameters": sum(p.numel() for p in fitted[0][0].parameters()),
        "accuracy": round(accuracy, 4),
        "trainings": HALVES * SEEDS,
        "seconds_of_trainings": round(seconds, 1),
        "methods": sorted(rows, key=lambda row: -row.get("one", {}).get("lds", -2)),
        "removal": removal.round(5).to_dict(orient="records"),
    }


def order_of(values: np.ndarray) -> np.ndarray:
    """The most helpful for all queries together first."""
    return np.argsort(-np.nan_to_num(values).sum(axis=1), kind="stable")


def ground_truth(training: Training, work: Path, workers: int) -> Mapping[str, tuple[np.ndarray, float]]:
    """Scores by training again, and the seconds that it took."""

    def left_out() -> np.ndarray:
        each = retrain(training, all_but_one(SAMPLES), work / "left_out", seeds=3, workers=workers)
        all_of_them = retrain(training, np.ones((1, SAMPLES), dtype=bool), work / "whole", seeds=3)
        return leave_one_out(each, all_of_them[0]).values

    def fitted() -> np.ndarray:
        others = half_subsets(SAMPLES, 800, seed=2)
        return datamodel(others, retrain(training, others, work / "other_halves", workers=workers)).values

    return {
        LEFT_OUT: timed_once(work / "left_out.json", left_out),
        "datamodel": timed_once(work / "datamodel.json", fitted),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "workers": arguments.workers}
    for network in arguments.networks:
        result[network] = of_network(network, arguments.work / network, arguments.workers)
    if arguments.report is not None:
        from lds_figures import write_report

        write_report(result, arguments.report)
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
