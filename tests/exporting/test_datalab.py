"""Inside cleanlab's Datalab: what it gives back are our scores."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.exporting import datalab_issue, register_datalab
from gwa_attrib.store import Run
from tests.exporting.exported_runs import run_of

pytest.importorskip("cleanlab", reason="needs the extra datalab")
pytest.importorskip("datasets", reason="needs the extra datalab")
NAMES = ["cat", "dog", "bird"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("d"), NAMES)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab's and its dependencies' own
        yield


def datalab(labels: list[Any] | None, **options: Any) -> Any:
    from cleanlab import Datalab

    if labels is None:
        return Datalab({"x": list(range(60))}, verbosity=0, **options)
    return Datalab({"y": labels}, label_name="y", verbosity=0, **options)


def names_of(run: Run) -> list[str]:
    return [NAMES[label] for label in run.labels]


@pytest.mark.parametrize("form", ["names", "numbers", "no labels"])
def test_its_issues_are_our_scores(run: Run, form: str) -> None:
    labels: Any = {"names": names_of(run), "numbers": run.labels.tolist(), "no labels": None}[form]
    lab = datalab(labels)
    lab.find_issues(issue_types={"gwa": datalab_issue(run)})
    ours, found, info = gwa.rank(run).to_frame(), lab.get_issues("gwa"), lab.get_info("gwa")
    np.testing.assert_array_equal(found["gwa_score"], ours["label_score"])
    np.testing.assert_array_equal(found["is_gwa_issue"], ours["is_label_issue"])
    assert found["is_gwa_issue"].sum() >= 5
    assert info["given_label"] == ours["given_label"].tolist()
    assert info["predicted_label"] == ours["predicted_label"].tolist()
    summary = lab.get_issue_summary("gwa").iloc[0]
    assert summary["num_issues"] == ours["is_label_issue"].sum()
    assert summary["score"] == pytest.approx(ours["label_score"].mean())


def test_beside_its_own_issue_types(run: Run) -> None:
    lab = datalab(names_of(run))
    lab.find_issues(issue_types={"class_imbalance": {}, "gwa": datalab_issue(gwa.rank(run))})
    assert set(lab.get_issue_summary()["issue_type"]) == {"class_imbalance", "gwa"}
    for verbosity in range(5):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            lab.report(verbosity=verbosity, show_summary_score=True)
        assert "gwa issues" in printed.getvalue()
        worst = gwa.rank(run).to_frame()["label_score"].idxmin()
        assert f"\n{worst} " in printed.getvalue()


def test_registered_once(run: Run) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert register_datalab() is register_datalab()
        datalab_issue(run)
    assert printed.getvalue() == ""  # it prints when an issue type is replaced


def test_other_data_is_refused(run: Run) -> None:
    """Aloud: Datalab would print an error of the search and go on."""
    short, scores = names_of(run)[:-1], gwa.rank(run)
    with pytest.raises(InputError, match="scores of 59 samples"):
        datalab(short).find_issues(issue_types={"gwa": {"scores": scores}})
    with pytest.raises(InputError, match="scores of a run"):
        datalab(names_of(run)).find_issues(issue_types={"gwa": {}})
    moved = [*names_of(run)[1:], names_of(run)[0]]
    with pytest.raises(InputError, match="'dog' in row 0"):
        datalab(moved).find_issues(issue_types={"gwa": {"scores": scores}})
    numbers = [*run.labels.tolist()[1:], int(run.labels[0])]
    with pytest.raises(InputError, match="in row"):
        datalab(numbers).find_issues(issue_types={"gwa": {"scores": scores}})
    with pytest.raises(InputError, match="predicted_label"):
        datalab_issue(gwa.rank(run, "aum"))
    nothing = replace(scores, columns={**scores.columns, "label_score": np.full(60, np.nan)})
    with pytest.raises(InputError, match="at least one sample"):
        datalab(None).find_issues(issue_types={"gwa": {"scores": nothing}})


def test_a_sample_that_was_never_seen_has_no_score(tmp_path: Path) -> None:
    run = run_of(tmp_path, NAMES, seen=[np.delete(np.arange(60), 7)] * 6)
    labels = names_of(run)
    labels[7] = "cat"
    lab = datalab(labels)
    lab.find_issues(issue_types={"gwa": datalab_issue(run)})
    found = lab.get_issues("gwa")
    assert np.flatnonzero(found["gwa_score"].isna()).tolist() == [7]
    assert not found["is_gwa_issue"][7]
    exported = gwa.export(run, "datalab")
    assert exported.samples == 59


def test_the_folder_opens_in_datalab(run: Run, tmp_path: Path) -> None:
    from cleanlab import Datalab

    exported = gwa.export(run, "datalab", tmp_path / "lab")
    with contextlib.redirect_stdout(io.StringIO()):
        lab = Datalab.load(str(exported.path))
    pd.testing.assert_series_equal(
        lab.get_issues("gwa")["gwa_score"],
        gwa.rank(run).to_frame()["label_score"],
        check_names=False,
        check_index=False,
    )
    assert lab.class_names == sorted(NAMES)
    with pytest.raises(InputError, match="all samples"):
        gwa.export(run, "datalab", k=3)
    with pytest.raises(gwa.errors.RunExistsError, match="there already"):
        gwa.export(run, "datalab", tmp_path / "lab")
