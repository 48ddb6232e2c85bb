"""A run in other engines: lazily, through narwhals, so that a query is written once.

import narwhals as nw
frame = run.scan("duckdb")            # or "polars", "pyarrow"; "dask", "pyspark" past one machine
frame.group_by("sample_id").agg(nw.col("margin").mean())
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pandas as pd
import pyarrow as pa

from gwa_attrib.errors import InputError, MissingDependencyError
from gwa_attrib.files.places import Place, is_remote, let_read, place
from gwa_attrib.store.checked import check_columns
from gwa_attrib.store.run_files import damaged, open_parquet, parts
from gwa_attrib.store.schema import LAYER_SCHEMA, LAYERS, OBSERVATION_SCHEMA, OBSERVATIONS, PROBE, SpanName
from gwa_attrib.store.tables import check_layer, no_epoch, table_files

if TYPE_CHECKING:
    import dask.dataframe
    import duckdb
    import polars
    import pyspark.sql

TABLES = (OBSERVATIONS, LAYERS, PROBE)
ENGINES = ("duckdb", "polars", "pyarrow", "dask", "pyspark")
Files = Sequence[str]
Frame = nw.LazyFrame[Any] | nw.DataFrame[Any]
"""A table of an engine: lazy, or read."""


def scan(
    root: Place, run_id: str, layers: Sequence[str], engine: str, table: str, whole: Callable[[], pa.Table]
) -> Frame:
    """Open all observations of a run (of repeated epochs the latest attempt) as a narwhals frame of the engine.

    It is given what it needs of the run, and not the `Run`, which calls it.

    Args:
        root: The folder of the run.
        run_id: Of the run.
        layers: Names of the recorded layers.
        engine: `duckdb`, `polars`, `pyarrow`, `dask` or `pyspark`.
        table: "observations", "layers" (the tidy table of the recorded layers) or "probe".
        whole: Reads the whole table, for the engine that is not lazy.

    `duckdb`, `polars`, `dask` and `pyspark` are lazy (`.to_native()` gives their own object, `.collect()` the result);
    `pyarrow` reads. Spark has no half-precision numbers: `pyspark` leaves the column `top_prob` out.

    Raises:
        RunFormatError: the run has no epoch yet, or a file is damaged or none of this run.
        InputError: another engine or table.
        MissingDependencyError: the engine is not installed.
    """
    if table not in TABLES:
        raise InputError(expected=f"a table out of {', '.join(TABLES)}", found=repr(table), todo="Choose one of them.")
    if engine not in ENGINES:
        raise InputError(
            expected=f"an engine out of {', '.join(ENGINES)}", found=repr(engine), todo="Choose one of them."
        )
    if table == LAYERS:
        check_layer(layers, None)
    files = parts(root / table) if table == LAYERS else table_files(root, table)
    if not files:
        raise no_epoch(root)
    _check(run_id, files, table)
    if is_remote(root):
        _check_engine(engine)
    if engine == "pyarrow":
        read: nw.DataFrame[Any] = nw.from_native(whole())
        return read
    return _scan(files, READERS[engine])


def observations_of(root: Place, run_id: str, sample_id: int) -> pd.DataFrame:
    """Find the observations of a sample, in the order in which they were made; none for an id that is nowhere."""
    import duckdb

    def read(files: Files) -> "duckdb.DuckDBPyRelation":
        return connection.read_parquet(list(files))

    files = table_files(root, OBSERVATIONS)
    if not files:
        raise no_epoch(root)
    _check(run_id, files, OBSERVATIONS)
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")  # it would be printed among results
        let_read(connection, files[min(files)])
        rows = _scan(files, read).filter(nw.col("sample_id") == sample_id).sort("epoch", "step").collect()
    found: pd.DataFrame = rows.to_pandas()
    return found


def _check_engine(engine: str) -> None:
    if engine in ("polars", "pyspark"):
        raise InputError(
            expected="duckdb, pyarrow or dask, to read an object store",
            found=engine,
            todo=f"Choose one of them, or set {engine} up for the store and give it the run's files.",
        )


def _check(run_id: str, files: dict[int, list[Place]], table: str) -> None:
    """Check the ends of the files, which say what is in them: an engine's own errors do not say what to do."""
    schema = LAYER_SCHEMA if table == LAYERS else OBSERVATION_SCHEMA
    for path in dict.fromkeys(path for paths in files.values() for path in paths):
        with open_parquet(path, run_id) as file:
            check_columns(path, file.schema_arrow, schema, None)


