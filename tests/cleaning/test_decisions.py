"""decisions.csv comes back whole from people and spreadsheets, and is refused where it is about something else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gwa_attrib as gwa
from gwa_attrib.cleaning.decisions import COLUMNS, EVEN, decisions_of
from gwa_attrib.errors import InputError
from gwa_attrib.store import Run
from tests.small_runs import blobs, record_run

NAMES = ["cat", "=1+1", "-1", 'he said "no", twice']


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, labels = blobs(120, 4, 12)
    keys = ["=cmd()", "007", "a,b", "naïve 数.png", *(f"photos/{i}.png" for i in range(4, 120))]
    return record_run(tmp_path_factory.mktemp("d") / "run", x, labels, NAMES, keys=keys)


@pytest.fixture
def file(run: Run, tmp_path: Path) -> Path:
    return gwa.decide(run, "relabel").write(tmp_path / "decisions.csv")


def changed(file: Path, **columns: object) -> Path:
    frame = pd.read_csv(file, dtype=str, keep_default_na=False).assign(**columns)
    frame.to_csv(file, index=False)
    return file


def test_what_the_ranking_decides(run: Run) -> None:
    scores = gwa.rank(run).to_frame()
    sure = scores[scores["label_score"] < EVEN]
    assert len(sure) >= 10
    drop, relabel = gwa.decide(run, "drop"), gwa.decide(run, "relabel")
    assert drop.sample_ids.tolist() == relabel.sample_ids.tolist() == sure.index.tolist()
    assert drop.counts == {"keep": 0, "relabel": 0, "drop": len(sure)}
    assert [NAMES[label] for label in relabel.labels] == sure["predicted_label"].tolist()
    assert list(relabel.to_frame().columns) == list(COLUMNS)
    with pytest.raises(InputError, match="drop or relabel"):
        gwa.decide(run, "keep")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is_label_issue"):
        gwa.decide(run, "drop", gwa.rank(run, "aum"))


@given(data=st.data())
def test_what_is_written_is_read(run: Run, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 119), min_size=1, max_size=8))))
    actions = [data.draw(st.sampled_from(["keep", "relabel", "drop"])) for _ in rows]
    given_labels = run.labels[rows]
    labels = np.array(
        [{"keep": old, "relabel": (old + data.draw(st.integers(1, 3))) % 4, "drop": -1}[action]
         for action, old in zip(actions, given_labels, strict=True)]
    )  # fmt: skip
    note = data.draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
    made = decisions_of(run, rows, tuple(actions), labels, 0.25, note)
    for suffix in ("csv", "parquet"):
        path = made.write(tmp_path_factory.mktemp("d") / f"decisions.{suffix}")
        found = gwa.read_decisions(path, run)
        assert found.actions == made.actions
        np.testing.assert_array_equal(found.sample_ids, made.sample_ids)
        np.testing.assert_array_equal(found.labels, made.labels)
        np.testing.assert_allclose(found.facts["label_score"], 0.25)


def test_spreadsheets_may_change_the_form(run: Run, file: Path) -> None:
    """Semicolons, a byte order mark, numbers written anew, another order, capitals, rows without a decision."""
    expected = gwa.read_decisions(file, run)
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    frame["key"] = [{"007": "7"}.get(key, key) for key in frame["key"]]
    frame["new_label"] = frame["new_label"].replace("-1", "-1.0")
    frame["decision"] = " " + frame["decision"].str.upper()
    undecided = frame.iloc[:1].assign(sample_id="119", key="photos/119.png", decision="")
    frame = pd.concat([frame.iloc[::-1], undecided]).drop(columns=["label_score", "note", "run_id"])
    frame.to_csv(file, index=False, sep=";", encoding="utf-8-sig")
    found = gwa.read_decisions(file, run)
    np.testing.assert_array_equal(found.sample_ids, expected.sample_ids)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_a_relabel_to_the_given_label_is_a_keep(run: Run, file: Path) -> None:
    given_label = pd.read_csv(file, dtype=str)["given_label"]
    found = gwa.read_decisions(changed(file, new_label=given_label), run)
    assert set(found.actions) == {"keep"}
    assert gwa.apply(run, found).counts == {"dropped": 0, "relabelled": 0, "left": 120}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"run_id": "another"}, "'another'.*Apply them to that run"),
        ({"sample_id": "120"}, "'120'"),
        ({"sample_id": "1.5"}, "'1.5'"),
        ({"sample_id": "x"}, "'x'"),
        ({"sample_id": "3"}, "several for sample '3'"),
        ({"key": "other.png"}, "has key"),
        ({"given_label": "dog"}, "has given_label"),
        ({"new_label": "dog"}, "'dog'"),
        ({"new_label": ""}, "a class of the run"),
        ({"new_label": "dog", "decision": "keep"}, "'dog' for sample .* Write relabel"),
        ({"decision": "delete"}, "'delete'"),
        ({"decision": ""}, "Found none"),
    ],
)
def test_decisions_about_something_else_are_refused(
    run: Run, file: Path, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        gwa.read_decisions(changed(file, **columns), run)


def test_what_is_no_table_of_decisions_is_refused(run: Run, tmp_path: Path) -> None:
    for name, text in {"a.csv": "x,y\n1,2\n", "b.csv": "", "c.csv": "\xff\xfe\x00"}.items():
        (tmp_path / name).write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"decision"):
            gwa.read_decisions(tmp_path / name, run)
    with pytest.raises(InputError, match="nowhere"):
        gwa.read_decisions(tmp_path / "nowhere.csv", run)


def test_decisions_of_another_run_are_refused_by_apply(run: Run, tmp_path: Path) -> None:
    x, labels = blobs(120, 4, 12)
    other = record_run(tmp_path / "other", x, labels, NAMES)
    with pytest.raises(InputError, match=run.info["run_id"]):
        gwa.apply(other, gwa.decide(run, "drop"))
    with pytest.raises(InputError, match="all of them dropped"):
        gwa.apply(run, decisions_of(run, np.arange(120), ("drop",) * 120, np.full(120, -1)))


def test_another_threshold_takes_more_or_fewer(run: Run) -> None:
    score = gwa.rank(run).to_frame()["label_score"]
    for below in (0.2, 0.9, 1.0):
        assert gwa.decide(run, "drop", below=below).sample_ids.tolist() == score.index[score < below].tolist()
    assert gwa.decide(run, "drop", below=None).sample_ids.tolist() == score.index[score < 0.5].tolist()
    relabel = gwa.decide(run, "relabel", below=1.0)
    assert 0 < len(relabel) < 120  # those with another label to propose
    assert (relabel.labels != run.labels[relabel.sample_ids]).all()
    for below in (0.0, -1, 1.5, float("nan")):
        with pytest.raises(InputError, match="below"):
            gwa.decide(run, "drop", below=below)


def test_an_issue_that_is_not_sure_is_left(run: Run) -> None:
    scores = gwa.rank(run)
    first = scores.top(2)
    columns = {
        **scores.columns,
        "is_label_issue": np.isin(scores.sample_ids, first),
        "label_score": np.where(scores.sample_ids == first[0], 0.29, 0.31),
    }
    found = replace(scores, columns=columns)
    assert gwa.decide(run, "drop", found).sample_ids.tolist() == [first[0]]
    assert gwa.decide(run, "drop", found, below=None).sample_ids.tolist() == sorted(first)


def test_scores_without_a_label_score_decide_by_their_issues(run: Run) -> None:
    scores = gwa.rank(run)
    found = replace(scores, columns={k: v for k, v in scores.columns.items() if k != "label_score"})
    with pytest.raises(InputError, match="below=None"):
        gwa.decide(run, "drop", found)
    issues = scores.sample_ids[scores.columns["is_label_issue"]]
    assert gwa.decide(run, "drop", found, below=None).sample_ids.tolist() == issues.tolist()
