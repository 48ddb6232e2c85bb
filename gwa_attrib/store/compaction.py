"""Fewer, larger files: those of consecutive epochs become one, with the same numbers.

A compacted file is complete before it appears, and from then on it counts instead of the files that it was made of;
these are deleted after that. Whenever it is killed, a reader of this package sees every number once, and doing it again
finishes the work. Other programs that read the folder would see them twice until then.
"""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import whole_file
from gwa_attrib.store.checked import GROUPS_MARK, marked
from gwa_attrib.store.claim import delete
from gwa_attrib.store.resumed import lacks_files
from gwa_attrib.store.run import Run
from gwa_attrib.store.run_files import joined, open_parquet, parts, read_table
from gwa_attrib.store.schema import (
    EPOCH_SCHEMA,
    EPOCHS,
    FOLDERS,
    LAYER_SCHEMA,
    LAYERS,
    OBSERVATION_SCHEMA,
    PartName,
    SpanName,
)
from gwa_attrib.store.writer import ROW_GROUP, encoding

BYTES = 1 << 30
"""A compacted file becomes no larger, if an epoch is not."""
SCHEMAS = {LAYERS: LAYER_SCHEMA, EPOCHS: EPOCH_SCHEMA}


def compact(run: Run, *, most: int = BYTES) -> int:
    """Join the files of consecutive epochs, in each folder of the run; how many files are gone.

    Epochs that are still being recorded, or that lack the file of a process, are left as they are. Memory: one epoch.

    Args:
        run: The run.
        most: Bytes of a compacted file.

    Raises:
        RunFormatError: a file is damaged; nothing is lost.
        RunError: there is no room for the new file, or an old one cannot be deleted.
    """
    before = _count(run)
    for folder in FOLDERS:
        there = parts(run.path / folder)
        files = {epoch: paths for epoch, paths in there.items() if not lacks_files(run.info, paths)}
        for epochs, attempt in spans(files, most):
            _join(run, folder, {epoch: files[epoch] for epoch in epochs}, attempt)
        _delete(run, folder)
    return before - _count(run)


def spans(files: dict[int, list[Place]], most: int) -> Iterator[tuple[list[int], int]]:
    """Runs of consecutive epochs, recorded in the same attempt, whose files together are not too large; and the
    attempt. What is compacted already is left alone."""
    open_span: list[int] = []
    attempt, size = -1, 0
    for epoch, paths in files.items():
        name, bytes_of = PartName.parse(paths[0]), sum(path.stat().st_size for path in paths)
        fits = name is not None and open_span and epoch == open_span[-1] + 1 and name.attempt == attempt
        # Never over two attempts: the name of the file says one, and the higher one counts.
        if not fits or size + bytes_of > most:
            if len(open_span) > 1:
                yield open_span, attempt
            open_span, size = [], 0
        if name is not None:
            open_span.append(epoch)
            attempt, size = name.attempt, size + bytes_of
    if len(open_span) > 1:
        yield open_span, attempt


def _join(run: Run, folder: str, files: dict[int, list[Place]], attempt: int) -> None:
    name = f"{folder}/{SpanName(min(files), max(files), attempt)}"
    first = _epoch(run, folder, files, min(files))
    # As many row groups as the writer will cut each epoch into: a reader finds an epoch by counting them.
    groups = {epoch: -(-sum(_rows(path, run.run_id) for path in paths) // ROW_GROUP) for epoch, paths in files.items()}
    noted = marked(first, run.run_id, name).schema
    schema = noted.with_metadata({**noted.metadata, GROUPS_MARK: json.dumps(groups).encode()})

    with (
        whole_file(run.path / name, within=run.path) as half,
        pq.ParquetWriter(half, schema, **encoding(schema)) as writer,
    ):
        for epoch in files:
            table = first if epoch == min(files) else _epoch(run, folder, files, epoch)
            writer.write_table(table.cast(schema), row_group_size=ROW_GROUP)


def _rows(path: Place, run_id: str) -> int:
    with open_parquet(path, run_id) as file:
        return int(file.metadata.num_rows)


def _epoch(run: Run, folder: str, files: dict[int, list[Place]], epoch: int) -> pa.Table:
    """The rows of all processes; observations by sample and step, so that the last one stays the last."""
    schema = SCHEMAS.get(folder, OBSERVATION_SCHEMA)
    table = joined(read_table(path, run.run_id, schema, epoch=epoch) for path in files[epoch])
    if len(files[epoch]) > 1 and folder != EPOCHS:
        first = [("layer", "ascending")] if folder == LAYERS else []
        table = table.sort_by([*first, ("sample_id", "ascending"), ("step", "ascending")])
    return table


def _delete(run: Run, folder: str) -> None:
    """Files of epochs that a compacted file counts for."""
    counted = parts(run.path / folder)

    def is_joined(path: Place) -> bool:
        name = PartName.parse(path)
        span = SpanName.parse(counted[name.epoch][0]) if name is not None and name.epoch in counted else None
        # An epoch that was recorded again since counts instead of the compacted file: its attempt is higher.
        return name is not None and span is not None and name.attempt <= span.attempt

    delete(
        filter(is_joined, (run.path / folder).glob("*.parquet")),
        what=f"files in {run.path / folder} that are in a compacted one now",
        todo="Fix the permissions, and compact again. Nothing is lost, and nothing counts twice.",
    )


def _count(run: Run) -> int:
    return sum(len(list((run.path / folder).glob("*.parquet"))) for folder in FOLDERS)
