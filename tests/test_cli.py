"""The command line in a process of its own: results on stdout, messages on stderr, exit statuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import blobs, record_run

import gwa_attrib as gwa


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "gwa_attrib.cli", *map(str, words)]


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small audit, made by the command."""
    out = tmp_path_factory.mktemp("cli") / "run"
    done = run(
        "audit", "digits", "--out", out, "--limit", 200, "--epochs", 3, "--budget", "fast", "--flip", 0.1, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 200
    return out


def test_a_run_is_read_by_its_address(folder: Path) -> None:
    pytest.importorskip("upath", reason="needs the extra remote")
    address = f"file://{folder}"
    for words in (("rank", "--by", "mislabeled", "-k", 3), ("inspect",)):
        verb, *options = words
        there, here = (run(verb, where, *options, "--json") for where in (address, folder))
        assert there.returncode == here.returncode == 0, there.stderr
        found, expected = (json.loads(done.stdout) | {"run": ""} for done in (there, here))
        assert found == expected
    done = run("report", address)
    assert done.returncode == 2
    assert "Name a file or folder here" in done.stderr


def test_audit_ends_with_the_path_of_the_report_and_a_line_of_what_was_found(folder: Path, tmp_path: Path) -> None:
    done = run("audit", "digits", "--out", tmp_path / "r", "--limit", 100, "--epochs", 1, "--budget", "fast")
    *_, found, path = done.stdout.strip().splitlines()
    assert "suspects" in found
    assert Path(path).exists()
    assert done.returncode == 0


def test_rank_prints_the_worst_and_writes_all(folder: Path, tmp_path: Path) -> None:
    printed = json.loads(run("rank", folder, "--by", "aum", "-k", 5, "--json").stdout)
    assert [row["sample_id"] for row in printed["samples"]] == gwa.rank(gwa.open_run(folder), "aum").top(5).tolist()
    assert printed["suspect"] == "low"
    done = run("rank", folder, "-k", 3, "--out", tmp_path / "all.csv")
    assert len(done.stdout.strip().splitlines()) == 1 + 1 + 3
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 201


def test_rank_of_a_layer(tmp_path: Path) -> None:
    x, labels = blobs(120, 4, 10)
    recorded = record_run(tmp_path / "run", x, labels, "abcd", layers=["weight"])
    printed = json.loads(run("rank", tmp_path / "run", "--by", "grand", "--layer", "weight", "-k", 5, "--json").stdout)
    expected = gwa.rank(recorded, "grand", layer="weight").top(5)
    assert [row["sample_id"] for row in printed["samples"]] == expected.tolist()
    for by, layer, word in [("aum", "weight", "--layer"), ("grand", "head", "weight")]:
        done = run("rank", tmp_path / "run", "--by", by, "--layer", layer)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_stop_says_which_epoch_each_rule_would_have_chosen(folder: Path) -> None:
    rows = {row["rule"]: row for row in json.loads(run("stop", folder, "--json").stdout)["rules"]}
    opened = gwa.open_run(folder)
    for rule in ("paper", "mean_alignment", "label_wave", "last"):
        assert rows[rule]["epoch"] == gwa.choose_epoch(opened, rule).epoch
    assert rows["validation"]["epoch"] is None
    assert "val_accuracy" in rows["validation"]["reason"]
    one = run("stop", folder, "--rule", "validation", "--metric", "train_accuracy")
    assert one.returncode == 0
    assert "train_accuracy" in one.stdout
    for wrong, word in ((["--rule", "best"], "label_wave"), (["--rule", "validation"], "val_accuracy")):
        done = run("stop", folder, *wrong)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_inspect_says_what_is_in_a_run(folder: Path) -> None:
    facts = json.loads(run("inspect", folder, "--json").stdout)
    assert (facts["samples"], facts["epochs"], facts["missing_epochs"], facts["status"]) == (200, 3, [], "complete")
    assert facts["observations"] == 600
    assert "alignment" in run("inspect", folder).stdout


def test_groups_and_the_samples_that_are_harmful(folder: Path) -> None:
    printed = json.loads(run("groups", folder, "--by", "cluster", "--json").stdout)
    assert sum(group["samples"] for group in printed["groups"]) == 200
    assert "class pair" not in run("groups", folder).stderr
    rows = json.loads(run("rank", folder, "--by", "harmful", "-k", 4, "--json").stdout)["samples"]
    assert rows[0]["reason"]


def test_decisions_are_applied_and_verified(folder: Path, tmp_path: Path) -> None:
    done = run("apply", folder, "--auto", "drop", "--below", 0.9, "--out", tmp_path / "clean", "--json")
    assert done.returncode == 0, done.stderr
    applied = json.loads(done.stdout)
    with np.load(applied["path"]) as file:
        assert len(file["y"]) == applied["left"] == 200 - applied["dropped"]
    assert applied["dropped"] > 0
    csv = gwa.decide(gwa.open_run(folder), "drop", below=0.9).write(tmp_path / "decisions.csv")
    again = json.loads(run("apply", folder, csv, "--out", tmp_path / "again", "--json").stdout)
    assert again["dropped"] == applied["dropped"]
    found = json.loads(run("verify", folder, "--decisions", csv, "--seeds", 1, "--json").stdout)
    assert {row["comparison"] for row in found["changes"]} >= {"decisions - as it is"}
    assert "Accuracy: as it is" in run("verify", folder, "--decisions", csv, "--seeds", 1).stdout
    for words in (["--auto", "drop", "--decisions", csv], [], ["--decisions", csv, "--below", 0.4]):
        assert run("verify", folder, *words, "--seeds", 1).returncode == 2


def test_report_is_written_again(folder: Path, tmp_path: Path) -> None:
    done = run("report", folder, "--out", tmp_path / "again.html")
    assert done.stdout.strip() == str(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text().lower().startswith("<!doctype html>")


def bad_inputs(folder: Path) -> dict[str, tuple[list[object], str]]:
    """Name: the words of a command, and what its message has to name."""
    x, y = np.zeros((6, 2)), np.array([0, 1, 0, 1, 0, 1])
    np.savez(folder / "no_y.npz", X=x)
    np.savez(folder / "lengths.npz", X=x, y=y[:4])
    np.savez(folder / "one_class.npz", X=x, y=y * 0)
    np.savez(folder / "nan.npz", X=np.full((6, 2), np.nan), y=y)
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.txt").write_text("mine")
    return {
        "missing file": (["audit", folder / "nothing.csv", "--out", folder / "o"], "nothing.csv"),
        "no labels": (["audit", folder / "no_y.npz", "--out", folder / "o"], "y"),
        "lengths": (["audit", folder / "lengths.npz", "--out", folder / "o"], "4"),
        "one class": (["audit", folder / "one_class.npz", "--out", folder / "o"], "class"),
        "not a number": (["audit", folder / "nan.npz", "--out", folder / "o"], "NaN"),
        "no label column": (["audit", folder / "table.csv", "--out", folder / "o"], "label"),
        "taken folder": (["audit", "digits", "--out", folder / "taken", "--overwrite"], "taken"),
        "no run": (["rank", folder / "taken"], "run.json"),
    }


BAD = "missing file", "no labels", "lengths", "one class", "not a number", "no label column", "taken folder", "no run"


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_ends_with_2_and_one_message_of_three_parts(name: str, tmp_path: Path) -> None:
    words, named = bad_inputs(tmp_path)[name]
    done = run(*words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("gwa-attrib: Expected ")
    assert " Found " in done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
    assert (tmp_path / "taken" / "thesis.txt").exists()


def test_an_unknown_analysis_ends_with_2(folder: Path) -> None:
    done = run("rank", folder, "--by", "leverage")
    assert done.returncode == 2
    assert "mislabeled" in done.stderr


@pytest.mark.parametrize("words", [["audit", "digits"], ["audit", "digits", "--out", "x", "--epochs", "0"], ["fly"]])
def test_wrong_usage_ends_with_2(words: list[str], tmp_path: Path) -> None:
    assert run(*words, cwd=tmp_path).returncode == 2


def test_ctrl_c_leaves_a_readable_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = command("audit", "digits", "--out", out, "--limit", 400, "--epochs", 500, "--budget", "fast")
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while len(list(out.glob("epochs/*.parquet"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "can be read" in stderr
    opened = gwa.open_run(out)
    assert opened.info["status"] == "interrupted"
    assert len(opened.epoch_numbers) >= 2
    assert len(gwa.rank(opened)) == 400
