"""The summary of an epoch is the same whether one process saw all of it or several saw parts."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.store import inspect, open_run
from gwa_attrib.store.schema import PartName
from gwa_attrib.store.summaries import COLUMNS, epoch_frame, epoch_row, summary_of, sums_of
from tests import oracles
from tests.store import written_runs as runs

alignments = st.lists(st.one_of(st.just(math.nan), st.floats(-1, 1).map(lambda x: round(x, 4))), max_size=12)


def of_rank(rank: int, values: list[float], **facts: Any) -> dict[str, Any]:
    """What one process writes of samples 100·rank, 100·rank + 1, ...; label 1, predicted right if aligned."""
    alignment = pa.array(np.array(values, dtype=np.float64))
    ids = pa.array(np.arange(len(values)) + 100 * rank)
    right = pa.array((np.array(values) > 0).astype(np.int32), type=pa.int32())
    loss = pa.array(np.full(len(values), 0.5 + rank, dtype=np.float32))
    label = pa.array([1] * len(values), type=pa.int32())
    table = pa.table({"sample_id": ids, "alignment": alignment, "pred": right, "label": label, "loss": loss})
    sums = sums_of(table, 40, None, 1.0 + rank) | facts
    return epoch_row(3, rank, sums, {"val": 0.5} if rank == 0 else {}, {**sums, "seconds": 9.0} if rank else None)


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return epoch_frame({3: parts}).iloc[0].to_dict()


@given(parts=st.lists(alignments, min_size=1, max_size=3))
def test_ranks_merge_to_the_whole(parts: list[list[float]]) -> None:
    found = merged([of_rank(rank, values) for rank, values in enumerate(parts)])
    whole = [v for part in parts for v in part]
    finite = [v for v in whole if not math.isnan(v)]
    n, mean, *_ = oracles.central_sums(whole)
    assert (found["epoch"], found["n"]) == (3, n)
    assert found["mean"] == pytest.approx(mean, nan_ok=True)
    assert found["undefined"] == len(whole) - len(finite)
    negative = sum(v < 0 for v in finite) / n if n else math.nan
    assert found["fraction_negative"] == pytest.approx(negative, nan_ok=True)
    assert found["coverage"] == pytest.approx(len(whole) / 40)
    assert found["seconds"] == float(len(parts))
    assert found["val"] == 0.5
    losses = [0.5 + rank for rank, part in enumerate(parts) for _ in part]
    assert found["online_loss"] == pytest.approx(np.mean(losses) if whole else math.nan, nan_ok=True)
    right = np.mean([v > 0 for v in whole]) if whole else math.nan
    assert found["online_accuracy"] == pytest.approx(right, nan_ok=True)
    if len(parts) > 1:
        probed = [v for part in parts[1:] for v in part]
        assert found["probe_n"] == oracles.central_sums(probed)[0]
        assert found["probe_mean"] == pytest.approx(oracles.central_sums(probed)[1], nan_ok=True)
        assert found["probe_seconds"] == 9.0
    if len(set(finite)) > 1 and max(finite) - min(finite) > 1e-3:
        assert found["excess_kurtosis"] == pytest.approx(oracles.excess_kurtosis(finite), rel=1e-6, abs=1e-6)


def test_coverage_is_never_more_than_all() -> None:
    """Samplers pad: two processes may both have seen the last samples."""
    found = merged([of_rank(rank, [0.5], seen=30) for rank in range(2)])
    assert found["coverage"] == 1.0


def test_changes_add_up_and_are_none_where_there_was_nothing_to_compare() -> None:
    def changes(*given: int | None) -> int | None:
        return summary_of([of_rank(rank, [0.5], changed=n) for rank, n in enumerate(given)]).prediction_changes

    assert changes(None, None) is None
    assert changes(2, None) == 2
    assert changes(2, 0, 3) == 5


def test_one_row_an_epoch_with_its_metrics(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run")
    for epoch, metrics in ((0, {"val": 0.25}), (1, {}), (4, {"val": 0.75, "lr": 0.1})):
        writer.write_epoch(PartName(epoch), runs.summary(PartName(epoch), metrics=metrics))
    frame = open_run(tmp_path / "run").epochs()
    assert frame["epoch"].tolist() == [0, 1, 4]
    np.testing.assert_array_equal(frame["val"], [0.25, np.nan, 0.75])
    np.testing.assert_array_equal(frame["lr"], [np.nan, np.nan, 0.1])
    assert {name for name in COLUMNS if not name.startswith("probe_")} <= set(frame.columns)


def test_inspecting_counts_what_is_there(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    (run.path / "_tmp").mkdir(exist_ok=True)
    (run.path / "_tmp" / "half").write_text("x")
    facts = inspect(run)
    assert (facts["epochs"], facts["samples"], facts["classes"], facts["observations"]) == (3, 4, 3, 12)
    assert facts["half_written"] == 1
    assert facts["missing_epochs"] == []
    assert facts["bytes"] == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    assert set(facts["bytes_of_column"]) == set(run.observations().column_names)
