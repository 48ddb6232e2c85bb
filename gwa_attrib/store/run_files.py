"""Finding, opening and reading the files of a run. A file that is damaged, or does not belong there, is an error."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from gwa_attrib.errors import RunFormatError
from gwa_attrib.files.places import Place, is_remote
from gwa_attrib.store.checked import check_columns, check_mark, row_groups
from gwa_attrib.store.schema import PartName, SpanName

Between = tuple[int, int]
"""Lowest and highest sample id."""


class IdRanges:
    """The lowest and highest id of each row group of the files that were asked for, read once.

    From the column itself: what a damaged file says of it in its statistics ends the process in pyarrow.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Between] = {}

    def overlapping(self, path: Place, file: pq.ParquetFile, groups: Sequence[int], between: Between) -> list[int]:
        """Choose the row groups with an id in the range, bounds included."""
        lowest, highest = between
        found = []
        for group in groups:
            low, high = self._range(path, file, group)
            if low <= highest and high >= lowest:
                found.append(group)
        return found

    def _range(self, path: Place, file: pq.ParquetFile, group: int) -> Between:
        key = str(path), group
        if key not in self._known:
            ids = file.read_row_group(group, columns=["sample_id"])["sample_id"].to_numpy()
            self._known[key] = (int(ids.min()), int(ids.max())) if len(ids) else (0, -1)
        return self._known[key]


def parts(folder: Place) -> dict[int, list[Place]]:
    """Find the files of each epoch, ordered by process; of an epoch that was recorded again only the latest attempt.

    A file that `compact` made stands for all its epochs, instead of the files that it was made of.
    """
    found: dict[int, dict[tuple[int, int, int], Place]] = {}
    for path in sorted(folder.glob("*.parquet")) if folder.is_dir() else ():
        name, span = PartName.parse(path), SpanName.parse(path)
        if name is not None:
            found.setdefault(name.epoch, {})[name.attempt, 0, name.rank] = path
        for epoch in span.epochs if span is not None else ():
            found.setdefault(epoch, {})[span.attempt, 1, 0] = path  # type: ignore[union-attr]
    latest: dict[int, list[Place]] = {}
    for epoch in sorted(found):
        # Within an attempt the compacted file comes before those that it was made of, which a killed process may have
        # left.
        best = max(found[epoch])[:2]
        latest[epoch] = [path for key, path in sorted(found[epoch].items()) if key[:2] == best]
    return latest


def where(path: Any) -> dict[str, object]:
    """Name a path as pyarrow takes it, with the file system that it is in; none for that of this machine."""
    if not is_remote(path):
        return {"source": path}
    return {"source": path.path, "filesystem": pafs.PyFileSystem(pafs.FSSpecHandler(path.fs))}


def open_parquet(path: Place, run_id: str) -> pq.ParquetFile:
    """Open a parquet file of a run, whose pages are checked when they are read.

    Raises:
        RunFormatError: the file is damaged, or of another run or another part of it.
    """
    if not path.is_file():
        raise damaged(path, "no regular file")
    try:
        file = pq.ParquetFile(**where(path), page_checksum_verification=True)
    except Exception as error:  # whatever pyarrow makes of a damaged file
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    # Its name and its place do not say which run a file is of: a copy from another run would be read without a word.
    check_mark(path, file.schema_arrow.metadata, run_id)
    return file


def read_table(
    path: Place,
    run_id: str,
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None = None,
    epoch: int | None = None,
    between: Between | None = None,
    ranges: IdRanges | None = None,
) -> pa.Table:
    """Read one parquet file of a run, or the rows of one epoch in it.

    Args:
        path: The file.
        run_id: Of the run that it has to be of.
        schema: Of which types its columns have to be.
        columns: Which to read; all of them for None.
        epoch: Of which to read the rows.
        between: Leave out, of the parts that the file is made of, those without an id in this range; other rows stay.
        ranges: What is known of these parts already.

    Raises:
        RunFormatError: the file is damaged, is none of this run, lacks a column, or has one of another type than
            `schema`; columns that are not in `schema` may be as they like.
    """
    with open_parquet(path, run_id) as file:
        present = file.schema_arrow.names
        missing = [column for column in columns or () if column not in present]
        if missing:
            raise RunFormatError(
                expected=f"columns {', '.join(missing)} in {path}",
                found=f"only {', '.join(present)}",
                todo="Record the run with these signals: gwa.record(..., signals=None) stores all of them.",
            )
        read = columns if columns is None or epoch is None else (*columns, "epoch")
        check_columns(path, file.schema_arrow, schema, read)
        try:
            groups = _groups_of(file, path, epoch)
            if between is not None:
                groups = (ranges or IdRanges()).overlapping(path, file, groups, between)
            table = file.read_row_groups(groups, columns=None if read is None else list(dict.fromkeys(read)))
        except RunFormatError:
            raise
        except Exception as error:  # whatever pyarrow makes of a damaged file
            raise damaged(path, f"{type(error).__name__}: {error}") from error
    table = table.replace_schema_metadata(None)  # which may say anything
    holes = [f.name for f in schema if not f.nullable and f.name in table.column_names and table[f.name].null_count]
    if holes:
        raise damaged(path, f"missing values in {', '.join(holes)}")
    if epoch is not None and not pc.all(pc.equal(table["epoch"], epoch), min_count=0).as_py():
        raise damaged(path, f"rows of the epochs {pc.unique(table['epoch']).to_pylist()[:5]}")
    return table if columns is None else table.select(list(dict.fromkeys(columns)))


def _groups_of(file: pq.ParquetFile, path: Place, epoch: int | None) -> list[int]:
    """The row groups of an epoch. A compacted file says which; the statistics would, too, but pyarrow's own access to
    those of a damaged file ends the process.
    """
    number = file.metadata.num_row_groups
    if epoch is None or SpanName.parse(path) is None:
        return list(range(number))
    of_epoch = row_groups(path, file.schema_arrow.metadata, number)
    if epoch not in of_epoch:
        raise damaged(path, f"no rows of epoch {epoch}")
    return list(of_epoch[epoch])


def damaged(path: Place, found: str) -> RunFormatError:
    """Make the error of a file that cannot be read, or is not what its name says."""
    return RunFormatError(
        expected=f"{path} to be a readable parquet file of a run",
        found=found,
        todo="The file is damaged: restore it from a copy, or move it away to go on without that epoch.",
    )


def joined(tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables, one below the other.

    Raises:
        RunFormatError: they have different columns.
    """
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException as error:
        raise RunFormatError(
            expected="the same columns in the files of all epochs",
            found=f"{type(error).__name__}: {error}",
            todo="Files of several runs were mixed: restore this run from a copy.",
        ) from error
