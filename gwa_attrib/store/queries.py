"""A run in other engines: lazily, through narwhals, so that a query is written once.

import narwhals as nw
frame = run.scan("duckdb")            # or "polars", "pyarrow"
frame.group_by("sample_id").agg(nw.col("margin").mean())
"""

from typing import Any

import narwhals as nw

from gwa_attrib.errors import InputError, MissingDependencyError
from gwa_attrib.store.files import parts
from gwa_attrib.store.run import Run, no_epoch, table_files
from gwa_attrib.store.schema import LAYERS, OBSERVATIONS, PROBE

TABLES = (OBSERVATIONS, LAYERS, PROBE)
ENGINES = ("duckdb", "polars", "pyarrow")


def scan(run: Run, engine: str = "duckdb", table: str = "observations") -> Any:
    """All observations of the run (of repeated epochs the latest attempt) as a narwhals frame of the engine.

    `table` may be "layers", the tidy table of the recorded layers, or "probe".

    `duckdb` and `polars` are lazy (`.to_native()` gives their own object, `.collect()` the result); `pyarrow` reads.

    Raises:
        RunFormatError: the run has no epoch yet.
        InputError: another engine or table.
        MissingDependencyError: the engine is not installed.
    """
    if table not in TABLES:
        raise InputError(expected=f"a table out of {', '.join(TABLES)}", found=repr(table), todo="Choose one of them.")
    if table == LAYERS:
        run.layer_observations(epoch=-1)  # raises, and says how layers are recorded
    of_epochs = parts(run.path / table) if table == LAYERS else table_files(run, table)
    files = [str(path) for paths in of_epochs.values() for path in paths]
    if not files:
        raise no_epoch(run)
    if engine == "duckdb":
        import duckdb

        return nw.from_native(duckdb.read_parquet(files))
    if engine == "polars":
        try:
            import polars
        except ImportError as error:
            raise MissingDependencyError(
                expected="polars", found="it is not installed", todo="Run `pip install polars`."
            ) from error
        return nw.from_native(polars.scan_parquet(files, glob=False))
    if engine == "pyarrow":
        return nw.from_native(run.layer_observations() if table == LAYERS else run.observations(table=table))
    raise InputError(expected=f"an engine out of {', '.join(ENGINES)}", found=repr(engine), todo="Choose one of them.")
