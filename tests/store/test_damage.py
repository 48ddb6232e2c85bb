"""A damaged run is refused with the name of the file, never read as something else."""

import json
from pathlib import Path
from typing import Any

import pytest

from gwa_attrib.errors import NotARunError, RunFormatError
from gwa_attrib.store import Run, inspect, open_run
from tests.store import written_runs as runs


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runs.three_epochs(tmp_path / "run")


@pytest.mark.parametrize("keep", [0, 1, 4, 100, -1, -8, -100])
def test_a_truncated_observations_file_is_named(run: Run, keep: int) -> None:
    file = runs.observation_files(run)[1]
    file.write_bytes(file.read_bytes()[:keep])
    for read in (lambda: run.trajectory("loss"), run.observations, lambda: list(run.by_epoch("pred"))):
        with pytest.raises(RunFormatError, match=file.name):
            read()


@pytest.mark.parametrize("what", ["epochs/epoch=00001-rank=00000-a0.parquet", "samples.parquet"])
def test_every_truncated_file_is_named(run: Run, what: str) -> None:
    file = run.path / what
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(RunFormatError, match=file.name):
        _ = (run.epochs(), run.samples)


@pytest.mark.parametrize("what", ["observations", "epochs"])
def test_inspecting_a_damaged_run_names_the_file(run: Run, what: str) -> None:
    file = sorted((run.path / what).iterdir())[2]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunFormatError, match=file.name):
        inspect(run)


def test_epochs_that_are_whole_can_still_be_read(run: Run) -> None:
    """As the error advises: move the damaged file away."""
    expected = run.trajectory("loss")
    runs.observation_files(run)[1].unlink()
    assert open_run(run.path).epoch_numbers == (0, 2)
    assert (open_run(run.path).trajectory("loss") == expected[[0, 2]]).all()
    assert inspect(open_run(run.path))["missing_epochs"] == [1]


def test_a_flipped_bit_is_never_read_as_another_number(run: Run) -> None:
    """Every third byte of the data, one bit each; the footer behind it describes the file and has its own checks."""
    file = runs.observation_files(run)[0]
    good, expected = file.read_bytes(), run.observations(epoch=0)
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    silent = []
    for position in range(4, footer, 3):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        file.write_bytes(bad)
        try:
            found = run.observations(epoch=0)
        except RunFormatError:
            continue
        if not found.equals(expected):
            silent.append(position)
    assert not silent, f"{len(silent)} of {footer // 3} flips were read as other values"


def test_a_column_that_is_not_there_is_named(run: Run) -> None:
    with pytest.raises(RunFormatError, match=r"nonsense.*epoch=00000.*signals"):
        run.observations(("sample_id", "nonsense"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"schema_version"',
        "{}",
        '{"schema_version": 1}',
        '{"schema_version": 1, "run_id": "x"',
        "\x00\x01",
    ],
)
def test_a_damaged_run_json_is_named(run: Run, text: str) -> None:
    (run.path / "run.json").write_text(text)
    with pytest.raises(RunFormatError, match=r"run\.json"):
        open_run(run.path)


def test_a_run_json_that_is_no_text_is_named(run: Run) -> None:
    (run.path / "run.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(RunFormatError, match=r"run\.json"):
        open_run(run.path)


@pytest.mark.parametrize("version", [0, 2, 999, "1", None, 1.5])
def test_another_schema_version_is_refused_with_the_way_out(run: Run, version: Any) -> None:
    info = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**info, "schema_version": version}))
    with pytest.raises(RunFormatError, match=r"schema version 1.*version of gwa_attrib that wrote it"):
        open_run(run.path)


def test_facts_that_a_later_version_adds_do_no_harm(run: Run) -> None:
    info = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**info, "mood": "sunny"}))
    assert open_run(run.path).class_names == ("a", "b", "c")


def test_no_folder_an_empty_folder_and_a_file_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}")
    for name, found in {"missing": "no such folder", "empty": "no run.json", "file": "no run.json"}.items():
        with pytest.raises(NotARunError, match=found):
            open_run(tmp_path / name)


def test_a_run_without_an_epoch_says_so(tmp_path: Path) -> None:
    """Interrupted in its first epoch: nothing is damaged, there is just nothing to see yet."""
    runs.begin(tmp_path / "run")
    run = open_run(tmp_path / "run")
    for read in (lambda: run.trajectory("loss"), run.observations, lambda: run.samples):
        with pytest.raises(RunFormatError, match="end_epoch"):
            read()
    assert run.epochs().empty
    assert {"mean", "gwa", "coverage"} <= set(run.epochs().columns)
    assert inspect(run)["epochs"] == 0


def test_reading_writes_nothing(run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    run.trajectory("loss")
    run.epochs()
    inspect(run)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
