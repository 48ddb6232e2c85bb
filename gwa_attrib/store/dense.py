"""From rows (one per observation) to one value per sample: duplicates merged, unseen samples NaN."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gwa_attrib.errors import RunFormatError

Array = np.ndarray[Any, np.dtype[Any]]


def positions(sample_ids: Int[np.ndarray, " sample"], ids: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
    """Where each of `ids` stands in the sorted `sample_ids`.

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
    """Mean of each sample's finite values, as float32; NaN where there is none."""
    finite = ~np.isnan(values)
    where, values = where[finite], values[finite]
    dense = np.full(size, np.nan, dtype=np.float32)
    dense[where] = values
    count = np.bincount(where, minlength=size)
    if count.max(initial=0) > 1:
        total = np.bincount(where, weights=values, minlength=size)
        dense[count > 1] = total[count > 1] / count[count > 1]
    return dense


def scatter_last(values: Array, where: Int[np.ndarray, " row"], size: int, missing: float | int) -> Array:
    """Each sample's last value, in the order of the rows; `missing` where there is none."""
    dense = np.full((size, *values.shape[1:]), missing, dtype=values.dtype)
    dense[where] = values
    return dense
