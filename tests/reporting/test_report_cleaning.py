"""The section on cleaning: how to get it, what was measured, and a file that somebody else has written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import RunFormatError
from gwa_attrib.evaluation.verification import BY_CLASS, CHANGE, Verification, kept_verification
from gwa_attrib.store import Run
from tests.reporting.hostile import EVIL
from tests.reporting.markup import read_page
from tests.small_runs import blobs, record_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return record_run(tmp_path / "run", *blobs(60, 3, 6), "abc", epochs=2)


def verification(names: list[str], *, seeds: int = 3) -> Verification:
    nothing = [np.nan, np.nan] if seeds == 1 else None
    changes = {
        "decisions - as it is": [0.025, *(nothing or [0.01, 0.04])],
        "decisions - random removal": [0.03, *(nothing or [0.02, 0.04])],
        "random removal - as it is": [-0.005, *(nothing or [-0.015, 0.005])],
    }
    classes = {name: [20, 0.5, 0.5 + i / 50, i / 50, *(nothing or [i / 50 - 0.1, i / 50 + 0.1])]
               for i, name in enumerate(names)}  # fmt: skip
    return Verification(
        pd.DataFrame.from_dict(changes, orient="index", columns=list(CHANGE)).rename_axis(index="comparison"),
        pd.Series({"as it is": 0.5, "decisions": 0.525, "random removal": 0.495}, name="accuracy"),
        pd.DataFrame.from_dict(classes, orient="index", columns=list(BY_CLASS)).rename_axis(index="class"),
        {"by": "test", "asked_of": "test.npz", "asked": 60, "trained_on": 60, "dropped": 6, "relabelled": 1,
         "seeds": seeds, "also_trained_on": 0},
    )  # fmt: skip


def section(run: Run) -> object:
    return read_page(gwa.report(run)).by_id("cleaning")


def test_before_anything_was_measured_nothing_is_there(run: Run) -> None:
    page = read_page(gwa.report(run))
    assert not [node for node in page.all("section") if node.attributes["id"] == "cleaning"]
    assert "gwa-attrib verify" not in page.by_id("after").text, "nothing to train again: no audit made this run"


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_is_kept_is_read_and_shown(run: Run, seeds: int) -> None:
    made = verification(["a", "b", "c"], seeds=seeds)
    made.keep(run)
    kept = kept_verification(run)
    assert kept is not None
    assert kept.to_dict() == made.to_dict()
    found = section(run)
    assert len(found.all("svg")) == 1
    text = " ".join(found.text.replace("\u00a0", " ").split())
    assert "50.0 % as it was, 52.5 % with the decisions: 6 samples dropped and 1 sample relabelled" in text
    assert "+2.50" in text
    assert ("+1.00 to +4.00" in text) == (seeds > 1)
    assert "–0.50" not in text
    assert "−0.50" in text


def test_of_another_run_in_the_same_folder_nothing_is_shown(run: Run) -> None:
    verification(["a"]).keep(run)
    again = record_run(run.path, *blobs(60, 3, 6), "abc", epochs=2, overwrite=True)
    assert kept_verification(again) is None
    verification(["a"]).keep(run)  # as if written late, by the former run
    assert kept_verification(again) is None


def test_names_are_text(run: Run) -> None:
    verification([*EVIL, *(f"class {i}" for i in range(40))]).keep(run)
    found = section(run)
    assert not found.all("script", "img")
    assert sum("class 39" in node.text for node in found.all("tr")) == 1


@pytest.mark.parametrize(
    "change",
    [{"accuracy": None}, {"changes": 3}, {"changes": [{"comparison": "a"}]}, {"classes": [{}]}, {"seeds": "many"}],
)
def test_a_damaged_file_is_named(run: Run, change: dict[str, object]) -> None:
    verification(["a", "b", "c"]).keep(run)
    file = run.path / "verification.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(RunFormatError, match=r"verification\.json"):
        kept_verification(run)
    for text in ("", "[]", "nonsense"):
        file.write_text(text)
        with pytest.raises(RunFormatError, match="Delete the file"):
            kept_verification(run)
