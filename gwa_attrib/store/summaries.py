"""The summary of an epoch: what one process writes, and how the rows of several processes become one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from gwa_attrib.functional.central_moments import Moments

Row = Mapping[str, Any]


@dataclass(frozen=True)
class EpochSummary:
    """One epoch of recording. Alignments are over the epoch's observations, each at the weights of its step."""

    epoch: int
    n: int
    """Observations with an alignment."""
    mean: float
    """Mean alignment, in [-1, 1]; high is good."""
    excess_kurtosis: float
    gwa: float
    """mean / (excess_kurtosis + 1.2); high is good; read `gwa_reliable` with it."""
    gwa_reliable: bool
    """False where the kurtosis correction is near its pole; go by `mean` then."""
    fraction_negative: float
    """Share of the observations with a negative alignment."""
    undefined: int
    """Observations without an alignment, because their gradient is exactly zero."""
    coverage: float
    """Share of the run's samples that were seen in the epoch."""
    prediction_changes: int | None
    """Samples whose prediction differs from the last one seen; None in the first epoch."""
    seconds: float
    """Wall time since the previous epoch ended."""


def epoch_facts(
    alignment: Float[Tensor, " row"],
    sample_ids: Int[np.ndarray, " row"],
    num_samples: int,
    changed: int | None,
    seconds: float,
) -> dict[str, Any]:
    """What a process knows of its part of an epoch beside the moments of the alignment."""
    return {
        "negative": int((alignment < 0).sum()),
        "undefined": int(alignment.isnan().sum()),
        "seen": len(np.unique(sample_ids)),
        "num_samples": num_samples,
        "changed": changed,
        "seconds": seconds,
    }


def summary_row(epoch: int, rank: int, m: Moments, facts: Row, metrics: Mapping[str, float]) -> dict[str, Any]:
    """The row one process writes: everything in it can be added up over processes."""
    return {
        "epoch": epoch,
        "rank": rank,
        "n": m.n,
        "mean": m.mean,
        "m2": m.m2,
        "m3": m.m3,
        "m4": m.m4,
        **facts,
        "metrics": [(name, float(value)) for name, value in metrics.items()],
    }


def merge(rows: Sequence[Row]) -> dict[str, Any]:
    """One epoch from the rows of its processes: an `EpochSummary` as a dict, and the metrics (of the first process)."""
    total = Moments()
    for row in rows:
        total = total + Moments(row["n"], row["mean"], row["m2"], row["m3"], row["m4"])
    changes = [row["changed"] for row in rows if row["changed"] is not None]
    summary = EpochSummary(
        epoch=rows[0]["epoch"],
        n=total.n,
        mean=total.mean,
        excess_kurtosis=total.excess_kurtosis,
        gwa=total.gwa,
        gwa_reliable=total.gwa_reliable,
        fraction_negative=sum(row["negative"] for row in rows) / total.n if total.n else float("nan"),
        undefined=sum(row["undefined"] for row in rows),
        coverage=min(1.0, sum(row["seen"] for row in rows) / rows[0]["num_samples"]),
        prediction_changes=sum(changes) if changes else None,
        seconds=max(row["seconds"] for row in rows),
    )
    metrics = {name: value for row in reversed(rows) for name, value in row["metrics"]}
    return {**vars(summary), **metrics}


def epoch_frame(rows: Mapping[int, Sequence[Row]]) -> pd.DataFrame:
    """One row an epoch; with its columns also when there is none."""
    frame = pd.DataFrame([merge(of_epoch) for of_epoch in rows.values()])
    columns = [name for name in EpochSummary.__dataclass_fields__ if name not in frame.columns]
    return frame if not columns else frame.reindex(columns=[*frame.columns, *columns])
