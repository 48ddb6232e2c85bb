"""A report made again: of the same data, as rich as before, and never in the place of a richer one."""

import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.reporting.build import SHOWS_SAMPLES
from gwa_attrib.reporting.source_data import truth_of
from gwa_attrib.store import Run


def table(path: Path, rows: int = 90) -> Path:
    """A table with a label that is wrong in its first rows, and the right one beside it under the name `label`."""
    draw = np.random.default_rng(0)
    a = draw.normal(size=rows)
    right = np.where(a > 0, "yes", "no")
    given = right.copy()
    given[:9] = np.where(right[:9] == "yes", "no", "yes")
    pd.DataFrame({"a": a, "noise": draw.normal(size=rows), "noisy": given, "label": right}).to_csv(path, index=False)
    return path


@pytest.fixture
def audited(tmp_path: Path) -> Any:
    return gwa.audit(
        table(tmp_path / "t.csv"), tmp_path / "run", budget="fast", epochs=3, label_column="noisy", truth="label"
    )


def shown(page: Path) -> str:
    return html.unescape(page.read_text(encoding="utf-8"))


def test_the_verified_labels_of_an_audit_are_found_again(audited: Any) -> None:
    run = gwa.open_run(audited.run)
    assert "extra_label" in run.samples
    assert truth_of(run, gwa.rank(run)) == audited.truth
    before = Path(audited.report).read_bytes()
    assert gwa.report(run).read_bytes() == before
    assert SHOWS_SAMPLES.encode() in before


def test_labels_before_a_flip_are_the_truth(tmp_path: Path) -> None:
    found = gwa.audit("digits", tmp_path / "run", limit=200, flip=0.2, epochs=2, budget="fast")
    run = gwa.open_run(found.run)
    assert truth_of(run, gwa.rank(run)) == found.truth
    assert found.truth["errors"] == 40


def test_a_column_that_two_names_could_mean_is_no_truth(audited: Any) -> None:
    run = gwa.open_run(audited.run)
    run.samples["extra_extra_label"] = "yes"
    assert truth_of(run, gwa.rank(run)) is None


def test_a_richer_report_is_not_replaced_by_a_poorer_one(audited: Any, tmp_path: Path) -> None:
    run, before = gwa.open_run(audited.run), Path(audited.report).read_bytes()
    (tmp_path / "t.csv").rename(tmp_path / "elsewhere.csv")
    with pytest.raises(InputError, match=r"could not be read again.*would lose its pictures, texts and values"):
        gwa.report(run)
    assert Path(audited.report).read_bytes() == before
    other = gwa.report(run, tmp_path / "other.html")
    assert SHOWS_SAMPLES not in other.read_text(encoding="utf-8")
    assert "The data could not be read again" in shown(other)
    gwa.report(run, tmp_path / "other.html")  # a poor one may be replaced by as poor a one
    frame = pd.read_csv(tmp_path / "elsewhere.csv")
    rows = [(torch.tensor([row.a, row.noise]), row.noisy) for row in frame.itertuples()]
    assert SHOWS_SAMPLES in gwa.report(run, data=rows).read_text(encoding="utf-8")


def test_what_is_no_report_of_this_run_is_replaced(audited: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").unlink()
    shutil.copytree(audited.run, tmp_path / "copy")
    info = json.loads((tmp_path / "copy" / "run.json").read_text())
    (tmp_path / "page.html").write_text(f"{SHOWS_SAMPLES} of another run")
    assert SHOWS_SAMPLES not in shown(gwa.report(gwa.open_run(tmp_path / "copy"), tmp_path / "page.html"))
    assert info["run_id"] in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_changed_data_are_not_shown_and_that_is_said(audited: Any, tmp_path: Path) -> None:
    frame = pd.read_csv(tmp_path / "t.csv")
    frame.loc[0, "a"] += 1
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert "is not what was audited" in shown(gwa.report(gwa.open_run(audited.run), tmp_path / "other.html"))


def test_data_in_another_order_are_refused(plain_run: Run, pictures: Any, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(pictures))
    with pytest.raises(InputError, match="in its order"):
        gwa.report(plain_run, tmp_path / "page.html", data=[pictures[i] for i in order])
    assert not (tmp_path / "page.html").exists()


def test_data_without_labels_are_shown_with_a_note(plain_run: Run, pictures: Any, tmp_path: Path) -> None:
    page = shown(gwa.report(plain_run, tmp_path / "page.html", data=[x for x, _ in pictures]))
    assert "in its order, could not be checked" in page
    assert SHOWS_SAMPLES in page


def test_dicts_are_shown(plain_run: Run, pictures: Any, tmp_path: Path) -> None:
    """As Lightning's and skorch's users have them."""
    dicts = [{"image": x, "labels": torch.tensor(y)} for x, y in pictures]
    pairs = gwa.report(plain_run, tmp_path / "pairs.html", data=pictures).read_text(encoding="utf-8")
    page = gwa.report(plain_run, tmp_path / "pairs.html", data=dicts).read_text(encoding="utf-8")
    assert page == pairs
    values = [{"x": x.flatten()[:3], "y": y} for x, y in pictures]
    assert SHOWS_SAMPLES in gwa.report(plain_run, tmp_path / "v.html", data=values).read_text(encoding="utf-8")
