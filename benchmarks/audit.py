"""How well `audit` finds corrupted and real label errors: our default ranking beside every signal of the same run.

    python benchmarks/audit.py --json                      all cells, about 15 minutes on 2 cores
    python benchmarks/audit.py digits-symmetric-10         some of them

Cells: digits and Fashion-MNIST (first 10,000 training images) with 10 % symmetric flips, Fashion-MNIST with 10 % flips
between look-alike classes, and CIFAR-10N `random1` (17.8 % human label errors in 10,000 images) if its file is given
with --cifar10n. Default budget.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import gwa_attrib as gwa
from gwa_attrib.analyses import analyses
from gwa_attrib.comparison.named_methods import NO_DETECTORS
from gwa_attrib.evaluation import score_against, verified_labels

REQUIRED = {
    "digits-symmetric-10": {"auroc": 0.998, "average_precision": 0.99},
    "fashion-symmetric-10": {"auroc": 0.992, "average_precision": 0.955},
    "fashion-pairs-10": {"auroc": 0.965, "average_precision": 0.78},
}


def cells(cifar10n: Path | None) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, data, and further arguments of `audit`."""
    yield "digits-symmetric-10", "digits", {"flip": 0.1}
    yield "fashion-symmetric-10", "fashion-mnist", {"flip": 0.1, "limit": 10_000}
    yield "fashion-pairs-10", "fashion-mnist", {"flip": 0.1, "flip_kind": "pairs", "limit": 10_000}
    if cifar10n is not None:
        yield "cifar10n-random1", cifar10n, {"label_column": "random1", "truth": "clean"}


def cifar10n_as_npz(path: Path, folder: Path) -> Path:
    """The arrays of the benchmark file as `audit` reads them: X and one array per set of labels."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in ("clean", "random1")}
        target = folder / "cifar10n.npz"
        np.savez(target, X=file["images"], y=arrays["clean"], **arrays)
    return target


def signals_of(run_path: str, given: np.ndarray, truth: np.ndarray) -> dict[str, dict[str, float]]:
    """AUROC and average precision of every registered analysis on the run."""
    run = gwa.open_run(run_path)
    found = {}
    for entry in (entry for entry in analyses if entry.name not in NO_DETECTORS):
        metrics = score_against(gwa.rank(run, entry.name), given, truth)
        found[entry.name] = {name: round(metrics[name], 4) for name in ("auroc", "average_precision")}
    return found


def measure(name: str, data: Any, options: dict[str, Any], folder: Path, seed: int) -> dict[str, Any]:
    result = gwa.audit(data, folder / name, seed=seed, **options)
    run = gwa.open_run(result.run)
    column = "label_before_flip" if "flip" in options else options["truth"]
    truth = verified_labels({column: run.samples[column].to_numpy()}, column, run.class_names)
    signals = signals_of(result.run, run.labels.astype("int64"), truth)
    single = {k: v for k, v in signals.items() if k != "mislabeled"}
    best = max(single, key=lambda k: single[k]["auroc"])
    ours = signals["mislabeled"]
    required = REQUIRED.get(name, {"auroc": signals["aum"]["auroc"]})
    return {
        "cell": name,
        "seed": seed,
        **result.to_dict(),
        "required": required,
        "reached": all(ours[metric] >= least for metric, least in required.items()),
        "best_single_signal": best,
        "auroc_behind_best": round(single[best]["auroc"] - ours["auroc"], 4),
        "signals": signals,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help="names of cells; all by default")
    parser.add_argument("--cifar10n", type=Path, help=".npz with images, clean and random1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object a cell instead of a table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cifar10n = cifar10n_as_npz(arguments.cifar10n, folder) if arguments.cifar10n else None
        for name, data, options in cells(cifar10n):
            if arguments.cells and name not in arguments.cells:
                continue
            row = measure(name, data, options, folder, arguments.seed)
            if arguments.json:
                print(json.dumps(row), flush=True)
            else:
                show(row)


def show(row: dict[str, Any]) -> None:
    print(f"\n{row['cell']}: {row['seconds']:.0f} s, {row['suspects']} suspects, {row['estimated_errors']}")
    print(f"required {row['required']}: {'reached' if row['reached'] else 'MISSED'}", file=sys.stdout)
    for name, value in row["signals"].items():
        print(f"  {name:20} {value['auroc']:.4f}  {value['average_precision']:.4f}", flush=True)


if __name__ == "__main__":
    main()
