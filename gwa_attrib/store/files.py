"""Finding and opening the files of a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gwa_attrib.errors import NotARunError, RunFormatError
from gwa_attrib.store.schema import RUN_FILE, SCHEMA_VERSION, PartName

NEEDED = ("schema_version", "run_id", "status", "num_samples", "class_names", "config")


def read_info(root: Path) -> dict[str, Any]:
    """The facts of run.json.

    Raises:
        NotARunError: there is no run in the folder.
        RunFormatError: run.json cannot be understood.
    """
    file = root / RUN_FILE
    if not file.is_file():
        raise NotARunError(
            expected=f"a run in {root}, with a {RUN_FILE}",
            found="no such folder" if not root.exists() else f"no {RUN_FILE}",
            todo="Give the folder that was passed to gwa.record(...) or to `gwa-attrib audit --out`.",
        )
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        version, *_ = (info[key] for key in NEEDED)
    except (ValueError, KeyError, TypeError) as error:
        raise RunFormatError(
            expected=f"{file} to be a JSON object with {', '.join(NEEDED)}",
            found=f"{type(error).__name__}: {error}",
            todo="Restore the file from a copy of the run; the parquet files beside it can still be read.",
        ) from error
    if version != SCHEMA_VERSION:
        raise RunFormatError(
            expected=f"a run of schema version {SCHEMA_VERSION}",
            found=f"version {version!r} in {file}",
            todo="Read it with the version of gwa_attrib that wrote it.",
        )
    return dict(info)


def parts(folder: Path) -> dict[int, list[Path]]:
    """The files of each epoch, ordered by process; of an epoch that was recorded again only the latest attempt."""
    found: dict[int, dict[PartName, Path]] = {}
    for path in sorted(folder.glob("*.parquet")) if folder.is_dir() else ():
        name = PartName.parse(path)
        if name is not None:
            found.setdefault(name.epoch, {})[name] = path
    latest: dict[int, list[Path]] = {}
    for epoch in sorted(found):
        attempt = max(name.attempt for name in found[epoch])
        latest[epoch] = [path for name, path in found[epoch].items() if name.attempt == attempt]
    return latest


def open_parquet(path: Path) -> pq.ParquetFile:
    """A parquet file of a run, its pages checked when they are read.

    Raises:
        RunFormatError: the file is damaged.
    """
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunFormatError:
    return RunFormatError(
        expected=f"{path} to be a readable parquet file of a run",
        found=f"{type(error).__name__}: {error}",
        todo="The file is damaged: restore it from a copy, or move it away to go on without that epoch.",
    )


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One parquet file of a run.

    Raises:
        RunFormatError: the file is damaged, or lacks a column.
    """
    with open_parquet(path) as file:
        present = file.schema_arrow.names
        missing = [column for column in columns or () if column not in present]
        if not missing:
            try:
                return file.read(columns=list(columns) if columns is not None else None)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from error
    raise RunFormatError(
        expected=f"columns {', '.join(missing)} in {path}",
        found=f"only {', '.join(present)}",
        todo="Record the run with these signals: gwa.record(..., signals=None) stores all of them.",
    )
