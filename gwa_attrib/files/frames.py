"""Data frames as files: parquet for programs, CSV for people and spreadsheets."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa

from gwa_attrib.errors import InputError
from gwa_attrib.files.whole import whole_file

_FORMULA = re.compile(r"^\s*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$", re.IGNORECASE)


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


def columns_with_bounds(schema: pa.Schema) -> list[str]:
    """Choose the columns of a parquet file whose smallest and largest value are noted in it: those without NaN.

    The format leaves NaN out of these two, and readers skip rows by them all the same: DuckDB, DataFusion, Spark and
    pyarrow's own datasets then lose rows with NaN, each under other conditions. Without the two nothing is skipped.
    """
    return [
        field.name for field in schema if not pa.types.is_nested(field.type) and not pa.types.is_floating(field.type)
    ]


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, write_statistics=columns_with_bounds(pa.Schema.from_pandas(frame)))


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    text = frame.reset_index(allow_duplicates=True)
    for column in range(text.shape[1]):
        if not pd.api.types.is_numeric_dtype(text.iloc[:, column]):
            # By position: a data set may have two columns of one name once its index is a column.
            text.isetitem(column, text.iloc[:, column].map(neutralise).to_numpy())
    text.columns = pd.Index([neutralise(name) for name in text.columns])
    text.to_csv(path, lineterminator="\n", index=False)
