"""After ``kill -9`` at any moment, or a full disk, what is there is whole, and at most the open epoch is lost."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gwa_attrib.errors import RunError
from gwa_attrib.store import Run, RunWriter, inspect, open_run
from gwa_attrib.store.schema import PartName
from tests.store import crashes
from tests.store import written_runs as runs
from tests.store.crashes import train_epochs

KILLS = int(os.environ.get("GWA_KILLS", "40"))
"""More of them: ``GWA_KILLS=200 python -m pytest tests/store/test_crashes.py -k very_many``."""
PROGRAM = Path(__file__).with_name("crashes.py")


def program(folder: Path, *kinds: str) -> Path:
    done = subprocess.run([sys.executable, str(PROGRAM), str(folder), *kinds], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All crashes, in one process that imports torch once."""
    kinds = ("reference=40", "at-file-operation=32", "at-time=6", "full-disk=3")
    return program(tmp_path_factory.mktemp("crashes"), *kinds)


@pytest.fixture(scope="module")
def reference(folder: Path) -> Run:
    """The same training, undisturbed."""
    return open_run(folder / "reference" / "0")


def check_whole(path: Path, acknowledged: int, reference: Run) -> int:
    """Every file can be read, and the epochs are the first ones of the undisturbed run. Returns how many there are."""
    for file in (p for p in path.rglob("*.parquet") if p.parent.name != "_tmp"):
        pq.read_table(file)
    if not (path / "run.json").exists():
        assert acknowledged == 0
        return 0
    run = open_run(path)
    assert run.info["status"] == "recording"
    epochs = len(run.epoch_numbers)
    assert run.epoch_numbers == tuple(range(epochs))
    assert acknowledged <= epochs <= acknowledged + 1
    if epochs:
        assert len(run.epochs()) in (epochs, epochs - 1)
        assert len(run.epochs()) >= acknowledged
        compared = min(epochs, len(reference.epoch_numbers))
        for name in ("alignment", "loss", "pred"):
            np.testing.assert_array_equal(run.trajectory(name)[:compared], reference.trajectory(name)[:compared])
        assert (run.labels == reference.labels).all()
    facts = inspect(run)
    assert facts["epochs"] == facts["open_epoch"] == epochs
    assert facts["missing_epochs"] == [e for e in range(epochs) if e not in set(run.epochs()["epoch"])]
    return epochs


def check_all(folder: Path, reference: Run) -> list[int]:
    epochs = []
    for note in sorted(folder.glob("*.acknowledged"), key=lambda path: int(path.stem)):
        epochs.append(check_whole(folder / note.stem, len(note.read_text().split()), reference))
    return epochs


def test_killed_before_any_file_operation(folder: Path, reference: Run) -> None:
    """Before operation 0, 1, 2...: the later it comes, the more epochs are safe."""
    epochs = check_all(folder / "at-file-operation", reference)
    assert len(epochs) == 32
    assert epochs == sorted(epochs)
    assert epochs[0] == 0
    assert epochs[-1] >= 1


def test_killed_at_any_time(folder: Path, reference: Run) -> None:
    epochs = check_all(folder / "at-time", reference)
    assert len(epochs) == 6
    assert max(epochs) > 0


def test_a_killed_recording_goes_on_to_the_run_of_one_that_was_not_killed(
    folder: Path, reference: Run, tmp_path: Path
) -> None:
    """Every number, from whatever the kill has left: nothing, an open epoch, half of an epoch's files."""
    epochs = 4
    expected = reference.observations().to_pandas().query("epoch < @epochs").reset_index(drop=True)
    for i in range(0, 32, 3):
        run = tmp_path / str(i)
        if (folder / "at-file-operation" / str(i)).exists():
            shutil.copytree(folder / "at-file-operation" / str(i), run)
        train_epochs(run, epochs, lambda recorder, _: recorder.end_epoch() and None, resume=True)
        found = open_run(run)
        pd.testing.assert_frame_equal(found.observations().to_pandas(), expected, check_exact=True)
        facts = inspect(found)
        assert (facts["status"], facts["epochs"], facts["missing_epochs"]) == ("complete", epochs, [])
        assert facts["half_written"] == 0


@pytest.mark.slow
def test_killed_at_very_many_times(tmp_path: Path, reference: Run) -> None:
    assert len(check_all(program(tmp_path, f"at-time={KILLS}") / "at-time", reference)) == KILLS


def test_a_full_disk_stops_the_epoch_and_nothing_else(folder: Path, reference: Run) -> None:
    """`end_epoch` fails for each file in turn; then there is room again and the same call succeeds."""
    failures = json.loads((folder / "full-disk" / "failures.json").read_text())
    assert len(failures) == 4
    for failure in failures:
        assert "Free space" in failure["text"], failure
        assert failure["loss"] == reference.trajectory("loss")[0].tolist()
        assert failure["half_written"] == 0
    run = open_run(folder / "full-disk" / "0")
    assert run.info["status"] == "complete"
    np.testing.assert_array_equal(run.trajectory("alignment"), reference.trajectory("alignment")[:3])
    columns = ["n", "mean", "coverage", "prediction_changes", "fraction_negative"]
    assert run.epochs()[columns].equals(reference.epochs()[columns].head(3))


def test_an_epoch_that_lacks_the_file_of_a_process_is_named(tmp_path: Path) -> None:
    """Killed while the others had written theirs."""
    rows = {PartName(epoch, rank): [runs.row(2 * rank), runs.row(2 * rank + 1)] for epoch in (0, 1) for rank in (0, 1)}
    run = runs.write(tmp_path / "run", rows)
    RunWriter(run.path, run.info).update_info({"world_size": 2})
    assert inspect(open_run(run.path))["missing_epochs"] == []
    (run.path / "observations" / str(PartName(1, 1))).unlink()
    assert inspect(open_run(run.path))["missing_epochs"] == [1]
    assert np.isnan(open_run(run.path).trajectory("loss")[1]).tolist() == [False, False, True, True]


@pytest.mark.parametrize("place", ["/proc/run", "/dev/null/run"])
def test_a_place_that_cannot_be_written_is_refused(place: str) -> None:
    with pytest.raises(RunError, match=r"Fix|fix|permissions|Choose"):
        runs.begin(Path(place))


def test_clocks_that_go_back_change_nothing(tmp_path: Path, reference: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the clock of the wall nor the times of the files say what comes after what."""
    clock = itertools.count(2e9, -3600)
    monkeypatch.setattr("time.time", lambda: next(clock))
    crashes.train_epochs(tmp_path / "run", 3, lambda recorder, _: recorder.end_epoch() and None)
    for age, file in enumerate(sorted((tmp_path / "run").rglob("*.parquet"))):
        os.utime(file, (1e9 - age, 1e9 - age))
    run = open_run(tmp_path / "run")
    assert run.epoch_numbers == (0, 1, 2)
    assert (run.epochs()["seconds"] >= 0).all()
    for name in ("alignment", "pred"):
        np.testing.assert_array_equal(run.trajectory(name), reference.trajectory(name)[:3])
