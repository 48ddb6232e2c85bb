"""Score tables as files: parquet for programs, CSV for people and spreadsheets."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gwa_attrib.errors import InputError
from gwa_attrib.files.whole import whole_file
from gwa_attrib.scores import Scores

_FORMULA = re.compile(r"^\s*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$", re.IGNORECASE)

FIRST = ("key", "given_label", "predicted_label", "is_label_issue", "label_score", "rank", "text")
"""Columns of issues.csv in the order in which a person reads them; what else is known of a sample comes after."""


def neutralise(cell: object) -> object:
    """Text that a spreadsheet would run as a formula, with an apostrophe in front; plain numbers as they are."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.match(cell):
        return "'" + cell
    return cell


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` with its index to a .parquet or .csv file, which appears whole.

    Raises:
        InputError: another kind of file.
        RunError: the file cannot be written.
    """
    writers = {".parquet": _write_parquet, ".csv": _write_csv}
    if path.suffix not in writers:
        raise InputError(
            expected="a file name that ends in .csv or .parquet", found=str(path), todo="Choose one of the two."
        )
    with whole_file(path) as half:
        writers[path.suffix](frame, half)


def write_issues(scores: Scores, folder: Path, texts: Sequence[str] | None = None) -> None:
    """Write ``issues.parquet``, a row for each sample in their order, and ``issues.csv``, the worst first.

    Raises:
        RunError: a file cannot be written.
    """
    write_frame(scores.to_frame(), folder / "issues.parquet")
    write_frame(issue_table(scores, texts), folder / "issues.csv")


def issue_table(scores: Scores, texts: Sequence[str] | None = None, k: int | None = None) -> pd.DataFrame:
    """The ranking for people: the worst first, the key and the labels in the first columns, ranks 1, 2, 3 and so on.

    Args:
        scores: With the columns of ``rank(run, "mislabeled")``.
        texts: Of all samples, in the order of the scores, for a column `text`.
        k: Only the so many most suspicious samples.
    """
    order = scores.order()
    frame = scores.to_frame().reset_index()
    if texts is not None:
        frame["text"] = np.asarray(texts, dtype=object)
    frame = frame.iloc[order].assign(rank=np.arange(1, len(order) + 1))
    if k is not None:
        frame = frame.set_index("sample_id").loc[scores.top(k)].reset_index()
    first = [name for name in FIRST if name in frame]
    return frame[[*first, *(name for name in frame if name not in first)]].set_index("key")


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    text = frame.reset_index(allow_duplicates=True)
    for column in range(text.shape[1]):
        if not pd.api.types.is_numeric_dtype(text.iloc[:, column]):
            text.isetitem(column, text.iloc[:, column].map(neutralise).to_numpy())
    text.columns = pd.Index([neutralise(name) for name in text.columns])
    text.to_csv(path, lineterminator="\n", index=False)
