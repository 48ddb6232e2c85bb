"""The tables of a run: which files they are in, and from rows (one per observation) to one value per sample."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from gwa_attrib.errors import InputError, NotRecordedError, RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.store.run_files import joined, parts, read_table
from gwa_attrib.store.schema import LAYER_SCHEMA, LAYER_SIGNALS, LAYERS, OBSERVATIONS, PROBE
from gwa_attrib.value_types import Array


def table_files(root: Place, table: str) -> dict[int, list[Place]]:
    """Find the files of each epoch that was recorded to its end: of the observations, or of the probe.

    Raises:
        InputError: another table.
        NotRecordedError: the run was recorded without a probe.
    """
    if table not in (OBSERVATIONS, PROBE):
        raise InputError(
            expected=f"a table out of {OBSERVATIONS}, {PROBE}", found=repr(table), todo="Choose one of them."
        )
    recorded = parts(root / OBSERVATIONS)
    # The observations of an epoch are written last: without them it was cut off, and does not count.
    files = {epoch: paths for epoch, paths in parts(root / table).items() if epoch in recorded}
    if recorded and not files:
        raise NotRecordedError(
            expected="a run that was recorded with a probe",
            found="none",
            todo="Record it with gwa.record(..., probe=2000), or pass a loader to recorder.end_epoch(probe=...).",
        )
    return files


def no_epoch(root: Place) -> RunFormatError:
    """Make the error of a run without an epoch, or without this one."""
    return RunFormatError(
        expected=f"a recorded epoch in {root}",
        found=f"epochs {list(parts(root / OBSERVATIONS))}",
        todo="A run gets its first epoch when recorder.end_epoch() is called.",
    )


def positions(sample_ids: Int[np.ndarray, " sample"], ids: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
    """Find where each of `ids` stands in the sorted `sample_ids`.

    Raises:
        RunFormatError: an id is not among the samples of the run.
    """
    where = np.searchsorted(sample_ids, ids)
    where = np.minimum(where, max(len(sample_ids) - 1, 0))
    if len(ids) and (not len(sample_ids) or (sample_ids[where] != ids).any()):
        stranger = ids[0] if not len(sample_ids) else ids[sample_ids[where] != ids][0]
        raise RunFormatError(
            expected="every observation to belong to a sample of samples.parquet",
            found=f"sample id {stranger}, which is not there",
            todo="The files belong to different runs; restore the samples.parquet of this run.",
        )
    return where


def scatter_mean(
    values: Float[np.ndarray, " row"], where: Int[np.ndarray, " row"], size: int
) -> Float[np.ndarray, " sample"]:
    """Average each sample's finite values, as float32; NaN where there is none."""
    finite = ~np.isnan(values)
    where, values = where[finite], values[finite]
    dense = np.full(size, np.nan, dtype=np.float32)
    # Nearly always there is one row a sample, and nothing to add up: that is in float64, and costs more.
    dense[where] = values
    count = np.bincount(where, minlength=size)
    if count.max(initial=0) > 1:
        total = np.bincount(where, weights=values, minlength=size)
        dense[count > 1] = total[count > 1] / count[count > 1]
    return dense


def scatter_last(values: Array, where: Int[np.ndarray, " row"], size: int, missing: float | int) -> Array:
    """Keep each sample's last value, in the order of the rows; `missing` where there is none."""
    dense = np.full((size, *values.shape[1:]), missing, dtype=values.dtype)
    dense[where] = values
    return dense


def layer_table(root: Place, run_id: str, recorded: Sequence[str], layer: str | None, epoch: int | None) -> pa.Table:
    """Read the rows of one layer or of all, of one epoch or of all.

    Raises:
        InputError: a layer that was not recorded, or none was.
    """
    check_layer(recorded, layer)
    # As above: layers are written before the observations, so that an epoch without these was cut off.
    files = {number: paths for number, paths in parts(root / LAYERS).items() if number in parts(root / OBSERVATIONS)}
    chosen = files if epoch is None else {epoch: files.get(epoch, [])}
    tables = [
        _of(read_table(path, run_id, LAYER_SCHEMA, epoch=number), layer)
        for number, paths in chosen.items()
        for path in paths
    ]
    return joined(tables) if tables else LAYER_SCHEMA.empty_table()


def layer_by_epoch(
    root: Place, run_id: str, recorded: Sequence[str], layer: str, signal: str, sample_ids: Int[np.ndarray, " sample"]
) -> Callable[[int], Float[np.ndarray, " sample"]]:
    """A function from the number of an epoch to the signal of each sample, NaN where it was not seen.

    Raises:
        InputError: another signal, or a layer that was not recorded.
    """
    check_layer(recorded, layer)
    if signal not in LAYER_SIGNALS:
        raise InputError(
            expected=f"a signal of a layer out of {', '.join(LAYER_SIGNALS)}",
            found=repr(signal),
            todo="Choose one of them, or leave layer=None for the signals of the head.",
        )
    files = parts(root / LAYERS)

    def values(epoch: int) -> Float[np.ndarray, " sample"]:
        if not files.get(epoch):
            raise RunFormatError(
                expected=f"the layers of epoch {epoch} in {root / LAYERS}",
                found="no file",
                todo="Restore it from a copy of the run, or read the head's signals with layer=None.",
            )
        columns = ("sample_id", "layer", signal)
        table = joined(
            _of(read_table(path, run_id, LAYER_SCHEMA, columns=columns, epoch=epoch), layer) for path in files[epoch]
        )
        where = positions(sample_ids, table["sample_id"].to_numpy())
        return scatter_mean(table[signal].to_numpy(), where, len(sample_ids))

    return values


def _of(table: pa.Table, layer: str | None) -> pa.Table:
    return table if layer is None else table.filter(pc.equal(table["layer"].cast(pa.string()), layer))


def check_layer(recorded: Sequence[str], layer: str | None) -> None:
    """Refuse a layer that was not recorded; of None a run without layers.

    Raises:
        InputError: it was not, or none was.
    """
    if not recorded:
        raise InputError(
            expected="a run that was recorded with layers",
            found="one of the head alone",
            todo="Record it with gwa.record(..., layers='all') or the names of layers.",
        )
    if layer is not None and layer not in recorded:
        raise InputError(
            expected=f"a recorded layer: {', '.join(recorded)}", found=repr(layer), todo="Choose one of them."
        )
