"""The summary of an epoch: what one process writes, and how the rows of several processes become one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from gwa_attrib.errors import RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.functional.gwa_moments import Moments, moments

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ProbeSummary:
    """The measures in evaluation mode at the end of an epoch, each sample at the same weights."""

    n: int
    """Samples with an alignment."""
    mean: float
    """Mean alignment, in [-1, 1]; high is good."""
    excess_kurtosis: float
    gwa: float
    """mean / (excess_kurtosis + 1.2); high is good; read `gwa_reliable` with it."""
    gwa_reliable: bool
    fraction_negative: float
    """Share of the samples with a negative alignment."""
    loss: float
    """Mean loss in nats."""
    accuracy: float
    """Share of the samples whose prediction is the given label."""
    prediction_changes: int | None
    """Samples whose prediction differs from that of the last probe; None in the first."""
    consensus: float
    """Share of the samples that are predicted as the training so far agrees: see `gwa_attrib.recording.samples`."""
    seconds: float
    """Wall time of the probe."""


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
    online_loss: float
    """Mean training loss of the observations, in nats; NaN if losses were not recorded."""
    online_accuracy: float
    """Share of the observations whose prediction was the given label."""
    seconds: float
    """Wall time since the previous epoch ended."""
    probe: ProbeSummary | None = None
    """Measured in evaluation mode at the end of the epoch, with ``gwa.record(..., probe=...)``."""


def sums_of(
    table: pa.Table,
    num_samples: int,
    changed: int | None,
    seconds: float,
    agreeing: int | None = None,
    seen: int | None = None,
) -> dict[str, object]:
    """Sum up the observations that one process made in an epoch, in numbers that add up over processes.

    Args:
        changed: Of all processes together; only one of them counts it, None in the others.
        seen: How many samples it counts, where other processes count some of those in the table; None for all.
    """
    alignment = torch.from_numpy(table["alignment"].to_numpy().copy())
    total = moments(alignment)
    right = table["pred"].to_numpy() == table["label"].to_numpy()
    return {
        **{name: getattr(total, name) for name in ("n", "mean", "m2", "m3", "m4")},
        "negative": int((alignment < 0).sum()),
        "undefined": int(alignment.isnan().sum()),
        "seen": len(np.unique(table["sample_id"].to_numpy())) if seen is None else seen,
        "num_samples": num_samples,
        "changed": changed,
        "rows": len(table),
        "correct": int(right.sum()),
        "loss_sum": float(table["loss"].to_numpy().sum(dtype=np.float64)) if "loss" in table.column_names else None,
        "agreeing": agreeing,
        "seconds": seconds,
    }


def epoch_row(epoch: int, rank: int, sums: Row, metrics: Mapping[str, float], probe: Row | None) -> dict[str, object]:
    """Make the row that one process writes."""
    return {
        "epoch": epoch,
        "rank": rank,
        **sums,
        "metrics": [(name, float(value)) for name, value in metrics.items()],
        "probe": probe,
    }


def _total(rows: Sequence[Row]) -> dict[str, Any]:
    """Work out the numbers of a summary from the sums of all processes."""
    total = Moments()
    for row in rows:
        total = total + Moments(row["n"], row["mean"], row["m2"], row["m3"], row["m4"])
    changes = [row["changed"] for row in rows if row["changed"] is not None]
    seen = sum(row.get("rows") or 0 for row in rows)
    losses = [math.nan if row.get("loss_sum") is None else float(row["loss_sum"]) for row in rows]
    return {
        "n": total.n,
        "mean": total.mean,
        "excess_kurtosis": total.excess_kurtosis,
        "gwa": total.gwa,
        "gwa_reliable": total.gwa_reliable,
        "fraction_negative": sum(row["negative"] for row in rows) / total.n if total.n else math.nan,
        "undefined": sum(row["undefined"] for row in rows),
        "coverage": min(1.0, sum(row["seen"] for row in rows) / rows[0]["num_samples"]),
        "prediction_changes": sum(changes) if changes else None,
        "loss": sum(losses) / seen if seen else math.nan,
        "accuracy": sum(row["correct"] for row in rows) / seen if seen else math.nan,
        "consensus": sum(row.get("agreeing") or 0 for row in rows) / seen if seen else math.nan,
        # The processes worked side by side.
        "seconds": max(row["seconds"] for row in rows),
    }


def summary_of(rows: Sequence[Row]) -> EpochSummary:
    """Make the summary of an epoch from the rows of its processes."""
    total = _total(rows)
    total["online_loss"], total["online_accuracy"] = total.pop("loss"), total.pop("accuracy")
    del total["consensus"]
    probes = [row["probe"] for row in rows if row.get("probe") is not None]
    probe = None
    if probes:
        of_probe = _total(probes)
        probe = ProbeSummary(**{name: of_probe[name] for name in ProbeSummary.__dataclass_fields__})
    return EpochSummary(epoch=rows[0]["epoch"], **total, probe=probe)


LONGEST_COSINE = 1.001
"""An alignment is at most 1, but for rounding."""

PROBE_COLUMNS = tuple(f"probe_{name}" for name in ProbeSummary.__dataclass_fields__)
COLUMNS = (*(name for name in EpochSummary.__dataclass_fields__ if name != "probe"), *PROBE_COLUMNS)
"""Columns of `Run.epochs()` that are not metrics of the user."""


def flat(summary: EpochSummary) -> dict[str, object]:
    """The summary as a row of a table; of the probe with ``probe_`` before the names, if there was one."""
    row = {name: value for name, value in vars(summary).items() if name != "probe"}
    if summary.probe is not None:
        row |= {f"probe_{name}": value for name, value in vars(summary.probe).items()}
    return row


def _impossible(sums: Row) -> list[str]:
    """Name the numbers of a row that no recorder writes."""
    some = bool(sums.get("n"))
    counts = {name: sums.get(name, -1) for name in ("n", "negative", "undefined", "seen", "seconds", "num_samples")}
    optional = {name: sums.get(name) for name in ("rows", "correct", "agreeing")} | {"changed": sums.get("changed", -1)}
    # Written as `not a >= b` and `not a <= b`, so that NaN is impossible, too.
    return [
        *(name for name, value in counts.items() if value is None or not value >= (name == "num_samples")),
        *(name for name, value in optional.items() if value is not None and value < 0),
        *(name for name in ("mean", "m2", "m3", "m4") if some and sums.get(name) is None),
        *(["correct"] if sums.get("rows") and sums.get("correct") is None else []),
        *(["mean"] if some and not abs(sums.get("mean") or 0.0) <= LONGEST_COSINE else []),
    ]


def checked_row(path: Place, row: Row, epoch: int) -> Row:
    """Check that the numbers of a row that was read can be: it may come from anywhere.

    Raises:
        RunFormatError: it is of another epoch, has a count below 0 or a mean that no cosines have, or a metric has the
            name of a field of the summary.
    """
    sums = [row, *([row["probe"]] if row.get("probe") is not None else [])]
    wrong = [] if row["epoch"] == epoch else ["epoch"]
    wrong += [name for of in sums for name in _impossible(of)]
    wrong += [name for name, value in row["metrics"] if name in COLUMNS or value is None]
    if wrong:
        raise RunFormatError(
            expected=f"the summary of epoch {epoch} in {path}, as end_epoch writes it",
            found=f"none, or impossible values, of {', '.join(map(repr, wrong))}",
            todo="The file is damaged: restore it from a copy, or move it away to go on without that epoch.",
        )
    return row


def epoch_frame(rows: Mapping[int, Sequence[Row]]) -> pd.DataFrame:
    """Make a table of the epochs, with the user's metrics (of the first process); without epochs it has columns."""
    table = []
    for of_epoch in rows.values():
        metrics = {name: value for row in reversed(of_epoch) for name, value in row["metrics"]}
        table.append({**flat(summary_of(of_epoch)), **metrics})
    frame = pd.DataFrame(table)
    columns = [name for name in COLUMNS if name not in frame.columns and name not in PROBE_COLUMNS]
    return frame if not columns else frame.reindex(columns=[*frame.columns, *columns])
