"""Ranking a large run: one million samples and 100 epochs, all signals stored; time and memory of `rank`.

    python benchmarks/scale.py --json

The run is synthetic (10 classes; random trajectories) and takes about 5 GB in the folder given with --folder. The
ranking runs in a process of its own, whose wall time (without importing) and peak resident memory are reported.
"""

import argparse
import json
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
from gwa_attrib.store.new_run import new_info
from gwa_attrib.store.schema import FLOAT_SIGNALS, SIGNALS, PartName, observation_schema
from gwa_attrib.store.summaries import epoch_row, sums_of

CLASSES, TOP = 10, 5

RANK = """
import json, resource, sys, time
import gwa_attrib as gwa
from gwa_attrib.analyses import rank
began = time.perf_counter()
scores = rank(gwa.open_run(sys.argv[1]), sys.argv[2])
top = scores.top(10)
print(json.dumps({"seconds": time.perf_counter() - began,
                  "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def observations(ids: np.ndarray, labels: np.ndarray, epoch: int, rng: np.random.Generator) -> pa.Table:
    """Random observations of all samples in an epoch: probabilities from random logits, other signals random."""
    n = len(ids)
    top_class = np.argsort(rng.random((n, CLASSES), dtype=np.float32), axis=1)[:, :TOP].astype(np.int32)
    top_prob = -np.sort(-rng.random((n, TOP), dtype=np.float32), axis=1) / TOP
    schema = observation_schema(SIGNALS, TOP)
    data: dict[str, Any] = {
        "sample_id": ids,
        "epoch": np.full(n, epoch, dtype=np.int32),
        "step": rng.permutation(n) // 256,
        "label": labels,
        "pred": top_class[:, 0],
        "learning_rate": np.full(n, 0.1, dtype=np.float32),
        **{name: rng.random(n, dtype=np.float32) for name in FLOAT_SIGNALS},
        "top_class": pa.FixedSizeListArray.from_arrays(pa.array(top_class.reshape(-1)), TOP),
        "top_prob": pa.FixedSizeListArray.from_arrays(pa.array(top_prob.astype(np.float16).reshape(-1)), TOP),
    }
    return pa.table([data[field.name] for field in schema], schema=schema)


def synthetic_run(path: Path, samples: int, epochs: int) -> int:
    """Write the run; its size in bytes."""
    rng = np.random.default_rng(0)
    ids, labels = np.arange(samples), rng.integers(0, CLASSES, samples).astype(np.int32)
    names = [str(c) for c in range(CLASSES)]
    writer = RunWriter.create(path, new_info(class_names=names, signals=SIGNALS, num_samples=samples, config={}))
    writer.write_samples(pd.DataFrame({"sample_id": ids, "key": ids.astype(str), "label": labels}))
    for epoch in range(epochs):
        table = observations(ids, labels, epoch, rng)
        writer.write_observations(PartName(epoch), table)
        sums = sums_of(table, samples, None, 0.0)
        writer.write_epoch(PartName(epoch), epoch_row(epoch, 0, sums, {}, None))
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--by", nargs="*", default=["mislabeled", "variability"])
    parser.add_argument("--folder", type=Path, help="where to put the run; a temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object an analysis")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run, began = Path(folder) / "run", time.perf_counter()
        size = synthetic_run(run, arguments.samples, arguments.epochs)
        print(f"run written in {time.perf_counter() - began:.0f} s, {size / 2**30:.2f} GiB", file=sys.stderr)
        for by in arguments.by:
            done = subprocess.run(
                [sys.executable, "-c", RANK, str(run), by], capture_output=True, text=True, check=True
            )
            facts = {"samples": arguments.samples, "epochs": arguments.epochs, "by": by, "run_gib": size / 2**30}
            row = {**facts, **json.loads(done.stdout)}
            print(json.dumps(row) if arguments.json else "  ".join(f"{k}={v}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    main()
