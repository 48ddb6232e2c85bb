"""What the store costs at the size of ImageNet: writing, bytes on disk, ranking, one sample's trajectory.

    python benchmarks/store.py --json                                 1.28 million samples, 90 epochs
    python benchmarks/store.py --json --samples 128000 --epochs 9     a hundredth of it
    python benchmarks/store.py --json --no-top                        without the five likeliest classes

The run is simulated. Losses, probabilities and EL2N follow from random margins that grow over the epochs; everything
else is random to its last bit, and so are labels, so that nothing compresses that does not in a real run. Writing is
timed on one core, in processor time; the ranking and the trajectory run in processes of their own, whose wall time
(without importing) and peak resident memory are reported. Last, an epoch of 50,000 samples is written, as a share of
the epoch of a ResNet-20 on CIFAR-size images on the same machine (its step is timed here).
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gwa_attrib.store import RunWriter
from gwa_attrib.store.run_json import new_info
from gwa_attrib.store.schema import FLOAT_SIGNALS, SIGNALS, TOP, PartName, observation_schema
from gwa_attrib.store.summaries import epoch_row, sums_of

BATCH, CIFAR = 256, 50_000

ALONE = """
import json, resource, sys, time
import gwa_attrib as gwa
from gwa_attrib.analyses import rank
run = gwa.open_run(sys.argv[1])
began = time.perf_counter()
if sys.argv[2] == "trajectory":
    found = len(run.observations_of(int(run.info["num_samples"]) // 2))
else:
    found = len(rank(run, sys.argv[2]).top(10))
print(json.dumps({"found": found, "seconds": round(time.perf_counter() - began, 3),
                  "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)}))
"""


def observations(
    labels: np.ndarray, epoch: int, classes: int, signals: tuple[str, ...], rng: np.random.Generator
) -> pa.Table:
    """One of every sample, in the shuffled order of a training."""
    n, top = len(labels), min(TOP, classes)
    ids = rng.permutation(n)
    margin = rng.normal(0.1 * epoch, 2.0, n).astype(np.float32)
    p_label = 1 / (1 + np.exp(-margin))
    wrong = rng.integers(0, classes, n, dtype=np.int32)
    pred = np.where(margin > 0, labels[ids], wrong).astype(np.int32)
    random: dict[str, Any] = {name: rng.random(n, dtype=np.float32) for name in FLOAT_SIGNALS}
    known = {"margin": margin, "p_label": p_label, "loss": -np.log(p_label), "el2n": (1 - p_label) * math.sqrt(2)}
    data: dict[str, Any] = {
        **random,
        **known,
        "sample_id": ids,
        "epoch": np.full(n, epoch, dtype=np.int32),
        "step": np.arange(n) // BATCH + epoch * math.ceil(n / BATCH),
        "label": labels[ids],
        "pred": pred,
        "learning_rate": np.full(n, 0.1, dtype=np.float32),
    }
    if "top_class" in signals:
        stride = rng.integers(1, 1 + classes // top, (n, 1))
        top_class = (pred[:, None] + np.arange(top) * stride) % classes
        shares = np.sort(rng.random((n, top), dtype=np.float32), axis=1)[:, ::-1] / top
        data["top_class"] = pa.FixedSizeListArray.from_arrays(pa.array(top_class.astype(np.int32).reshape(-1)), top)
        data["top_prob"] = pa.FixedSizeListArray.from_arrays(pa.array(shares.astype(np.float16).reshape(-1)), top)
    schema = observation_schema(signals, top)
    return pa.table([data[field.name] for field in schema], schema=schema)


def write_run(path: Path, samples: int, epochs: int, classes: int, signals: tuple[str, ...]) -> dict[str, Any]:
    """Write a run; how fast, and how large."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, samples).astype(np.int32)
    info = new_info(class_names=[str(c) for c in range(classes)], signals=signals, num_samples=samples, config={})
    writer = RunWriter.create(path, {**info, "status": "complete"})
    ids = np.arange(samples)
    writer.write_samples(pd.DataFrame({"sample_id": ids, "key": ids.astype(str), "label": labels}))
    pa.set_cpu_count(1)
    seconds, wall = 0.0, 0.0
    for epoch in range(epochs):
        table = observations(labels, epoch, classes, signals, rng)
        before, began = time.process_time(), time.perf_counter()
        writer.write_observations(PartName(epoch), table)
        seconds += time.process_time() - before
        wall += time.perf_counter() - began
        writer.write_epoch(PartName(epoch), epoch_row(epoch, 0, sums_of(table, samples, None, 0.0), {}, None))
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    count = samples * epochs
    return {
        "observations": count,
        "gib": round(size / 2**30, 3),
        "bytes_per_observation": round(size / count, 2),
        "written_per_cpu_second": round(count / seconds),
        "written_per_second": round(count / wall),
    }


def alone(run: Path, what: str) -> dict[str, Any]:
    """Time and memory of a question, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", ALONE, str(run), what], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {f"{what}_seconds": found["seconds"], f"{what}_peak_gib": found["peak_gib"]}


def share_of_epoch(folder: Path, classes: int, signals: tuple[str, ...]) -> dict[str, Any]:
    """Writing 50,000 observations, as a share of an epoch of a ResNet-20 that makes them."""
    from overhead import BATCH as RESNET_BATCH
    from overhead import plain

    steps = statistics.median(list(plain(12, folder))[2:])
    rng, labels = np.random.default_rng(0), np.zeros(CIFAR, dtype=np.int32)
    info = new_info(class_names=["a"], signals=signals, num_samples=CIFAR, config={})
    writer = RunWriter.create(folder / "cifar", info)
    times = []
    for epoch in range(5):
        table = observations(labels, epoch, classes, signals, rng)
        began = time.perf_counter()
        writer.write_observations(PartName(epoch), table)
        writer.write_epoch(PartName(epoch), epoch_row(epoch, 0, sums_of(table, CIFAR, None, 0.0), {}, None))
        times.append(time.perf_counter() - began)
    epoch_seconds = steps * CIFAR / RESNET_BATCH
    written = statistics.median(times)
    return {
        "cifar_epoch_seconds": round(epoch_seconds, 2),
        "cifar_write_seconds": round(written, 4),
        "cifar_share": round(written / epoch_seconds, 6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_280_000)
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--no-top", action="store_true", help="without the likeliest classes, which the ranking needs")
    parser.add_argument("--by", nargs="*", default=["mislabeled", "alignment"])
    parser.add_argument("--folder", type=Path, help="where to put the run; a temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    signals = FLOAT_SIGNALS if arguments.no_top else SIGNALS
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run = Path(folder) / "run"
        row: dict[str, Any] = {"samples": arguments.samples, "epochs": arguments.epochs, "classes": arguments.classes}
        row |= write_run(run, arguments.samples, arguments.epochs, arguments.classes, signals)
        print(row, file=sys.stderr, flush=True)
        for what in ("trajectory", *(by for by in arguments.by if by != "mislabeled" or not arguments.no_top)):
            row |= alone(run, what)
            print(row, file=sys.stderr, flush=True)
        row |= share_of_epoch(Path(folder), arguments.classes, signals)
    print(json.dumps(row) if arguments.json else "\n".join(f"{k:24} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main()
