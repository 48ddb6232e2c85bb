"""Compacted: fewer files, the same numbers; killed at any moment, nothing is lost and nothing counts twice."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import RunError, RunFormatError
from gwa_attrib.store import Run, RunWriter, inspect, open_run
from gwa_attrib.store.compaction import compact
from gwa_attrib.store.resumed import give_up_from
from gwa_attrib.store.schema import PartName
from tests.store import written_runs as runs
from tests.store.engines import ENGINES, collected
from tests.store.mutations import base_run


def numbers(path: Path) -> dict[str, pd.DataFrame]:
    """All that a run says, in an order that does not depend on the files."""
    run = open_run(path)
    keys = ["epoch", "sample_id", "step"]
    found = {
        "observations": run.observations().to_pandas().sort_values(keys, ignore_index=True),
        "probe": run.observations(table="probe").to_pandas().sort_values(keys, ignore_index=True),
        "layers": run.layer_observations().to_pandas().sort_values([*keys, "layer"], ignore_index=True),
        "epochs": run.epochs(),
        "loss": pd.DataFrame(run.trajectory("loss")),
        "pred": pd.DataFrame(run.trajectory("pred")),
        "layer": pd.DataFrame(run.trajectory("dot", layer="stem")),
        "mislabeled": gwa.rank(run, "mislabeled").to_frame(),
    }
    found["layers"]["layer"] = found["layers"]["layer"].astype(str)
    return found


def check_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, obj=name)


def files(run: Run) -> list[str]:
    return sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*.parquet"))


def test_the_same_numbers_in_fewer_files(tmp_path: Path) -> None:
    run = base_run(tmp_path / "run")
    expected, facts = numbers(run.path), inspect(run)
    assert compact(run) == 8
    assert [name for name in files(run) if "/" in name] == [
        f"{folder}/epochs=00000-00002-a0.parquet" for folder in ("epochs", "layers", "observations", "probe")
    ]
    check_same(numbers(run.path), expected)
    now = inspect(open_run(run.path))
    same = ("epochs", "missing_epochs", "open_epoch", "observations", "samples", "lowest_coverage")
    assert {name: now[name] for name in same} == {name: facts[name] for name in same}
    assert compact(open_run(run.path)) == 0
    check_same(numbers(run.path), expected)


def test_processes_attempts_gaps_and_sizes(tmp_path: Path) -> None:
    """Two processes become one; what was recorded again, or is missing, or too large together, stays apart."""
    ids = {0: [0, 1], 1: [2, 3]}
    rows = {
        PartName(epoch, rank, int(epoch == 3)): [
            runs.row(i, step=10 * epoch + k + rank) for k, i in enumerate([*of, 0])
        ]
        for epoch in (0, 1, 3, 4, 5)
        for rank, of in ids.items()
    }
    run = runs.write(tmp_path / "run", rows)
    expected = [run.trajectory(name) for name in ("loss", "pred", "correct")]
    observations = run.observations().num_rows
    compact(run)
    assert [name for name in files(run) if "observations" in name] == [
        "observations/epoch=00003-rank=00000-a1.parquet",
        "observations/epoch=00003-rank=00001-a1.parquet",
        "observations/epochs=00000-00001-a0.parquet",
        "observations/epochs=00004-00005-a0.parquet",
    ]
    again = open_run(run.path)
    for name, matrix in zip(("loss", "pred", "correct"), expected, strict=True):
        np.testing.assert_array_equal(again.trajectory(name), matrix)
    assert again.observations().num_rows == observations
    assert again.epochs()["epoch"].tolist() == [0, 1, 3, 4, 5]
    small = runs.three_epochs(tmp_path / "small")
    assert compact(small, most=1) == 0


def test_what_is_recorded_after_that_counts(tmp_path: Path) -> None:
    """Epochs that follow, and epochs that are recorded again: also for other engines."""
    run = runs.three_epochs(tmp_path / "run")
    compact(run)
    writer = RunWriter(run.path, run.info)
    for part in (PartName(1, 0, 1), PartName(3)):
        writer.write_observations(part, runs.table(part, [runs.row(2, loss=7.0)]))
        writer.write_epoch(part, runs.summary(part))
    again = open_run(run.path)
    loss = again.trajectory("loss")
    assert again.epoch_numbers == (0, 1, 2, 3)
    assert np.isnan(loss[[1, 3]]).sum() == 6
    assert loss[1, 2] == loss[3, 2] == 7.0
    for engine in ("duckdb", "polars", "pyarrow"):
        found = collected(again.scan(engine))
        assert len(found) == again.observations().num_rows == 11
    compact(again)
    np.testing.assert_array_equal(open_run(run.path).trajectory("loss"), loss)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_read_a_compacted_run(engine: str, tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    expected = run.observations().to_pandas().sort_values(["epoch", "step"])["loss"].tolist()
    compact(run)
    found = collected(open_run(run.path).scan(engine)).sort_values(["epoch", "step"])
    assert found["loss"].tolist() == expected


@pytest.mark.parametrize("event", ["os.rename", "os.remove"])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_counts_twice(
    tmp_path: Path, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each file appears, and before each goes; then once more, to the end."""
    run = base_run(tmp_path / "run")
    expected, left = numbers(run.path), []
    method = {"os.rename": "replace", "os.remove": "unlink"}[event]
    real: Callable[..., object] = getattr(Path, method)
    for moment in range(12):
        count = 0

        def stop(self: Path, *arguments: object, last: int = 1 + moment % 3, **named: object) -> object:
            nonlocal count
            count += 1
            if count > last:
                raise KeyboardInterrupt
            return real(self, *arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(Path, method, stop)
            try:
                compact(open_run(run.path))
            except KeyboardInterrupt:
                left.append(len(files(run)))
        check_same(numbers(run.path), expected)
    assert left
    compact(open_run(run.path))
    check_same(numbers(run.path), expected)
    assert sum("/" in name for name in files(run)) == 4


def test_killed_by_a_signal(tmp_path: Path) -> None:
    """While both the old files and the new one are there."""
    run = base_run(tmp_path / "run")
    expected = numbers(run.path)

    def body() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if not pid:
        Path.unlink = lambda *_, **__: body()  # type: ignore[method-assign]
        compact(run)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert sum("epochs=" in name for name in files(run)) == 1
    check_same(numbers(run.path), expected)


def test_a_damaged_file_stops_it_and_stays(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    file = runs.observation_files(run)[1]
    file.write_bytes(file.read_bytes()[:100])
    before = files(run)
    with pytest.raises(RunFormatError, match=file.name):
        compact(run)
    assert files(run) == before


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = base_run(tmp_path / "run")
    expected = numbers(run.path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(RunError, match="Free space"):
            compact(run)
    check_same(numbers(run.path), expected)


def test_a_compacted_file_that_does_not_say_its_epochs_is_named(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    compact(run)
    file = runs.observation_files(run)[0]
    pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)
    with pytest.raises(RunFormatError, match="epochs=00000"):
        open_run(run.path).trajectory("loss")


def test_epochs_that_are_given_up_do_not_stay_in_a_compacted_file(tmp_path: Path) -> None:
    """Of a training that goes on from before them."""
    run = runs.three_epochs(tmp_path / "run")
    compact(run)
    with pytest.raises(RunError, match="Go on from epoch 3"):
        give_up_from(run.path, 1)
    assert open_run(run.path).epoch_numbers == (0, 1, 2)
    give_up_from(run.path, 3)
    assert open_run(run.path).epoch_numbers == (0, 1, 2)
    give_up_from(run.path, 0)
    assert open_run(run.path).epoch_numbers == ()
