"""Runs whose epochs have given numbers, for the tests of proxies and rules."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gwa_attrib.store import Run, open_run
from gwa_attrib.store.schema import PartName
from gwa_attrib.store.summaries import epoch_row
from tests.store import written_runs as runs

Numbers = Sequence[float | None]


MOMENTS = ("mean", "m2", "m3", "m4")


def sums(mean: float = 0.5, kurtosis: float = 0.0, changed: int | None = None) -> dict[str, object]:
    """Of 100 alignments with this mean and excess kurtosis."""
    n, m2 = 100, 4.0
    m4 = (kurtosis + 3.0) * m2**2 / n
    facts = {"negative": 10, "undefined": 0, "seen": n, "num_samples": n, "changed": changed, "seconds": 1.0}
    row = {"n": n, "mean": mean, "m2": m2, "m3": 0.0, "m4": m4, "rows": n, "correct": 50, "loss_sum": 70.0, **facts}
    return row if mean == mean else {**row, "n": 0, "negative": 0, "undefined": n, **dict.fromkeys(MOMENTS, 0.0)}


def history(
    path: Path,
    mean: Numbers,
    *,
    kurtosis: Numbers | None = None,
    changed: Sequence[int | None] | None = None,
    probe: Numbers | None = None,
    agreeing: Sequence[int] | None = None,
    **metrics: Numbers,
) -> Run:
    """A run with these numbers in its epochs; `probe` gives the means of the probe."""
    writer = runs.begin(path)
    writer.write_samples(runs.samples([0, 1, 2, 3]))
    for epoch, value in enumerate(mean):
        part = PartName(epoch)
        writer.write_observations(part, runs.table(part, [runs.row(0)]))
        row = sums(value, kurtosis[epoch] if kurtosis else 0.0, changed[epoch] if changed else None)
        of_epoch = {name: float(values[epoch]) for name, values in metrics.items() if values[epoch] is not None}
        looked = sums(probe[epoch], kurtosis[epoch] if kurtosis else 0.0) if probe else None
        if looked is not None and agreeing is not None:
            looked["agreeing"] = agreeing[epoch]
        writer.write_epoch(part, epoch_row(epoch, 0, row, of_epoch, looked))
    return open_run(path)


def falling_then_rising(length: int, at: int) -> list[float]:
    """Lowest at `at`."""
    return [float(abs(i - at)) for i in np.arange(length)]
