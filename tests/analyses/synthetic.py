"""Runs made of chosen numbers, without training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from gwa_attrib.store import Run, RunWriter, open_run
from gwa_attrib.store.run_json import new_info
from gwa_attrib.store.schema import FLOAT_SIGNALS, SIGNALS, PartName, observation_schema
from gwa_attrib.store.summaries import epoch_row, sums_of


def run_from_probabilities(
    path: Path, probabilities: np.ndarray, labels: np.ndarray, alignment: np.ndarray, *, seen: np.ndarray | None = None
) -> Run:
    """A run with these probabilities, ``[epoch, sample, class]``, and alignments; all else derived or zero."""

    epochs, samples, classes = probabilities.shape
    top = min(5, classes)
    names = [f"class {c}" for c in range(classes)]
    writer = RunWriter.create(path, new_info(class_names=names, signals=SIGNALS, num_samples=samples, config={}))
    ids = np.arange(samples)
    writer.write_samples(pd.DataFrame({"sample_id": ids, "key": ids.astype(str), "label": labels.astype(np.int32)}))
    schema = observation_schema(SIGNALS, top)
    for epoch in range(epochs):
        rows = ids if seen is None else ids[seen[epoch]]
        p = probabilities[epoch, rows]
        order = np.argsort(-p, axis=1)[:, :top]
        data = {name: np.zeros(len(rows), dtype=np.float32) for name in (*FLOAT_SIGNALS, "learning_rate")}
        data |= {
            "sample_id": rows,
            "epoch": np.full(len(rows), epoch),
            "step": np.zeros(len(rows), dtype=np.int64),
            "label": labels[rows],
            "pred": order[:, 0],
            "alignment": alignment[epoch, rows],
            "p_label": p[np.arange(len(rows)), labels[rows]],
            "top_class": list(order),
            "top_prob": list(np.take_along_axis(p, order, 1).astype(np.float16)),
        }
        observed = pa.table([pa.array(data[f.name], type=f.type) for f in schema], schema=schema)
        writer.write_observations(PartName(epoch), observed)
        sums = sums_of(observed, samples, None, 1.0)
        writer.write_epoch(PartName(epoch), epoch_row(epoch, 0, sums, {}, None))
    return open_run(path)
