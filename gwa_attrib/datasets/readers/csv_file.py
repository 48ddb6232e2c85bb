"""Tables in a .csv."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from gwa_attrib.datasets.encoding.column_kinds import is_identity, is_identity_name
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.messages import printable
from gwa_attrib.datasets.readers.registry import Options, existing_file, readers
from gwa_attrib.datasets.readers.table_file import find_label, from_frame
from gwa_attrib.errors import DataError

MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
"""Texts of a missing input. In labels and excluded columns only the empty field is missing: "NA" may be a class."""

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.0|\.\d{0,15}[1-9])?([eE][+-]?\d{1,2})?")
"""A number as a program writes it: no leading zeros, no trailing ones, exact as a float."""


@readers.register("csv", source="RFC 4180; pandas.read_csv")
def read_csv(location: str, options: Options) -> LabeledData:
    """A .csv in UTF-8 with names in its first line and commas between the columns; text, numbers or both.

    Labels, excluded columns and identities are read as they are written ("007" stays so); those whose every value is a
    number in its usual notation are numbers.

    Raises:
        DataError: no table; see `from_frame`.
    """
    path = existing_file(location)
    names = _header(path)
    label = find_label(names, options, path)
    as_written = [name for name in names if name in (label, *options.exclude) or is_identity_name(name)]
    frame = _read(path, names, as_written, options.limit)
    for name in as_written:
        numbers = numbers_where_possible(frame[name])
        if not is_identity(name, numbers if is_identity_name(name) else frame[name]):
            frame[name] = numbers
    return from_frame(frame, location, options)


def numbers_where_possible(column: pd.Series) -> pd.Series:
    """Strings as numbers, if every one is a number as a program writes it and no two become equal; else unchanged."""
    texts = column.dropna().unique()
    if len(texts) and all(_NUMBER.fullmatch(text) for text in texts):
        numbers = pd.to_numeric(column)
        return numbers if numbers.nunique() == len(texts) else column
    return column


def _header(path: Path) -> list[str]:
    with _refusing(path):
        first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        return [str(name) for name in first.iloc[0]]


def _read(path: Path, names: list[str], as_written: list[str], limit: int | None) -> pd.DataFrame:
    missing = {name: [""] if name in as_written else list(MISSING) for name in names}
    with _refusing(path):
        return pd.read_csv(
            path,
            header=0,
            names=names,
            # Otherwise pandas takes the first column for an index where lines have one field too many.
            index_col=False,
            nrows=limit,
            dtype=dict.fromkeys(as_written, "str"),
            keep_default_na=False,
            na_values=missing,
            encoding="utf-8-sig",
            # Otherwise types are guessed part by part, and one column may come out with several.
            low_memory=False,
        )


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what pandas raises, and its warning of lost columns, into a DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except UnicodeDecodeError as error:
        raise DataError(
            expected=f"{path} to be text in UTF-8",
            found=f"byte {error.object[error.start]:#04x}, which is not UTF-8",
            todo="Save the table as UTF-8.",
        ) from error
    except pd.errors.EmptyDataError as error:
        raise DataError(
            expected=f"a first line with column names in {path}", found="nothing", todo="Save the table again."
        ) from error
    except pd.errors.ParserWarning as error:
        raise DataError(
            expected=f"as many fields in each line of {path} as names in the first",
            found="lines with more fields",
            todo="Quote fields that hold commas, and give every column a name.",
        ) from error
    except (pd.errors.ParserError, ValueError, OSError, OverflowError) as error:
        raise DataError(
            expected=f"{path} to be a table with commas between its columns",
            found=printable(f"{type(error).__name__}: {error}".strip()),
            todo="Repair the line, or save the table again, with fields that hold commas or line ends in quotes.",
        ) from error
