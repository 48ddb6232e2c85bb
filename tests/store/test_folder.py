"""Where a run may be written, what overwriting deletes, and which files belong to a run."""

import shutil
from pathlib import Path

import pytest
import torch

from gwa_attrib.errors import RunError, RunExistsError
from gwa_attrib.store import open_run
from gwa_attrib.store.kept import checkpoints, save_checkpoint
from gwa_attrib.store.run_json import new_info
from gwa_attrib.store.schema import SIGNALS, PartName
from gwa_attrib.store.writer import RunWriter
from tests.store import written_runs as runs


def overwrite(path: Path) -> RunWriter:
    info = new_info(class_names=None, signals=SIGNALS, num_samples=4, config={})
    return RunWriter.create(path, info, overwrite=True)


def test_a_new_folder_and_an_empty_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "deep" / "er"):
        runs.begin(path)
        assert open_run(path).path == path


def test_a_folder_with_a_run_is_refused_and_names_the_way_out(tmp_path: Path) -> None:
    before = runs.three_epochs(tmp_path / "run")
    with pytest.raises(RunExistsError, match="overwrite=True"):
        runs.begin(tmp_path / "run")
    assert open_run(tmp_path / "run").info == before.info


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_no_run_is_never_taken(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "observations").mkdir()
    precious = tmp_path / "observations" / str(PartName(0))
    precious.write_text("mine")
    with pytest.raises(RunExistsError, match="no run"):
        overwrite(tmp_path) if replace else runs.begin(tmp_path)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_is_not_a_folder(tmp_path: Path, replace: bool) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(RunExistsError):
        overwrite(file) if replace else runs.begin(file)
    assert file.read_text() == "mine"


FOREIGN = ["notes.txt", "report.html", "observations/notes.txt", "epochs/plot.png", "_tmp/mine", "deep/er/file"]


def test_overwriting_leaves_foreign_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    runs.three_epochs(path)
    for name in FOREIGN:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    overwrite(path)
    assert {name for name in FOREIGN if (path / name).is_file()} == set(FOREIGN)
    assert open_run(path).epoch_numbers == ()


def test_overwriting_leaves_nothing_of_the_old_run(tmp_path: Path) -> None:
    old = runs.three_epochs(tmp_path / "run")
    (tmp_path / "run" / "_tmp").mkdir(exist_ok=True)
    observations = next((tmp_path / "run" / "observations").glob("*.parquet"))
    (tmp_path / "run" / "probe").mkdir()
    shutil.copy(observations, tmp_path / "run" / "probe" / observations.name)
    kept = save_checkpoint(tmp_path / "run", 2, {"weight": torch.zeros(2)})
    assert checkpoints(tmp_path / "run") == {2: kept}
    overwrite(tmp_path / "run")
    new = open_run(tmp_path / "run")
    assert new.info["run_id"] != old.info["run_id"]
    assert not list((tmp_path / "run").rglob("*.parquet"))
    assert checkpoints(tmp_path / "run") == {}


def test_overwriting_never_mixes_two_runs(tmp_path: Path) -> None:
    """Observations on another disk, behind a link: either they go, or overwriting fails; they never show up again."""
    path, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    runs.three_epochs(path)
    (path / "observations").rename(elsewhere)
    (path / "observations").symlink_to(elsewhere)
    try:
        overwrite(path)
    except RunError:
        return
    assert open_run(path).epoch_numbers == ()


def test_the_old_run_survives_a_new_one_that_cannot_be_described(tmp_path: Path) -> None:
    old = runs.three_epochs(tmp_path / "run")
    info = new_info(class_names=None, signals=SIGNALS, num_samples=4, config={"a": float("nan")})
    with pytest.raises(ValueError, match="config"):
        RunWriter.create(tmp_path / "run", info, overwrite=True)
    assert open_run(tmp_path / "run").info == old.info
    assert old.epoch_numbers == (0, 1, 2)


NOT_PARTS = [
    "notes.txt",
    "README.parquet",
    "epoch=00000.parquet",
    "epoch=0-rank=0-a0.parquet",
    "epoch=00000-rank=00000-a0.parquet.bak",
    "epoch=00000-rank=00000-a0.parquet~",
    "copy of epoch=00000-rank=00000-a0.parquet",
    "epoch=00009-rank=00000-a0.parquet\n",
    "epoch=٠٠٠٠٩-rank=٠٠٠٠٠-a٠.parquet",
    ".epoch=00009-rank=00000-a0.parquet",
    "epoch=-0009-rank=00000-a0.parquet",
]


@pytest.mark.parametrize("name", NOT_PARTS)
@pytest.mark.parametrize("folder", ["observations", "epochs"])
def test_files_that_are_not_of_the_run_are_ignored(tmp_path: Path, folder: str, name: str) -> None:
    run = runs.three_epochs(tmp_path / "run")
    expected = run.trajectory("loss")
    (run.path / folder / name).write_bytes(b"not parquet")
    again = open_run(run.path)
    assert (again.trajectory("loss") == expected)[0].all()
    assert again.epoch_numbers == (0, 1, 2)
    assert len(again.epochs()) == 3


@pytest.mark.parametrize("part", [PartName(0), PartName(99_999, 3, 12), PartName(100_000, 100_000, 0)])
def test_the_name_of_a_part_says_which_it_is(part: PartName) -> None:
    assert PartName.parse(Path("run") / str(part)) == part
