"""Runs for the tests of the store: made from plain rows, without a model; the oracles get the same rows in pandas."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gwa_attrib.store import Run, RunWriter, open_run
from gwa_attrib.store.run_json import new_info
from gwa_attrib.store.schema import FLOAT_SIGNALS, SIGNALS, PartName, observation_schema
from gwa_attrib.store.summaries import epoch_row

TOP = 3
Rows = Mapping[PartName, Sequence[Mapping[str, Any]]]


def row(sample_id: int, step: int = 0, **values: Any) -> dict[str, Any]:
    """One observation; what is not given follows from the id, so that no two samples look alike."""
    base = {name: np.float32(sample_id + 0.125 * i + step) for i, name in enumerate(FLOAT_SIGNALS)}
    return {
        "sample_id": sample_id,
        "step": step,
        "label": sample_id % 3,
        "pred": (sample_id + step) % 3,
        "learning_rate": 0.5,
        "top_class": [0, 1, 2],
        "top_prob": [0.5, 0.25, 0.25],
        **base,
        **values,
    }


def begin(path: Path, *, num_samples: int = 4, **facts: Any) -> RunWriter:
    info = new_info(class_names=["a", "b", "c"], signals=SIGNALS, num_samples=num_samples, config={})
    return RunWriter.create(path, {**info, **facts})


def table(part: PartName, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    numbered = [{**r, "epoch": part.epoch, "top_prob": [np.float16(p) for p in r["top_prob"]]} for r in rows]
    schema = observation_schema(SIGNALS, TOP)
    return pa.table({name: [r[name] for r in numbered] for name in schema.names}, schema=schema)


def samples(sample_ids: Sequence[int], **columns: Any) -> pd.DataFrame:
    ids = np.asarray(sample_ids, dtype=np.int64)
    label = (ids % 3).astype(np.int32)
    return pd.DataFrame({"sample_id": ids, "key": [f"#{i}" for i in ids], "label": label, **columns})


def summary(part: PartName, *, num_samples: int = 4, metrics: Mapping[str, float] | None = None) -> dict[str, Any]:
    sums = {"n": 1, "mean": 0.5, "m2": 0.0, "m3": 0.0, "m4": 0.0, "negative": 0, "undefined": 0, "seen": 1}
    sums |= {"num_samples": num_samples, "changed": None, "rows": 1, "correct": 1, "loss_sum": 0.25, "seconds": 1.0}
    return epoch_row(part.epoch, part.rank, sums, metrics or {}, None)


def write(path: Path, rows: Rows, *, sample_ids: Sequence[int] = (0, 1, 2, 3)) -> Run:
    """A run with these observations, read back."""
    writer = begin(path, num_samples=len(sample_ids))
    writer.write_samples(samples(sample_ids))
    for part, of_part in rows.items():
        writer.write_observations(part, table(part, of_part))
        writer.write_epoch(part, summary(part, num_samples=len(sample_ids)))
    return open_run(path)


def three_epochs(path: Path) -> Run:
    """Sample 2 is missing in epoch 1; sample 0 comes twice in epoch 2."""
    epochs = [[0, 1, 2, 3], [0, 1, 3], [0, 0, 1, 2, 3]]
    return write(
        path, {PartName(e): [row(i, step=e * 5 + k) for k, i in enumerate(ids)] for e, ids in enumerate(epochs)}
    )


def observation_files(run: Run) -> list[Path]:
    return sorted((run.path / "observations").iterdir())
