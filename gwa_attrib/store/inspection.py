"""Facts about a run: its contents, what is missing, and what it costs on disk."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypedDict

import numpy as np

from gwa_attrib.files.places import Place, let_read
from gwa_attrib.files.whole import TMP
from gwa_attrib.store.resumed import lacks_files
from gwa_attrib.store.run import Run
from gwa_attrib.store.run_files import damaged, open_parquet, parts
from gwa_attrib.store.schema import EPOCHS, LAYERS, OBSERVATIONS

MOST = 1000
"""Missing epochs that are named."""


class RunFacts(TypedDict):
    """Facts about a run, as `inspect` gathers them."""

    run: str
    run_id: str
    status: str
    samples: int
    never_seen: int
    classes: int
    epochs: int
    missing_epochs: list[int]
    open_epoch: int | None
    half_written: int
    lowest_coverage: float
    undefined_alignments: int
    observations: int
    bytes: int
    bytes_per_observation: float
    bytes_of_column: dict[str, int]


def inspect(run: Run) -> RunFacts:
    """Gather facts about a run, from the files' own statistics where possible: cheap also for large runs.

    `missing_epochs` lack a file (of one process at least), or it was moved away; `open_epoch` is the one that was being
    recorded when nothing more was heard of the run: it is lost if the training has ended. None after a complete run.
    """
    files = parts(run.path / OBSERVATIONS)
    paths = list(dict.fromkeys(path for paths in files.values() for path in paths))
    observations = sum(_rows(path, run.run_id) for path in paths)
    epochs = run.epochs()
    numbers = list(files)
    folders = (OBSERVATIONS, EPOCHS, *((LAYERS,) if run.layers else ()))
    total = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    return {
        "run": str(run.path),
        "run_id": run.info["run_id"],
        "status": run.info["status"],
        "samples": len(run.sample_ids) if files else run.info["num_samples"],
        "never_seen": int(np.sum(run.labels < 0)) if files else run.info["num_samples"],
        "classes": len(run.class_names),
        "epochs": len(numbers),
        "missing_epochs": list(islice(_missing(run, folders, numbers), MOST)),
        "open_epoch": None if run.info["status"] == "complete" else _first_open(run, files),
        "half_written": len(list((run.path / TMP).glob("*"))) if (run.path / TMP).is_dir() else 0,
        "lowest_coverage": float(epochs["coverage"].min()) if len(epochs) else 0.0,
        "undefined_alignments": int(epochs["undefined"].sum()) if len(epochs) else 0,
        "observations": observations,
        "bytes": total,
        "bytes_per_observation": total / observations if observations else 0.0,
        "bytes_of_column": _bytes_of_columns(paths) if paths else {},
    }


def _rows(path: Place, run_id: str) -> int:
    with open_parquet(path, run_id) as file:
        return int(file.metadata.num_rows)


def _bytes_of_columns(paths: Sequence[Place]) -> dict[str, int]:
    """Measure the columns, the largest first."""
    # DuckDB's errors can be caught; pyarrow's own access to the statistics of a damaged footer ends the process.
    import duckdb

    query = """select split_part(path_in_schema, ',', 1) as name, sum(total_compressed_size)::bigint as size
               from parquet_metadata(?) group by name order by size desc, name"""
    with duckdb.connect() as connection:
        let_read(connection, paths)
        try:
            rows = connection.execute(query, [[str(path) for path in paths]]).fetchall()
        except duckdb.Error as error:
            raise damaged(paths[0].parent, f"{type(error).__name__}: {error}") from error
    return dict(rows)


def _first_open(run: Run, files: dict[int, list[Place]]) -> int:
    """The epoch after the last one that all processes have observed to its end."""
    return 1 + max((epoch for epoch, paths in files.items() if not lacks_files(run.info, paths)), default=-1)


def _missing(run: Run, folders: Sequence[str], numbers: Sequence[int]) -> Iterator[int]:
    """Epochs up to the last one that lack a file, of one process at least."""
    there = [parts(run.path / folder) for folder in folders]
    for epoch in range(numbers[-1] + 1 if numbers else 0):
        if any(lacks_files(run.info, files.get(epoch, [])) for files in there):
            yield epoch
