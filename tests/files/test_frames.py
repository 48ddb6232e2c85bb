"""Tables in files: whole or absent, the same numbers in both formats, and no formulas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwa_attrib.errors import InputError, RunError
from gwa_attrib.files.frames import neutralise, write_frame


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
