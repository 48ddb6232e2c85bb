"""After ``kill -9`` of one of two processes, or of both, what is there is whole, and at most the open epoch is lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.store import Run, inspect, open_run
from tests.recording.processes.kills import RANKS, SAMPLES

KILLS = int(os.environ.get("GWA_KILLS", "12"))
"""More of them: ``GWA_KILLS=200 python -m pytest tests/recording/processes/test_kills.py -m slow``."""


def program(folder: Path, *kinds: str) -> Path:
    program = Path(__file__).with_name("kills.py")
    done = subprocess.run([sys.executable, str(program), str(folder), *kinds], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(tmp_path_factory.mktemp("kills"), "undisturbed=20", "time=3")


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(tmp_path_factory.mktemp("operations"), "operation=18") / "operation"


@pytest.fixture(scope="module")
def reference(folder: Path) -> Run:
    return open_run(folder / "undisturbed" / "0")


def check_whole(path: Path, reference: Run) -> tuple[int, bool]:
    """How many epochs are whole, and whether a part of one more is there; `inspect` says the same."""
    notes = [Path(f"{path}.{rank}") for rank in range(RANKS)]
    acknowledged = max(len(note.read_text().split()) if note.exists() else 0 for note in notes)
    for file in (file for file in path.rglob("*.parquet") if file.parent.name != "_tmp"):
        pq.read_table(file)
    if not (path / "run.json").exists():
        assert acknowledged == 0
        return 0, False
    run = open_run(path)
    files = [sorted((path / "observations").glob(f"epoch={epoch:05d}-*")) for epoch in range(500)]
    whole = next(epoch for epoch, there in enumerate(files) if len(there) < RANKS)
    part = bool(files[whole])
    assert not any(files[whole + 1 :])
    assert acknowledged <= whole <= acknowledged + 1
    facts = inspect(run)
    assert facts["open_epoch"] == whole
    assert facts["epochs"] == whole + part
    rows = [len(list((path / "epochs").glob(f"epoch={epoch:05d}-*"))) for epoch in range(whole + part)]
    assert facts["missing_epochs"] == [e for e in range(whole + part) if min(rows[e], len(files[e])) < RANKS]
    if whole:
        compared = min(whole, len(reference.epoch_numbers))
        for name in ("alignment", "loss", "pred"):
            np.testing.assert_array_equal(run.trajectory(name)[:compared], reference.trajectory(name)[:compared])
    if part:
        seen = np.isfinite(run.trajectory("alignment")[whole]).reshape(-1, RANKS)
        assert seen.all(axis=0).sum() == 1
        assert not seen.all()
    return whole, part


def check_all(folder: Path, reference: Run) -> list[tuple[int, bool]]:
    copies = sorted((int(note.stem) for note in folder.glob("*.meet")), key=int)
    return [check_whole(folder / str(i), reference) for i in copies]


@pytest.mark.slow
def test_killed_before_any_file_operation(operations: Path, reference: Run) -> None:
    """The one process or the other, before its operation 0, 1, 2...: the later, the more epochs are safe."""
    found = check_all(operations, reference)
    assert len(found) == 18
    for rank in range(RANKS):
        whole = [epochs for epochs, _ in found[rank::RANKS]]
        assert whole == sorted(whole)
        assert whole[0] == 0
    assert max(epochs for epochs, _ in found) >= 1


def test_killed_at_any_time(folder: Path, reference: Run) -> None:
    found = check_all(folder / "time", reference)
    assert len(found) == 3
    assert max(epochs for epochs, _ in found) > 0


def test_one_process_can_go_on_alone(folder: Path, reference: Run) -> None:
    """After the last epoch that was written to its end; what is there of the next is given up."""
    for path in sorted((folder / "time").glob("*/run.json")):
        check_whole(path.parent, reference)
        found = open_run(path.parent)
        written = next(iter(inspect(found)["missing_epochs"]), len(found.epoch_numbers))
        recorder = gwa.record(nn.Linear(5, 3), path.parent, num_samples=SAMPLES, resume=True)
        assert len(recorder.epochs()) == written
        facts = inspect(open_run(path.parent))
        assert (facts["epochs"], facts["missing_epochs"]) == (written, [])


@pytest.mark.slow
def test_killed_at_very_many_times(tmp_path: Path, reference: Run) -> None:
    assert len(check_all(program(tmp_path, f"time={KILLS}") / "time", reference)) == KILLS
