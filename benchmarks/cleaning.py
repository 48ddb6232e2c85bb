"""Does cleaning by one training help, and as much as cleaning by five?

    python benchmarks/cleaning.py --work FOLDER --json [--seeds 3] [--budget fast] [--only TEXT]
        [--cifar10n NPZ] [--noisyag FOLDER] [--report reports/cleaning] [--earlier reports/cleaning/cleaning.json]
        [--thresholds]

Each cell is an audit of data with wrong labels. What `decide` takes from its ranking is dropped, or gets the proposed
label (with `--thresholds`, the samples below other label scores instead); the same is done with cleanlab's issues, from
the out-of-fold probabilities of five trainings. Each way is trained again, as often as there are seeds, beside the data
as it is and beside as many samples dropped at random, with as many steps, and asked a test set that nobody has trained
on. Every training leaves a file in FOLDER, so that a call that was cut off goes on. With `--earlier`, other cells are
taken from the result of an earlier call. One thread per training.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cleaning_figures import write_report

import gwa_attrib as gwa
from gwa_attrib.auditing.audited_model import load_audited_model
from gwa_attrib.cleaning import decide
from gwa_attrib.cleaning.decisions import EVEN, Auto
from gwa_attrib.cleaning.retrain import AS_IT_IS, DECIDED, RANDOM, Retrained, retrain_with
from gwa_attrib.comparison.libraries import baselines
from gwa_attrib.datasets.flip import flip_labels
from gwa_attrib.datasets.readers.built_in import DEFAULT_FOLDER, read_idx
from gwa_attrib.evaluation.intervals import mean_of_both
from gwa_attrib.files.whole import whole_file
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run

Array = np.ndarray[Any, np.dtype[Any]]
Data = tuple[Array, Array, Array, Array, Array]
"""Training inputs, given labels, true labels; test inputs, test labels."""
SAMPLES = 10_000
Way = tuple[Auto, float | None]
"""What is done, with the samples below which label score; None: with all issues."""
DEFAULT: tuple[Way, ...] = (("drop", EVEN), ("relabel", EVEN))
CLEANLAB: tuple[Way, ...] = (("drop", None), ("relabel", None))
THRESHOLDS: tuple[Way, ...] = (("drop", 0.5), ("relabel", 0.5), ("drop", 0.2), ("relabel", 0.2), ("drop", 0.9))


def fashion(rate: float) -> Data:
    images = read_idx(DEFAULT_FOLDER / "train-images-idx3-ubyte.gz", dimensions=3)[:SAMPLES]
    truth = read_idx(DEFAULT_FOLDER / "train-labels-idx1-ubyte.gz", dimensions=1)[:SAMPLES].astype(np.int64)
    given, _ = flip_labels(truth, 10, rate, "symmetric", 0, None)
    test = read_idx(DEFAULT_FOLDER / "t10k-images-idx3-ubyte.gz", dimensions=3)
    return images, given, truth, test, read_idx(DEFAULT_FOLDER / "t10k-labels-idx1-ubyte.gz", dimensions=1)


def cifar10n(file: str) -> Data:
    with np.load(file) as found:
        names = ("images", "random1", "clean", "test_images", "test_labels")
        return tuple(found[name] for name in names)  # type: ignore[return-value]


def noisyag(folder: str, work: Path) -> Data:
    """Texts as sentence embeddings, which are made once."""
    train, test = (pd.read_parquet(Path(folder) / f"noisyag_{part}.parquet") for part in ("train", "test"))
    x, asked = (embedded(part["text"], work / f"noisyag-{i}.npy") for i, part in enumerate((train, test)))
    return x, train["noisy"].to_numpy(), train["clean"].to_numpy(), asked, test["clean"].to_numpy()


def embedded(texts: pd.Series, file: Path) -> Array:
    from gwa_attrib.datasets.encoding.texts import embed_texts

    if not file.exists():
        np.save(file, embed_texts(texts.to_numpy().astype(str)))
    found: Array = np.load(file)
    return found


def cells(options: argparse.Namespace) -> dict[str, Callable[[], Data]]:
    """The cheapest first."""
    found: dict[str, Callable[[], Data]] = {}
    if options.noisyag:
        found["noisyag-human"] = lambda: noisyag(options.noisyag, options.work)
    if DEFAULT_FOLDER.exists():
        found["fashion-mnist-symmetric-10"] = lambda: fashion(0.1)
        found["fashion-mnist-symmetric-20"] = lambda: fashion(0.2)
    if options.cifar10n:
        found["cifar10n-random1"] = lambda: cifar10n(options.cifar10n)
    return {name: read for name, read in found.items() if options.only in name}


def audited(folder: Path, read: Callable[[], Data], budget: str) -> tuple[Run, Array, Path, float]:
    """The run, the true labels as class numbers of the run, the test set, and the seconds of the audit."""
    folder.mkdir(parents=True, exist_ok=True)
    x, given, truth, test, answers = read()
    names = np.array([f"class {i}" for i in range(int(truth.max()) + 1)])
    for name, (inputs, labels) in {"train": (x, names[given]), "test": (test, names[answers])}.items():
        save_data(folder / f"{name}.npz", inputs, labels)
    done = folder / "audit.json"
    if not done.exists():
        found = gwa.audit(folder / "train.npz", folder / "run", budget=budget, overwrite=True)
        done.write_text(json.dumps(found.to_dict()), encoding="utf-8")
    run = gwa.open_run(folder / "run")
    number = {name: i for i, name in enumerate(run.class_names)}
    seconds = json.loads(done.read_text(encoding="utf-8"))["seconds"]
    return run, np.array([number[names[i]] for i in truth]), folder / "test.npz", seconds


def save_data(file: Path, inputs: Array, labels: Array) -> None:
    """Once, so that the fingerprint of the audit stays true."""
    if not file.exists():
        with whole_file(file, within=file.parent) as half, half.open("wb") as stream:
            np.savez_compressed(stream, X=inputs, y=labels)


def rankings(run: Run) -> Iterator[tuple[str, Scores, float]]:
    """Whose issues, and the seconds that finding them took after the audit."""
    began = time.perf_counter()
    ours = gwa.rank(run, "mislabeled")
    yield "ours", ours, time.perf_counter() - began
    began = time.perf_counter()
    found = baselines["confident_learning"](load_audited_model(run))
    seconds = time.perf_counter() - began + found.meta["seconds_before"]
    names = np.asarray(run.class_names, dtype=object)
    columns = {**found.columns, "predicted_label": names[found.columns["predicted_label"]]}
    yield "cleanlab", Scores(found.values, run.sample_ids, "confident_learning", "low", columns), seconds


def measure(run: Run, truth: Array, test: Path, seeds: int, ways: tuple[Way, ...]) -> dict[str, Any]:
    """By ranking and by what is done: accuracies, gains with intervals, how far ours are ahead of cleanlab's."""
    found: dict[str, Any] = {}
    answers: dict[str, Array] = {}
    for name, scores, seconds in rankings(run):
        for action, below in ways if name == "ours" else CLEANLAB:
            decisions = decide(run, action, scores, below=below)
            trained = retrain_with(run, decisions, test=str(test), truth=None, seeds=seeds, workers=1)
            rows = np.searchsorted(run.sample_ids, decisions.sample_ids)
            wrong = truth[rows] != run.labels[rows]
            way = f"{name}, {action}{'' if below in (None, EVEN) else f' below {below:g}'}"
            answers[way] = trained.right[DECIDED]
            found[way] = {
                **gains(trained),
                "decided": len(rows),
                "were_wrong": int(wrong.sum()),
                "right_proposals": int((decisions.labels == truth[rows]).sum()) if action == "relabel" else None,
                "seconds_to_rank": round(seconds, 2),
            }
    for way, facts in found.items():
        if way.startswith("ours"):
            facts["ahead_of_cleanlab"] = interval(answers[way] - answers[f"cleanlab, {way.split()[1]}"])
    return found


