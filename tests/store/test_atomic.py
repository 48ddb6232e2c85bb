"""A file is there whole or not at all, and a failed write leaves the one before it untouched."""

import os
import stat
from pathlib import Path

import pytest

from gwa_attrib.errors import RunError
from gwa_attrib.store.atomic import atomic_write
from gwa_attrib.store.schema import PartName
from store import runs


def fail_after(text: str, error: BaseException):
    def write(file: Path) -> None:
        file.write_text(text)
        raise error

    return write


def left_over(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_the_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "data" / "file"

    def write(half: Path) -> None:
        half.write_text("all of it")
        assert half.parent != target.parent
        assert not target.exists()

    atomic_write(tmp_path, target, write)
    assert target.read_text() == "all of it"
    assert left_over(tmp_path) == [target]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError("no")])
def test_an_error_of_the_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path, error: OSError) -> None:
    target = tmp_path / "data" / "file"
    atomic_write(tmp_path, target, lambda half: half.write_text("old") and None)
    with pytest.raises(RunError, match=r"data/file.*Free space") as caught:
        atomic_write(tmp_path, target, fail_after("half", error))
    assert caught.value.__cause__ is error
    assert target.read_text() == "old"
    assert left_over(tmp_path) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), SystemExit(1)])
def test_any_other_interruption_passes_through(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        atomic_write(tmp_path, tmp_path / "data" / "file", fail_after("half", error))
    assert left_over(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "_tmp").write_text("in the way")
    with pytest.raises(RunError, match="data"):
        atomic_write(tmp_path, tmp_path / "data" / "file", lambda half: half.write_text("x") and None)


def test_writing_an_epoch_twice_keeps_the_second(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run")
    writer.write_samples(runs.samples(range(4)))
    for value in (1.0, 2.0):
        writer.write_observations(PartName(0), runs.table(PartName(0), [runs.row(0, loss=value)]))
    from gwa_attrib.store import open_run

    assert open_run(tmp_path / "run").trajectory("loss")[0, 0] == 2.0
    assert not list((tmp_path / "run" / "_tmp").iterdir())


def test_a_file_is_durable_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content reaches the disk, then its name, then the folder that holds the name."""
    events: list[tuple[str, bool]] = []
    target = tmp_path / "data" / "file"
    real = os.fsync

    def fsync(handle: int) -> None:
        events.append(("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file", target.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic_write(tmp_path, target, lambda half: half.write_text("x") and None)
    assert events == [("file", False), ("folder", True)]
