"""What each part of the default ranking is worth: average precision without it, on the runs of `detection.py`.

    python benchmarks/detection_parts.py --work FOLDER [--json]

FOLDER is that of `detection.py`. Each part is replaced by a plainer one, and the noise matrix also by the true one.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

import gwa_attrib as gwa
from gwa_attrib.analyses.class_evidence import Consensus, find_consensus
from gwa_attrib.analyses.mislabeled import log_odds
from gwa_attrib.analyses.noise_matrix import estimate_noise_matrix, shares
from gwa_attrib.analyses.probabilities import believed, labels_of, mean_probabilities, pooled, summed, views

Array = np.ndarray[Any, np.dtype[Any]]
ALL = slice(None)


def variants(run: gwa.Run, truth: Array) -> dict[str, Array]:
    """The ranking, and what it would be with a part left out; high is suspicious."""
    classes, labels, epochs = len(run.class_names), labels_of(run, ALL), len(run.epoch_numbers)
    consensus = find_consensus(run)

    def by(probabilities: Tensor, noise: Array = consensus.noise, **how: float) -> Array:
        odds: Array = log_odds(probabilities, labels, noise, **how)[0].numpy()
        return odds

    def with_weights(weights: list[float]) -> Array:
        sums = summed(views(run, ALL), weights, labels, classes)
        return by(believed(sums, labels), estimate_noise_matrix(pooled(sums), labels))

    weights, alike = list(consensus.weights), [1 / epochs] * epochs
    sums = summed(views(run, ALL), weights, labels, classes)
    probabilities = believed(sums, labels)
    alignment = np.clip(run.epochs()["mean"].to_numpy(), 0.0, None)
    return {
        "as it is": by(probabilities),
        "every epoch the same": with_weights(alike),
        "epochs by their mean alignment alone": with_weights((alignment / alignment.sum()).tolist()),
        "probabilities averaged plainly, every epoch the same": by(
            mean_probabilities(views(run, ALL), labels, classes)
        ),
        "the label's own by logarithms, as the others": by(pooled(sums)),
        "errors go to every class alike": by(probabilities, even_like(consensus)),
        "the true noise matrix": by(probabilities, true_matrix(truth, labels.numpy(), classes)),
        "odds without the margin": by(probabilities, margin=0.0),
    }


def even_like(consensus: Consensus) -> Array:
    """With the same rate of errors."""
    classes = len(consensus.noise)
    rate = 1.0 - consensus.noise[0, 0]
    return (1.0 - rate) * np.eye(classes) + rate / max(classes - 1, 1) * (1.0 - np.eye(classes))


def true_matrix(truth: Array, labels: Array, classes: int) -> Array:
    """Made in the same way, of the true counts."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (truth, labels), 1.0)
    matrix = np.zeros((classes, classes))
    rate = 1.0 - counts.trace() / counts.sum()
    matrix[~np.eye(classes, dtype=bool)] = (rate * shares(counts)).ravel()
    np.fill_diagonal(matrix, 1.0 - rate)
    return matrix


def kind_of(cell: str) -> str:
    noise = cell.partition("-seed=")[0]
    kinds = ("symmetric", "pairs", "instance", "long-tail", "hard")
    return next((kind for kind in kinds if kind in noise), "people")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in sorted(file.parent for file in options.work.glob("*/seconds.json")):
        with np.load(folder / "data.npz") as data:
            given, truth = data["y"], data["truth"]
        if (given == truth).all():
            continue
        run = gwa.open_run(folder / "run")
        position = {name: i for i, name in enumerate(run.class_names)}
        for name, values in variants(run, np.array([position[t] for t in truth.tolist()])).items():
            found[name][kind_of(folder.name)].append(average_precision_score(given != truth, values))
    table = {name: {kind: round(float(np.mean(v)), 4) for kind, v in kinds.items()} for name, kinds in found.items()}
    cells = {kind: len(v) for kind, v in next(iter(found.values())).items()} if found else {}
    if options.json:
        print(json.dumps({"trainings": cells, "average_precision": table}))
        return
    print("| | " + " | ".join(f"{kind} ({n})" for kind, n in cells.items()) + " |\n" + "|---" * (len(cells) + 1) + "|")
    for name, kinds in table.items():
        print(f"| {name} | " + " | ".join(f"{kinds[kind]:.3f}" for kind in cells) + " |")


if __name__ == "__main__":
    main()
