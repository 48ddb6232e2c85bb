"""A file is there whole or not at all, and a failed write leaves the one before it untouched."""

import os
import stat
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from gwa_attrib.errors import RunError, RunExistsError
from gwa_attrib.files.whole import whole_file, whole_folder, write_text
from gwa_attrib.store import open_run
from gwa_attrib.store.schema import PartName
from tests.store import written_runs as runs

PLACES = pytest.mark.parametrize("of_a_run", [True, False])


def fail(writing: AbstractContextManager[Path], error: BaseException, *, folder: bool = False) -> None:
    with writing as half:
        if folder:
            (half / "deep").mkdir(parents=True)
        (half / "deep" / "file" if folder else half).write_text("half")
        raise error


def left_over(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def within(root: Path, of_a_run: bool) -> dict[str, Path]:
    return {"within": root} if of_a_run else {}


@PLACES
def test_the_file_appears_only_when_it_is_complete(tmp_path: Path, of_a_run: bool) -> None:
    target = tmp_path / "data" / "file"
    with whole_file(target, **within(tmp_path, of_a_run)) as half:
        half.write_text("all of it")
        assert (half.parent == target.parent) is not of_a_run
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert left_over(tmp_path) == [target]


@PLACES
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError("no")])
def test_an_error_of_the_disk_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, error: OSError, of_a_run: bool
) -> None:
    target, options = tmp_path / "data" / "file", within(tmp_path, of_a_run)
    write_text(target, "old", **options)
    with pytest.raises(RunError, match=r"data/file.*Free space") as caught:
        fail(whole_file(target, **options), error)
    assert caught.value.__cause__ is error
    assert target.read_text() == "old"
    assert left_over(tmp_path) == [target]


@PLACES
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), SystemExit(1)])
def test_any_other_interruption_passes_through(tmp_path: Path, error: BaseException, of_a_run: bool) -> None:
    with pytest.raises(type(error)):
        fail(whole_file(tmp_path / "file", **within(tmp_path, of_a_run)), error)
    with pytest.raises(type(error)):
        fail(whole_folder(tmp_path / "folder"), error, folder=True)
    assert left_over(tmp_path) == []
    assert not list(tmp_path.glob(".*"))


def test_a_name_as_long_as_the_system_takes_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("ü" * 126 + ".md"), "x")
    assert [path.name for path in left_over(tmp_path)] == ["ü" * 126 + ".md"]


def test_what_cannot_be_written_is_an_error_of_three_parts(tmp_path: Path) -> None:
    (tmp_path / "_tmp").write_text("in the way")
    (tmp_path / "folder").mkdir()
    for target, options in [
        (tmp_path / "data" / "file", {"within": tmp_path}),
        (tmp_path / "_tmp" / "below a file", {}),
        (tmp_path / "folder", {}),
    ]:
        with pytest.raises(RunError, match=f"able to write {target}. Found .*Free space"):
            write_text(target, "x", **options)
    assert left_over(tmp_path) == [tmp_path / "_tmp"]


def test_a_folder_is_new_or_empty(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    for _ in range(2):
        with whole_folder(target) as half:
            half.mkdir()
            assert not target.exists() or not list(target.iterdir())
            (half / "a").write_text("1")
        assert [path.name for path in target.iterdir()] == ["a"]
        (target / "a").unlink()
    (target / "mine").write_text("mine")
    for taken in (target, target / "mine"):
        with pytest.raises(RunExistsError, match="nothing is overwritten"), whole_folder(taken):
            raise AssertionError
    assert left_over(tmp_path) == [target / "mine"]


def test_writing_an_epoch_twice_keeps_the_second(tmp_path: Path) -> None:
    writer = runs.begin(tmp_path / "run")
    writer.write_samples(runs.samples(range(4)))
    for value in (1.0, 2.0):
        writer.write_observations(PartName(0), runs.table(PartName(0), [runs.row(0, loss=value)]))
    assert open_run(tmp_path / "run").trajectory("loss")[0, 0] == 2.0
    assert not list((tmp_path / "run" / "_tmp").iterdir())


@PLACES
def test_a_file_is_durable_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_a_run: bool) -> None:
    """Its content reaches the disk, then its name, then the folder that holds the name."""
    events: list[tuple[str, bool]] = []
    target = tmp_path / "data" / "file"
    real = os.fsync

    def fsync(handle: int) -> None:
        events.append(("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file", target.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(target, "x", **within(tmp_path, of_a_run))
    assert events == [("file", False), ("folder", True)]


WRITE = """
import sys, pandas as pd
from pathlib import Path
from gwa_attrib.files.frames import write_frame
frame = pd.DataFrame({"number": range(500), "text": ["a longer text"] * 500})
for _ in range(60):
    for suffix in ("csv", "parquet"):
        write_frame(frame, Path(sys.argv[1]) / f"issues.{suffix}")
"""


def test_two_processes_write_one_file_while_a_third_reads(tmp_path: Path) -> None:
    import pandas as pd

    csv, parquet = (tmp_path / f"issues.{suffix}" for suffix in ("csv", "parquet"))
    words = [sys.executable, "-W", "ignore", "-c", WRITE, str(tmp_path)]
    writers = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    read = 0
    while running := [writer for writer in writers if writer.poll() is None]:
        for path, table in ((csv, pd.read_csv), (parquet, pd.read_parquet)):
            if path.exists():
                assert len(table(path)) == 500
                read += len(running) == 2
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said
    assert read > 10
    assert sorted(csv.parent.iterdir()) == [csv, parquet]
