"""The way from a name that the user gives to labelled data: choose the reader, let it read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gwa_attrib._registry import Entry
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.messages import shown
from gwa_attrib.datasets.readers.registry import Options, readers
from gwa_attrib.errors import DataError


def load(
    source: str | Path,
    *,
    label_column: str | None = None,
    exclude: Sequence[str] = (),
    strict: bool = False,
    limit: int | None = None,
) -> LabeledData:
    """Read a data set with given labels.

    Args:
        source: "digits", "fashion-mnist" (or "fashion-mnist:FOLDER" with its ``*-ubyte.gz`` files), an .npz, .csv or
            .parquet file, or a folder with one sub-folder of images per class. The names come before files of the same
            name: write ``./digits`` for a folder. "KIND:PATH" reads a path as the kind that you say.
        label_column: Column or array with the labels; by default ``y`` of an .npz, and of a table its one column out of
            label, labels, y, target and class.
        exclude: Columns that must not become inputs, such as verified labels: they are moved to `columns`.
        strict: Refuse a folder with unreadable images instead of leaving them out.
        limit: Keep only the first so many samples (of an image folder: the first so many image files).

    Raises:
        DataError: nothing that can be read, or data that cannot be audited; the error says what and where.

    Example:
        >>> digits = load("digits", limit=100)
        >>> digits.inputs.shape, digits.class_names[digits.labels[3]]
        ((100, 8, 8, 1), '3')
    """
    if limit is not None and limit < 2:
        raise DataError(
            expected="a limit of at least 2 samples", found=str(limit), todo="Leave it out to read all samples."
        )
    if isinstance(exclude, str):
        raise DataError(
            expected="a sequence of column names to exclude", found=f"the text {exclude!r}", todo=f"Pass [{exclude!r}]."
        )
    reader, location = choose_reader(str(source))
    data: LabeledData = reader(location, Options(label_column, tuple(exclude), strict, limit))
    prefix = f"{reader.name}:" if str(source).startswith(f"{reader.name}:") else ""
    # Absolute, as the run is read again from other folders than the one of the audit.
    return dataclasses.replace(data, source=prefix + (str(Path(location).absolute()) if location else reader.name))


def choose_reader(source: str) -> tuple[Entry, str]:
    """The reader, and the location for it: "" for a data set that is known by name.

    Raises:
        DataError: nothing that can be read.
    """
    kind, colon, location = source.partition(":")
    if kind in readers and not location:
        return readers[kind], ""
    if colon and kind in readers:
        return readers[kind], location
    suffix = Path(source).suffix.lower().removeprefix(".")
    if suffix in readers:
        return readers[suffix], source
    if _is_folder(source):
        return readers["image-folder"], source
    raise DataError(
        expected="a data set that can be read: " + "; ".join(f"{e.name}: {e.summary.rstrip('.')}" for e in readers),
        found=shown(source) + (", a file of another kind" if _exists(source) else ", which is no file and no folder"),
        todo='Check the path. "KIND:PATH" reads a path as the kind that you say, such as csv:table.txt.',
    )


def _is_folder(source: str) -> bool:
    try:
        return bool(source) and Path(source).is_dir()
    except OSError:
        return False


def _exists(source: str) -> bool:
    try:
        return bool(source) and Path(source).exists()
    except OSError:
        return False