def _scan(files: dict[int, list[Place]], read: Callable[[Files], object]) -> nw.LazyFrame[Any]:
    """Read whole files, and of a compacted one only the epochs that were not recorded again."""
    whole = dict.fromkeys(str(path) for paths in files.values() for path in paths)
    frames: list[nw.LazyFrame[Any]] = []
    for path in {path for paths in files.values() for path in paths if _partly(path, files)}:
        del whole[str(path)]
        epochs = [epoch for epoch, paths in files.items() if path in paths]
        frames.append(_read(read, [str(path)]).filter(nw.col("epoch").is_in(epochs)))
    if whole:
        frames.insert(0, _read(read, list(whole)))
    return frames[0] if len(frames) == 1 else nw.concat(frames)


def _partly(path: Place, files: dict[int, list[Place]]) -> bool:
    span = SpanName.parse(path)
    return span is not None and any(path not in files.get(epoch, ()) for epoch in span.epochs)


def _read(read: Callable[[Files], object], files: Files) -> nw.LazyFrame[Any]:
    try:
        return nw.from_native(read(files))
    except ImportError as error:
        package = str(error.name).partition(".")[0]
        raise MissingDependencyError(
            expected=package, found="it is not installed", todo=f"Run `pip install {INSTALL.get(package, package)}`."
        ) from error
    except Exception as error:  # whatever the engine makes of a damaged file
        raise damaged(place(files[0]).parent, f"{type(error).__name__}: {error}") from error


def _duckdb(files: Files) -> "duckdb.DuckDBPyRelation":
    import duckdb

    let_read(duckdb, [place(file) for file in files[:1]])
    return duckdb.read_parquet(list(files))


def _polars(files: Files) -> "polars.LazyFrame":
    import polars

    # A folder may have [ or * in its name.
    frame = polars.scan_parquet(list(files), glob=False)
    frame.collect_schema()
    return frame


def _dask(files: Files) -> "dask.dataframe.DataFrame":
    import dask.dataframe

    # Its own reader takes [ and * for patterns.
    frame: dask.dataframe.DataFrame = dask.dataframe.from_map(pd.read_parquet, list(files))
    return frame


def _pyspark(files: Files) -> "pyspark.sql.DataFrame":
    from pyspark.sql import SparkSession

    columns = [f"`{name}` {kind}" for name, kind in _spark_types(files[0])]
    frame: pyspark.sql.DataFrame = (
        SparkSession.builder.getOrCreate().read.schema(", ".join(columns)).parquet(*map(_literal, files))
    )
    return frame


def _literal(path: str) -> str:
    """Escape a path so that Hadoop finds no pattern in it."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def _spark_types(file: str) -> Iterator[tuple[str, str]]:
    import pyarrow.parquet as pq

    kinds = {"int64": "bigint", "int32": "int", "float": "float", "double": "double", "string": "string"}
    for field in pq.read_schema(file):
        inner = str(getattr(field.type, "value_type", field.type))
        # Columns that are not named are not read: Spark has no half precision, and stops at it.
        if inner in kinds:
            yield field.name, f"array<{kinds[inner]}>" if "list" in str(field.type) else kinds[inner]


READERS: dict[str, Callable[[Files], object]] = {
    "duckdb": _duckdb,
    "polars": _polars,
    "dask": _dask,
    "pyspark": _pyspark,
}
INSTALL = {"dask": "'gwa-attrib[dask]'", "pyspark": "'gwa-attrib[spark]'"}
