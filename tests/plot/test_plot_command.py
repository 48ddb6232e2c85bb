"""``gwa-attrib report RUN --figures FOLDER``, as a user calls it."""

import json
import subprocess
from pathlib import Path

from gwa_attrib.store import Run
from tests.commands import call_command
from tests.small_runs import blobs, record_run


def called(*words: object) -> subprocess.CompletedProcess[str]:
    return call_command("report", *words)


def test_the_report_and_its_pictures_as_files(hostile: Run, tmp_path: Path) -> None:
    done = called(hostile.path, "--out", tmp_path / "report.html", "--figures", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(tmp_path / "report.html")
    names = ["alignments", "trajectories", "data_map", "noise_matrix", "stopping", "label_scores"]
    expected = [str(tmp_path / "figures" / f"{name}.{kind}") for name in names for kind in ("svg", "png")]
    assert done.stdout.splitlines()[1:] == expected
    assert all(Path(path).is_file() for path in expected)
    assert "no removal_curves: those come with the report of gwa-attrib compare --removal" in done.stderr


def test_as_json(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 4)
    record_run(tmp_path / "one", x, labels, ["a", "\ue123", "c"], epochs=1)
    done = called(tmp_path / "one", "--figures", tmp_path / "figures", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert sorted(figures["missing"]) == ["data_map", "removal_curves"]
    assert figures["boxes"] == ["noise_matrix"]
    assert figures["written"]["alignments"] == [str(tmp_path / "figures" / f"alignments.{k}") for k in ("svg", "png")]


def test_without_the_option_nothing_is_said_of_figures(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 4)
    record_run(tmp_path / "run", x, labels, ["a", "b", "c"], epochs=2)
    done = called(tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"report": str(tmp_path / "run" / "report.html")}


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    x, labels = blobs(60, 3, 4)
    record_run(tmp_path / "run", x, labels, ["a", "b", "c"], epochs=2)
    (tmp_path / "file").write_text("")
    done = called(tmp_path / "run", "--figures", tmp_path / "file")
    assert done.returncode != 0
    assert f"to be able to write {tmp_path / 'file'}" in done.stderr
    assert "Traceback" not in done.stderr