def gains(trained: Retrained) -> dict[str, Any]:
    right = trained.right
    return {
        "accuracy": {arm: round(float(values.mean()), 5) for arm, values in right.items()},
        "over_random": interval(right[DECIDED] - right[RANDOM]),
        "over_as_it_is": interval(right[DECIDED] - right[AS_IT_IS]),
    }


def interval(difference: Array) -> list[float]:
    """Mean and its 95 % interval, for other trainings and other samples of the test set."""
    return [round(value, 5) for value in mean_of_both(difference.astype(np.float64))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="fast")
    parser.add_argument("--cifar10n")
    parser.add_argument("--noisyag", help="folder with noisyag_train.parquet and noisyag_test.parquet")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--earlier", type=Path, help="cleaning.json of an earlier call")
    parser.add_argument("--thresholds", action="store_true", help="ours by other label scores than the default")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"seeds": options.seeds, "budget": options.budget, "cells": {}}
    if options.earlier:
        earlier = json.loads(options.earlier.read_text(encoding="utf-8"))
        if (earlier["seeds"], earlier["budget"]) != (options.seeds, options.budget):
            parser.error(f"{options.earlier} is of {earlier['seeds']} seeds and the budget {earlier['budget']}")
        result["cells"] = earlier["cells"]
    ways = THRESHOLDS if options.thresholds else DEFAULT
    for name, read in cells(options).items():
        run, truth, test, seconds = audited(options.work / name, read, options.budget)
        errors = int((truth != run.labels).sum())
        facts = {"samples": len(truth), "wrong": errors, "seconds_of_audit": seconds}
        result["cells"][name] = {**facts, "ways": measure(run, truth, test, options.seeds, ways)}
    if options.json:
        print(json.dumps(result))
    if options.report:
        write_report(result, options.report)


if __name__ == "__main__":
    main()
