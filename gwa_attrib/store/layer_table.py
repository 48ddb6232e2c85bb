"""What was observed of the layers of a run, read back: as a tidy table, or one value per sample and epoch."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from gwa_attrib.errors import InputError, RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.store.dense import positions, scatter_mean
from gwa_attrib.store.run_files import joined, parts, read_table
from gwa_attrib.store.schema import LAYER_SCHEMA, LAYER_SIGNALS, LAYERS, OBSERVATIONS


def layer_table(root: Place, run_id: str, recorded: Sequence[str], layer: str | None, epoch: int | None) -> pa.Table:
    """Rows of one layer or of all, of one epoch or of all.

    Raises:
        InputError: a layer that was not recorded, or none was.
    """
    _known(recorded, layer)
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
    _known(recorded, layer)
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


def _known(recorded: Sequence[str], layer: str | None) -> None:
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
