"""Readers of data sets: registered functions from a location, and the caller's wishes, to `LabeledData`.

A reader is chosen by its name: ``load("NAME")``, ``load("NAME:location")``, or a file whose suffix is ``.NAME``. So a
new file format is one function::

    @readers.register("tsv", source="IANA text/tab-separated-values")
    def read_tsv(location: str, options: Options) -> LabeledData:
        '''A .tsv file: first line names, one of them the label.'''
        return from_frame(pd.read_csv(location, sep="\\t"), location, options)
"""

from dataclasses import dataclass
from pathlib import Path

from gwa_attrib._registry import Registry
from gwa_attrib.datasets.messages import listed
from gwa_attrib.errors import DataError

readers = Registry("data set reader")


@dataclass(frozen=True)
class Options:
    """The wishes of the caller of `load`; see there."""

    label_column: str | None = None
    exclude: tuple[str, ...] = ()
    strict: bool = False
    limit: int | None = None


def existing_file(location: str) -> Path:
    """The path, if it is that of a regular file.

    Raises:
        DataError: it is not.
    """
    path = Path(location)
    try:
        if path.is_file():
            return path
        found = "a folder" if path.is_dir() else "something else than a file" if path.exists() else "no such file"
    except OSError as error:
        found = error.strerror or type(error).__name__
    raise DataError(expected=f"a file {path}", found=found, todo="Check the path, and that you may read it.")


def refuse_columns(name: str, options: Options) -> None:
    """Refuse columns of a data set that has nothing but inputs and labels.

    Raises:
        DataError: a column was asked for.
    """
    wanted = [column for column in (options.label_column, *options.exclude) if column is not None]
    if wanted:
        raise DataError(
            expected=f"no column names for {name}, which has images and labels only",
            found=listed(wanted),
            todo="Leave out the label column, the truth and the excluded columns; an .npz or a table can have them.",
        )
