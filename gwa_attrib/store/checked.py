"""Files of a run, checked before their numbers are used: which run they are of, their columns, the range of classes."""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate

import pandas as pd
import pyarrow as pa

from gwa_attrib.errors import RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.store.schema import PartName, SpanName
from gwa_attrib.value_types import Array

RUN_MARK, PART_MARK, GROUPS_MARK = b"gwa_attrib.run", b"gwa_attrib.part", b"gwa_attrib.row_groups"
CLASSES = ("label", "pred", "top_class")
"""Columns of class numbers."""


def marked(table: pa.Table, run_id: str, part: str) -> pa.Table:
    """Note in a table the run and the part that it is of, where pandas and others leave it alone."""
    known = table.schema.metadata or {}
    return table.replace_schema_metadata({**known, RUN_MARK: run_id.encode(), PART_MARK: part.encode()})


def check_mark(path: Place, metadata: Mapping[bytes, bytes] | None, run_id: str) -> None:
    """Check that a file is of this run and this part of it, as far as it says so; one behind a link has to say so.

    Raises:
        RunFormatError: it is not.
    """
    found = metadata or {}
    linked = path.is_symlink() or (_is_part(path) and path.parent.is_symlink())
    # A file of an earlier version has no note and is taken by its place; where a link leads, its place says nothing.
    run, part = (found.get(mark, None if linked else here) for mark, here in _marks(path, run_id).items())
    if run is None or part is None:
        raise _foreign(path, "a link to a file that does not say which run it is of")
    if run != run_id.encode():
        raise _foreign(path, f"a file of the run {run.decode(errors='replace')!r}")
    if part != _marks(path, run_id)[PART_MARK]:
        raise _foreign(path, f"a file that was {part.decode(errors='replace')!r}")


def _marks(path: Place, run_id: str) -> dict[bytes, bytes]:
    part = f"{path.parent.name}/{path.name}" if _is_part(path) else path.name
    return {RUN_MARK: run_id.encode(), PART_MARK: part.encode()}


def _is_part(path: Place) -> bool:
    return PartName.parse(path) is not None or SpanName.parse(path) is not None


def row_groups(path: Place, metadata: Mapping[bytes, bytes] | None, number: int) -> dict[int, range]:
    """Read from a compacted file which of its row groups hold which epoch.

    Raises:
        RunFormatError: it does not say, or says what cannot be.
    """
    try:
        counts = {int(epoch): count for epoch, count in json.loads((metadata or {})[GROUPS_MARK]).items()}
        ends = list(accumulate(counts.values(), initial=0))
        if min(counts.values()) < 0 or ends[-1] != number:
            raise ValueError(f"{ends[-1]} row groups instead of {number}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _foreign(path, f"no note of its epochs: {type(error).__name__}: {error}") from error
    return {epoch: range(start, start + count) for (epoch, count), start in zip(counts.items(), ends, strict=False)}


def _foreign(path: Place, found: str) -> RunFormatError:
    return RunFormatError(
        expected=f"{path} to be of the run {path.parent.parent if _is_part(path) else path.parent}",
        found=found,
        todo="Move it away, and restore the run's own file from a copy.",
    )


def check_columns(path: Place, found: pa.Schema, expected: pa.Schema, columns: Sequence[str] | None) -> None:
    """Check that columns have the types that they are recorded with: `columns`, or all.

    Raises:
        RunFormatError: another type, or two columns of one name.
    """
    for field in expected:
        which = found.get_all_field_indices(field.name)
        if columns is not None and field.name not in columns:
            continue
        if len(which) > 1 or (which and not _same_type(found.field(which[0]).type, field.type)):
            raise _columns(path, field, [str(found.field(i).type) for i in which])
        if not which and not field.nullable:
            raise _columns(path, field, ["no such column"])
    twice = sorted({name for name in found.names if found.names.count(name) > 1})
    if twice:
        raise _columns(path, found.field(found.get_all_field_indices(twice[0])[0]), ["several of this name"])


def _same_type(found: pa.DataType, expected: pa.DataType) -> bool:
    """Compare two types; lists of the likeliest classes may have any length."""
    if pa.types.is_fixed_size_list(expected) and pa.types.is_fixed_size_list(found):
        return bool(found.value_type == expected.value_type and found.list_size > 0)
    if pa.types.is_string(expected):
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    return bool(found == expected)


def _columns(path: Place, field: pa.Field, found: Sequence[str]) -> RunFormatError:
    return RunFormatError(
        expected=f"one column {field.name!r} of the type {field.type} in {path}",
        found=", ".join(found),
        todo="The file was not written by a recorder: restore it from a copy, or move it away.",
    )


def check_no_holes(path: Place, table: pa.Table) -> None:
    """Check that no value is missing: a recorder leaves none out, and writes NaN where one is not defined.

    Raises:
        RunFormatError: a value is missing.
    """
    for name in table.column_names:
        column = table[name]
        inner = column.combine_chunks().flatten() if pa.types.is_fixed_size_list(column.type) else column
        if column.null_count or inner.null_count:
            raise RunFormatError(
                expected=f"a value in every row of the column {name!r} of {path}",
                found="missing values",
                todo="The file is damaged: restore it from a copy, or move it away.",
            )


def check_classes(path: Place, table: pa.Table, classes: int, least: int = 0) -> None:
    """Check that class numbers are those of the run; `least` is -1 where there may be none.

    Raises:
        RunFormatError: they are not.
    """
    for name in (name for name in CLASSES if name in table.column_names):
        column = table[name].combine_chunks()
        values = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
        numbers: Array = values.to_numpy(zero_copy_only=False)
        if len(numbers) and not _within(numbers, least, classes):
            raise RunFormatError(
                expected=f"classes from {least} to {classes - 1} in the column {name!r} of {path}",
                found=f"{numbers.min()} to {numbers.max()}",
                todo="The file is of another run or damaged: restore it from a copy, or move it away.",
            )


def _within(numbers: Array, least: int, classes: int) -> bool:
    return bool(numbers.min() >= least and numbers.max() < classes)


def check_samples(path: Place, frame: pd.DataFrame) -> None:
    """Check that ids are unique.

    Raises:
        RunFormatError: they are not.
    """
    if frame["sample_id"].duplicated().any():
        raise RunFormatError(
            expected=f"each sample once in {path}",
            found=f"sample {frame.loc[frame['sample_id'].duplicated(), 'sample_id'].iloc[0]} several times",
            todo="Restore the file from a copy of the run.",
        )
