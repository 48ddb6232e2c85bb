"""The command line in a process of its own: results on stdout, messages on stderr, exit statuses."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gwa_attrib as gwa
from tests.commands import call_command as run
from tests.small_runs import blobs, record_run


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
    found, *verdict, path = done.stdout.strip().splitlines()
    assert "suspects" in found
    assert any("NOT LEARNT" in line for line in verdict), "one epoch on 100 pictures"
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


def test_apply_says_what_comes_next_as_a_shell_takes_it(folder: Path, tmp_path: Path) -> None:
    home, named = tmp_path / "at home", tmp_path / "my run"
    named.symlink_to(folder)
    done = run("apply", named, "--auto", "drop", "--below", 0.8, "--out=~/the copy", env={"HOME": str(home)})
    assert done.returncode == 0, done.stderr
    counts, path = done.stdout.splitlines()
    assert "samples left" in counts
    assert Path(path) == home / "the copy" / "digits.npz"
    assert Path(path).exists()
    calls = [line.partition(": ")[2] for line in done.stderr.splitlines() if ": gwa-attrib " in line]
    verify, audit = map(shlex.split, calls)
    assert verify == ["gwa-attrib", "verify", str(named), "--auto", "drop", "--below", "0.8"]
    assert audit == ["gwa-attrib", "audit", path, "--out", f"{named}-cleaned", "--budget", "fast"]
    again = run(*audit[1:], "--epochs", 1, "--json")
    assert json.loads(again.stdout)["samples"] == int(counts.split(", ")[2].split()[0])


def test_apply_to_a_run_of_ones_own_says_what_to_do_in_python(tmp_path: Path) -> None:
    x, labels = blobs(120, 4, 10)
    record_run(tmp_path / "run", x, labels, "abcd")
    done = run("apply", tmp_path / "run", "--auto", "drop")
    assert done.returncode == 2
    assert "training loop of its own" in done.stderr.splitlines()[0]
    assert ".to_torch(dataset)" in done.stderr


def test_one_seed_gives_no_interval_and_verify_says_so(folder: Path) -> None:
    one = run("verify", folder, "--auto", "drop", "--below", 0.9, "--seeds", 1)
    assert one.returncode == 0
    assert "no interval" in one.stderr
    assert "interval" not in one.stdout
    assert "NaN" not in one.stdout
    assert "low" not in one.stdout
    page = run("report", folder).stdout.strip()
    assert "without intervals" in Path(page).read_text(encoding="utf-8")


def test_a_limit_of_time_has_two_names_of_which_one_is_shown(folder: Path, tmp_path: Path) -> None:
    words = ["compare", folder, "--truth", "label_before_flip", "--methods", "aum", "--json", "--out", tmp_path]
    for name in ("--time-limit", "--patience"):
        assert json.loads(run(*words, name, 50).stdout)["time_limit"] == 50
    assert run(*words, "--time-limit", 50, "--patience", 50).returncode == 2
    shown = run("compare", "--help").stdout
    assert "--time-limit" in shown
    assert "--patience" not in shown


def test_issues_are_in_the_order_in_which_one_looks_at_them(folder: Path, tmp_path: Path) -> None:
    run("export", folder, "--to", "csv", "--out", tmp_path / "again.csv")
    for path in (folder / "issues.csv", tmp_path / "again.csv"):
        table = pd.read_csv(path)
        assert list(table)[:6] == ["key", "given_label", "predicted_label", "is_label_issue", "label_score", "rank"]
        assert table["rank"].tolist() == list(range(1, 201))
        assert (table["mislabeled"].diff().dropna() <= 0).all()
    assert pd.read_parquet(folder / "issues.parquet").index.tolist() == list(range(200))


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
def test_wrong_input_ends_with_2_and_says_first_what_is_wrong(name: str, tmp_path: Path) -> None:
    words, named = bad_inputs(tmp_path)[name]
    done = run(*words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    first, *others = done.stderr.splitlines()
    assert first.startswith("gwa-attrib: ")
    assert "xpected" in done.stderr
    assert others
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
    assert (tmp_path / "taken" / "thesis.txt").exists()


def test_an_unknown_analysis_ends_with_2(folder: Path) -> None:
    done = run("rank", folder, "--by", "leverage")
    assert done.returncode == 2
    assert "mislabeled" in done.stderr


WRONG_USE = {
    "audit digits": "Missing option '--out'",
    "audit digits --out x --epochs 0": "'--epochs'",
    "fly": "'fly'",
    "audits": "Did you mean 'audit'",
    "--nothing": "--nothing",
    "rank": "'RUN'",
    "": "which verb?",
}


@pytest.mark.parametrize("words", WRONG_USE)
def test_wrong_usage_ends_with_2_and_says_first_what_is_wrong(words: str, tmp_path: Path) -> None:
    done = run(*words.split(), cwd=tmp_path)
    first, *others = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert first.startswith("gwa-attrib: ")
    assert WRONG_USE[words] in first
    assert others


def test_what_looks_like_a_line_of_ours_in_a_name_is_none(tmp_path: Path) -> None:
    done = run("rank", f"{tmp_path}/a\ngwa-attrib: all is well")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("gwa-attrib: ")] == done.stderr.splitlines()[
        :1
    ]
