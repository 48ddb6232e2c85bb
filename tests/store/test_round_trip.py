"""What is written is read: every matrix equals a pandas pivot of the rows, for any distribution of rows over files."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.errors import InputError
from gwa_attrib.store import open_run
from gwa_attrib.store.compaction import compact
from gwa_attrib.store.schema import FLOAT_SIGNALS, PartName
from gwa_attrib.store.writer import by_sample
from tests.store import written_runs as runs

SIGNALS = (*FLOAT_SIGNALS, "learning_rate")


@st.composite
def rows_of_files(draw: st.DrawFn) -> tuple[list[int], dict[PartName, list[dict[str, Any]]]]:
    """Samples with gaps between their ids; epochs, ranks and attempts, with duplicates and undefined values."""
    ids = sorted(draw(st.sets(st.integers(0, 10**12), min_size=1, max_size=5)))
    parts = draw(st.sets(st.builds(PartName, st.integers(0, 3), st.integers(0, 1), st.integers(0, 2)), min_size=1))
    value = st.one_of(st.just(np.nan), st.floats(-100, 100, width=32))
    files = {}
    for part in sorted(parts):
        count = draw(st.integers(1, 7))
        steps = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count, unique=True))
        files[part] = [
            runs.row(
                draw(st.sampled_from(ids)),
                step=step * 2 + part.rank,  # no two ranks share a step, so that "last" is one thing
                pred=draw(st.integers(0, 2)),
                alignment=np.float32(draw(value)),
                loss=np.float32(draw(value)),
            )
            for step in steps
        ]
    return ids, files


def frame(files: dict[PartName, list[dict[str, Any]]]) -> pd.DataFrame:
    """The rows that count: of each epoch those of its highest attempt, in the order they were made."""
    rows = [{**row, "epoch": part.epoch, "attempt": part.attempt} for part, rows in files.items() for row in rows]
    frame = pd.DataFrame(rows)
    latest = frame.groupby("epoch")["attempt"].transform("max")
    return frame[frame["attempt"] == latest].sort_values("step", kind="stable")


def pivot(frame: pd.DataFrame, ids: list[int], name: str, how: str) -> np.ndarray:
    matrix = frame.assign(**{name: frame[name].astype(float)}).pivot_table(
        index="epoch", columns="sample_id", values=name, aggfunc=how, dropna=False, observed=False
    )
    return matrix.reindex(index=sorted(frame["epoch"].unique()), columns=ids).to_numpy(dtype=float)


@given(case=rows_of_files())
def test_a_trajectory_is_the_pivot_of_its_rows(case: tuple[list[int], dict[PartName, list[dict[str, Any]]]]) -> None:
    ids, files = case
    rows = frame(files)
    with TemporaryDirectory() as folder:
        run = runs.write(Path(folder) / "run", files, sample_ids=ids)
        assert run.sample_ids.tolist() == ids
        assert run.epoch_numbers == tuple(sorted(rows["epoch"].unique()))
        for name in SIGNALS:
            found = run.trajectory(name)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, pivot(rows, ids, name, "mean"), rtol=1e-6, atol=1e-12, err_msg=name)
        np.testing.assert_array_equal(run.trajectory("pred"), pivot(rows, ids, "pred", "last"))


@given(case=rows_of_files())
def test_correct_is_whether_the_last_prediction_is_the_label(
    case: tuple[list[int], dict[PartName, list[dict[str, Any]]]],
) -> None:
    ids, files = case
    with TemporaryDirectory() as folder:
        run = runs.write(Path(folder) / "run", files, sample_ids=ids)
        pred = run.trajectory("pred")
        expected = np.where(np.isnan(pred), np.nan, pred == np.array(ids) % 3)
        np.testing.assert_array_equal(run.trajectory("correct"), expected)


@given(case=rows_of_files())
def test_every_row_of_the_latest_attempt_is_kept(
    case: tuple[list[int], dict[PartName, list[dict[str, Any]]]],
) -> None:
    ids, files = case
    rows = frame(files)
    with TemporaryDirectory() as folder:
        found = runs.write(Path(folder) / "run", files, sample_ids=ids).observations().to_pandas()
    key = ["epoch", "step", "sample_id"]
    expected = rows.sort_values(key, ignore_index=True)
    found = found.sort_values(key, ignore_index=True)
    for name in (*key, *SIGNALS, "label", "pred"):
        np.testing.assert_array_equal(found[name], expected[name].astype(found[name].dtype), err_msg=name)


def test_epoch_after_epoch_equals_the_whole(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    names = ("alignment", "loss", "pred", "correct", "top_class", "top_prob")
    epochs = list(run.by_epoch(*names))
    assert [epoch for epoch, _ in epochs] == [0, 1, 2]
    for name in ("alignment", "loss", "correct"):
        np.testing.assert_array_equal(np.stack([dense[name] for _, dense in epochs]), run.trajectory(name))
    unseen = epochs[1][1]
    assert unseen["pred"][2] == -1
    assert unseen["top_class"][2].tolist() == [-1, -1, -1]
    assert unseen["top_prob"][2].tolist() == [0, 0, 0]
    assert unseen["top_class"][1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("compacted", [False, True])
def test_some_samples_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compacted: bool) -> None:
    """And of the files no more is read than the row groups that can hold them: here of three rows."""
    for module in ("writer", "compaction"):
        monkeypatch.setattr(f"gwa_attrib.store.{module}.ROW_GROUP", 3)
    ids = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    parts = {
        PartName(epoch, rank): [runs.row(i, rank + epoch) for i in ids[rank::2]] for epoch in (0, 1) for rank in (0, 1)
    }
    parts[PartName(1, 1)] = [*parts[PartName(1, 1)], runs.row(2, 9)]
    run = runs.write(tmp_path / "run", parts, sample_ids=ids)
    if compacted:
        compact(run)
    names = ("alignment", "pred", "correct", "top_class")
    whole = list(run.by_epoch(*names))
    for rows in (slice(0, 4), slice(4, 9), slice(9, 40), slice(3, 3), slice(None)):
        for (epoch, dense), (_, every) in zip(run.by_epoch(*names, rows=rows), whole, strict=True):
            for name in names:
                np.testing.assert_array_equal(dense[name], every[name][rows], err_msg=f"{name} {epoch} {rows}")
    read: list[int] = []
    of_groups = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_groups", lambda file, groups, **k: read.extend(groups) or of_groups(file, groups, **k)
    )
    list(run.by_epoch("loss", rows=slice(9, 10)))
    groups = sum(pq.ParquetFile(path).metadata.num_row_groups for path in (run.path / "observations").glob("*.parquet"))
    assert 0 < len(read) <= groups / 2


def test_one_epoch_of_the_observations(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    assert run.observations(("sample_id", "loss"), epoch=2).column_names == ["sample_id", "loss"]
    assert run.observations(epoch=2)["sample_id"].to_pylist() == [0, 0, 1, 2, 3]


def test_samples_come_back_in_the_order_of_their_ids_with_their_columns(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run")
    writer.write_samples(runs.samples([7, 3, 5], source=["x", "y", "z"], weight=[0.5, np.nan, 1.5]))
    found = open_run(tmp_path / "run").samples
    assert found["sample_id"].tolist() == [3, 5, 7]
    assert found["source"].tolist() == ["y", "z", "x"]
    assert found["key"].tolist() == ["#3", "#5", "#7"]
    np.testing.assert_array_equal(found["weight"], [np.nan, 1.5, 0.5])


@pytest.mark.parametrize("name", ["label", "step", "epoch", "top_class", "nonsense", ""])
def test_what_is_no_signal_is_refused(tmp_path: Path, name: str) -> None:
    run = runs.three_epochs(tmp_path / "run")
    with pytest.raises(ValueError, match=r"alignment.*margin"):
        run.trajectory(name)


def test_an_observation_of_a_stranger_is_refused(tmp_path: Path) -> None:
    run = runs.write(tmp_path / "run", {PartName(0): [runs.row(9)]}, sample_ids=(0, 1))
    with pytest.raises(OSError, match="sample id 9"):
        run.trajectory("loss")


def test_the_observations_of_one_sample(tmp_path: Path) -> None:
    run = runs.three_epochs(tmp_path / "run")
    everything = run.observations().to_pandas()
    for sample_id in run.sample_ids.tolist():
        found = run.observations_of(sample_id)
        expected = everything[everything["sample_id"] == sample_id]
        assert found[["epoch", "step"]].to_numpy().tolist() == expected[["epoch", "step"]].to_numpy().tolist()
        assert found["loss"].tolist() == expected["loss"].tolist()
    with pytest.raises(InputError, match="99"):
        run.observations_of(99)


@given(
    ids=st.lists(st.integers(0, 5) | st.integers(-(2**40), 2**40), max_size=30),
    steps=st.lists(st.integers(0, 9), min_size=30, max_size=30),
    ascending=st.booleans(),
)
def test_rows_are_ordered_by_sample_and_step_and_stay_as_they_are_otherwise(
    ids: list[int], steps: list[int], ascending: bool
) -> None:
    some = sorted(steps[: len(ids)]) if ascending else steps[: len(ids)]
    expected = sorted(range(len(ids)), key=lambda row: (ids[row], some[row]))
    assert by_sample(np.array(ids, dtype=np.int64), np.array(some, dtype=np.int64)).tolist() == expected
