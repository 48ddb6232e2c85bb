"""Reading a run: trajectories as matrices, tables as data frames, and observations lazily for other engines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int

from gwa_attrib.display.notebook import ROWS, small_html
from gwa_attrib.errors import GWAError, InputError
from gwa_attrib.files.places import Place, place
from gwa_attrib.store.checked import check_classes, check_no_holes, check_samples
from gwa_attrib.store.run_files import Between, IdRanges, damaged, joined, parts, read_table
from gwa_attrib.store.run_json import RunInfo, read_info
from gwa_attrib.store.schema import (
    EPOCH_SCHEMA,
    EPOCHS,
    FLOAT_SIGNALS,
    LAYERS,
    OBSERVATION_SCHEMA,
    OBSERVATIONS,
    SAMPLES_FILE,
    SAMPLES_SCHEMA,
)
from gwa_attrib.store.summaries import Row, checked_row, epoch_frame
from gwa_attrib.store.tables import (
    layer_by_epoch,
    layer_table,
    no_epoch,
    positions,
    scatter_last,
    scatter_mean,
    table_files,
)
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    import narwhals as nw

TRAJECTORIES = (*FLOAT_SIGNALS, "learning_rate", "pred", "correct")
SHOWN = ("n", "mean", "excess_kurtosis", "gwa", "gwa_reliable", "fraction_negative", "coverage")
NAMED = 6
"""Whose names are said."""


@dataclass(frozen=True)
class Run:
    """A recorded run. Opened with `open_run`; it never changes the files."""

    path: Place
    info: RunInfo

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per sample, ordered by sample_id: sample_id, key, label (-1: never seen), further columns.

        Raises:
            RunFormatError: the run has no epoch yet, or the file is damaged.
        """
        file = self.path / SAMPLES_FILE
        if not file.exists():
            raise no_epoch(self.path)
        return samples_of(file, read_table(file, self.run_id, SAMPLES_SCHEMA), len(self.class_names))

    @property
    def run_id(self) -> str:
        """The identity that tells this run from all others."""
        return str(self.info["run_id"])

    @property
    def sample_ids(self) -> Int[np.ndarray, " sample"]:
        """Ids of the samples, int64, ascending; column j of a trajectory is the sample at position j."""
        return self.samples["sample_id"].to_numpy(dtype=np.int64)

    @property
    def labels(self) -> Int[np.ndarray, " sample"]:
        """Given labels, int32; -1 for a sample that was never seen."""
        return self.samples["label"].to_numpy(dtype=np.int32)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.info["class_names"])

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the recorded layers: "all" for all recorded parameters together, then each block; () with the head
        alone."""
        return tuple(self.info.get("layers", ()))

    @property
    def epoch_numbers(self) -> tuple[int, ...]:
        """Numbers of the recorded epochs, ascending. Row i of a trajectory is the i-th of them."""
        return tuple(parts(self.path / OBSERVATIONS))

    def observations(
        self, columns: Sequence[str] | None = None, *, epoch: int | None = None, table: str = OBSERVATIONS
    ) -> pa.Table:
        """Observations as they were recorded (duplicates kept), of one epoch or of all.

        ``table="probe"`` gives what was measured in evaluation mode after the epochs instead.

        Raises:
            RunFormatError: the run has no epoch yet, or not this one.
            InputError: another table, or the run was recorded without a probe.
        """
        files = table_files(self.path, table)
        chosen = files if epoch is None else {epoch: files.get(epoch, [])}
        tables = [self._observations(columns, number, paths, None) for number, paths in chosen.items() if paths]
        if not tables:
            raise no_epoch(self.path)
        return joined(tables)

    def _observations(
        self, columns: Sequence[str] | None, epoch: int, paths: Sequence[Place], between: Between | None
    ) -> pa.Table:
        """Read the observations of one epoch by all processes; those with ids in a range alone, if one is given."""
        tables = []
        for path in paths:
            rows = read_table(
                path,
                self.run_id,
                OBSERVATION_SCHEMA,
                columns=columns,
                epoch=epoch,
                between=between,
                ranges=self._id_ranges,
            )
            check_no_holes(path, rows)
            check_classes(path, rows, len(self.class_names))
            tables.append(rows if between is None else _within(rows, between))
        return joined(tables)

    @cached_property
    def _id_ranges(self) -> IdRanges:
        return IdRanges()

    def observations_of(self, sample_id: int) -> pd.DataFrame:
        """The observations of one sample, in the order in which they were made; only the parts of the files that can
        hold it are read.

        Raises:
            RunFormatError: the run has no epoch yet.
            InputError: there is no such sample.
        """
        from gwa_attrib.store.queries import observations_of

        found = observations_of(self.path, self.run_id, sample_id)
        if not len(found) and sample_id not in self.sample_ids:
            raise InputError(
                expected=f"the id of one of the {len(self.sample_ids)} samples of {self.path}",
                found=str(sample_id),
                todo="Ids are in run.samples.",
            )
        return found

    def layer_observations(self, layer: str | None = None, *, epoch: int | None = None) -> pa.Table:
        """Tidy table of the layers: sample_id, epoch, step, layer, alignment, dot, grad_norm; one row per observation.

        Raises:
            InputError: a layer that was not recorded.
        """
        return layer_table(self.path, self.run_id, self.layers, layer, epoch)

    def by_epoch(
        self, *names: str, table: str = OBSERVATIONS, rows: slice = slice(None)
    ) -> Iterator[tuple[int, dict[str, Array]]]:
        """Epoch after epoch, each named column with one value per sample, or per sample in `rows` of `samples` (of the
        files only what can hold these is read); memory for one epoch only.

        Floats: the mean over the sample's observations in the epoch, NaN if there are none. `pred`: the last one, -1 if
        there is none. `top_class`, `top_prob`: the last ones, ``[sample, top]``, class -1 and probability 0 if there
        are none. `correct`: 1.0, 0.0 or NaN. Raises RunFormatError where a column was not recorded. ``table="probe"``
        gives the epochs after which there was a probe.
        """
        sample_ids, labels = self.sample_ids[rows], self.labels[rows]
        bounds = (int(sample_ids[0]), int(sample_ids[-1])) if len(sample_ids) else (1, 0)
        between = bounds if len(sample_ids) < len(self.sample_ids) else None
        files = table_files(self.path, table)
        stored = tuple(dict.fromkeys("pred" if name == "correct" else name for name in names))
        for epoch in files:
            observed = self._observations(("sample_id", "step", *stored), epoch, files[epoch], between)
            if len(files[epoch]) > 1:
                observed = observed.sort_by("step")  # the last observation is the last, whichever process made it
            where = positions(sample_ids, observed["sample_id"].to_numpy())
            dense = {name: _dense(name, observed[name], where, len(sample_ids)) for name in stored}
            if "correct" in names:
                pred = dense["pred"]
                dense["correct"] = np.where(pred < 0, np.nan, pred == labels).astype(np.float32)
            yield epoch, {name: dense[name] for name in names}

    def trajectory(
        self, name: str, layer: str | None = None, *, table: str = OBSERVATIONS
    ) -> Float[np.ndarray, "epoch sample"]:
        """A signal as float32 ``[epoch, sample]``; NaN where a sample was not seen. Column j is row j of `samples`.

        `name` is one of alignment, loss, margin, p_label, el2n, grad_norm, dot, learning_rate, pred, correct.
        Duplicates within an epoch are averaged (of `pred`, the last counts). `layer` takes alignment, dot or grad_norm
        of a recorded layer, or of "all" together, instead of the head's kernel. ``table="probe"`` gives what was
        measured in evaluation mode at the end of each epoch, NaN for samples that are not in the probe.

        Raises:
            InputError: another name, a layer that was not recorded, or no probe was.
            RunFormatError: the run has no epoch yet, or was recorded without this signal.
        """
        if name not in TRAJECTORIES:
            raise InputError(
                expected=f"a signal out of {', '.join(TRAJECTORIES)}", found=repr(name), todo="Choose one of them."
            )
        epochs = self.epoch_numbers
        if not epochs:
            raise no_epoch(self.path)
        matrix = np.full((len(epochs), len(self.sample_ids)), np.nan, dtype=np.float32)
        if layer is not None:
            values = layer_by_epoch(self.path, self.run_id, self.layers, layer, name, self.sample_ids)
            for row, epoch in zip(matrix, epochs, strict=True):
                row[:] = values(epoch)
            return matrix
        for epoch, dense in self.by_epoch(name, table=table):
            row = np.where(dense[name] < 0, np.nan, dense[name]) if name == "pred" else dense[name]
            matrix[epochs.index(epoch)] = row
        return matrix

    def epochs(self) -> pd.DataFrame:
        """One row an epoch: the fields of `EpochSummary`, and the metrics that were passed to `end_epoch`."""
        tables: dict[int, list[Row]] = {}
        for epoch, paths in parts(self.path / EPOCHS).items():
            tables[epoch] = []
            for path in paths:
                table = read_table(path, self.run_id, EPOCH_SCHEMA, epoch=epoch)
                tables[epoch] += [checked_row(path, row, epoch) for row in table.to_pylist()]
            if not tables[epoch]:
                raise damaged(paths[0], "no row")
        return epoch_frame(tables)

    def _repr_html_(self) -> str:
        return _as_html(self)

    def scan(self, engine: str = "duckdb", table: str = "observations") -> "nw.LazyFrame[Any] | nw.DataFrame[Any]":
        """All observations (or ``table="layers"``) lazily in another engine: see `gwa_attrib.store.queries.scan`."""
        from gwa_attrib.store.queries import scan

        return scan(self.path, self.run_id, self.layers, engine, table, lambda: self._whole(table))

    def _whole(self, table: str) -> pa.Table:
        return self.layer_observations() if table == LAYERS else self.observations(table=table)


def open_run(path: str | Place) -> Run:
    """Open a recorded run for reading: a folder, or an address such as ``s3://bucket/run`` (see docs/scaling.md).

    Raises:
        NotARunError: the folder holds no run.
        RunFormatError: run.json is damaged or of another version.
    """
    root = place(path)
    return Run(root, read_info(root))


def _within(rows: pa.Table, between: Between) -> pa.Table:
    ids = rows["sample_id"].to_numpy()
    return rows.filter((ids >= between[0]) & (ids <= between[1]))


def _dense(name: str, column: pa.ChunkedArray, where: Int[np.ndarray, " row"], size: int) -> Array:
    if pa.types.is_fixed_size_list(column.type):
        top = column.type.list_size
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return scatter_last(flat.reshape(-1, top), where, size, missing=-1 if name == "top_class" else 0)
    values = column.to_numpy()
    if np.issubdtype(values.dtype, np.integer):
        return scatter_last(values, where, size, missing=-1)
    return scatter_mean(values, where, size)


def samples_of(file: Place, table: pa.Table, classes: int) -> pd.DataFrame:
    """Make a frame of the samples in a file, ordered by their ids.

    Raises:
        RunFormatError: a sample comes twice, or has a label that is no class.
    """
    check_classes(file, table, classes, least=-1)
    try:
        frame: pd.DataFrame = table.to_pandas()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise damaged(file, f"{type(error).__name__}: {error}") from error
    check_samples(file, frame)
    return frame.sort_values("sample_id", ignore_index=True)


def _as_html(run: Run) -> str:
    """Show a run in a notebook: facts and last epochs; of a damaged one what run.json says, and the error."""
    names = run.class_names
    classes = f"{len(names):,}: {', '.join(names[:NAMED])}{'…' if len(names) > NAMED else ''}"
    facts = {"status": run.info.get("status"), "samples": run.info.get("num_samples"), "classes": classes}
    title = f"Run {run.path.name}"
    try:
        table = run.epochs()
        numbers = run.epoch_numbers
    # A notebook shows a run without being asked: that must never end in a traceback.
    except (GWAError, OSError) as error:
        return small_html(title, {**facts, "cannot be read:": str(error)})
    facts |= {"epochs": len(numbers), "layers": ", ".join(run.layers[:NAMED]) or None}
    if not len(table):
        return small_html(title, {**facts, "no epoch yet:": "recorder.end_epoch() writes the first"})
    last: pd.DataFrame = table.set_index("epoch")[[name for name in SHOWN if name in table]].tail(ROWS)
    return small_html(title, facts, last, of=len(table), what="epochs, the last")
