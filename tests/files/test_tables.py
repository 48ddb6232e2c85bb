"""Tables in files: whole or absent, the same numbers in both formats, and no formulas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwa_attrib.errors import InputError, RunError
from gwa_attrib.files.tables import issue_table, neutralise, write_frame, write_issues
from gwa_attrib.scores import Scores


@pytest.mark.parametrize("cell", ["=1+1", "+SUM(A1)", "-2+3", "@x", "\t=1", "\r=1", "-", "=", "+1=2"])
def test_what_a_spreadsheet_would_run_is_neutralised(cell: str) -> None:
    assert neutralise(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["cat", "-1", "+2.5", "-1e-3", "", "a=b", 5, None, 2.5])
def test_everything_else_stays_as_it_is(cell: object) -> None:
    assert neutralise(cell) is cell


def frame() -> pd.DataFrame:
    index = pd.Index([4, 7, 9], name="sample_id")
    return pd.DataFrame(
        {
            "key": ["a", "=cmd()", 'q"\n,'],
            "value": np.array([0.1, np.nan, -2.0], dtype=np.float32),
            "flag": [True, False, True],
        },
        index=index,
    )


def test_both_formats_hold_the_same(tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        write_frame(frame(), tmp_path / f"issues.{suffix}")
    parquet = pd.read_parquet(tmp_path / "issues.parquet")
    csv = pd.read_csv(tmp_path / "issues.csv", index_col="sample_id")
    pd.testing.assert_frame_equal(parquet, frame(), check_dtype=False)
    assert csv["key"].tolist() == ["a", "'=cmd()", 'q"\n,']
    pd.testing.assert_frame_equal(csv.drop(columns="key"), frame().drop(columns="key"), check_dtype=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["issues.csv", "issues.parquet"]


def test_another_format_and_a_file_in_place_of_the_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        write_frame(frame(), tmp_path / "x.xlsx")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError):
        write_frame(frame(), tmp_path / "file" / "x.csv")


@pytest.mark.parametrize("cell", ["=1+1", " =1", "\n=1", "＝1+1", "＠x", "@SUM(A1)"])
def test_nothing_in_a_csv_is_a_formula_nor_its_names(tmp_path: Path, cell: str) -> None:
    """Groups are indexed by class names, and columns are named by the data set."""
    index = pd.Index([cell, "plain"], name=cell)
    write_frame(pd.DataFrame({f"{cell}2": [1, 2], "text": [cell, "x"]}, index=index), tmp_path / "t.csv")
    found = pd.read_csv(tmp_path / "t.csv", header=None, dtype=str, skip_blank_lines=False)
    assert not [c for c in found.to_numpy().ravel() if str(c).lstrip().startswith(tuple("=+-@＝＋－＠"))]
    assert found.iloc[1, 0] == found.iloc[0, 0] == "'" + cell


def test_people_get_the_worst_first_and_programs_the_samples_in_their_order(tmp_path: Path) -> None:
    """Equal values have different ranks, and what was never seen is last."""
    columns = {
        "is_label_issue": np.array([True, False, True, False]),
        "key": np.array(["a", "b", "c", "d"], dtype=object),
        "given_label": np.array(["x", "y", "x", None], dtype=object),
        "extra": np.arange(4),
    }
    values = np.array([2.0, -1.0, 2.0, np.nan])
    scores = Scores(values, np.array([5, 6, 7, 8]), method="mislabeled", suspect="high", columns=columns)
    write_issues(scores, tmp_path, ["one", "=two()", "three", "four"])
    csv, parquet = pd.read_csv(tmp_path / "issues.csv"), pd.read_parquet(tmp_path / "issues.parquet")
    first = ["key", "given_label", "is_label_issue", "rank", "text"]
    assert list(csv) == [*first, "sample_id", "extra", "mislabeled"]
    assert csv["sample_id"].tolist() == [5, 7, 6, 8]
    assert csv["rank"].tolist() == [1, 2, 3, 4]
    assert csv["text"].tolist() == ["one", "three", "'=two()", "four"]
    pd.testing.assert_frame_equal(parquet, scores.to_frame(), check_dtype=False)
    assert issue_table(scores, k=9)["sample_id"].tolist() == scores.top(9).tolist() == [5, 7, 6]
