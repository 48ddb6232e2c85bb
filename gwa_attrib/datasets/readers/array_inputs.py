"""What the shape and type of an input array mean: table, images or texts."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from gwa_attrib.datasets.messages import rows_where
from gwa_attrib.datasets.plain import Column, plain_array
from gwa_attrib.errors import DataError

COLOURS = (1, 3, 4)
"""Numbers of channels: grey, RGB, RGB and alpha."""


def array_inputs(X: Shaped[np.ndarray, "..."], what: str = "X") -> tuple[Literal["table", "image", "text"], Column]:
    """The kind of inputs, and the inputs as `LabeledData` wants them: bytes stay bytes, other numbers become float32.

    ============================  ===========================================================================
    ``[sample, feature]``         table
    ``[sample, height, width]``   grey images
    ``[sample, h, w, c]``         images if c is 1, 3 or 4; of 4 channels the last, alpha, is dropped
    ``[sample, c, h, w]``         images, if c is 1, 3 or 4 and the last axis is not: channels last goes first
    ``[sample]`` of strings       texts
    ============================  ===========================================================================

    Raises:
        DataError: any other shape or type; values that are NaN or infinite, also those too large for float32.
    """
    if X.dtype.kind in "US" and X.ndim == 1:
        return "text", plain_array(X, what)
    if X.dtype.kind not in "buif" or X.ndim not in (2, 3, 4) or 0 in X.shape[1:]:
        raise _not_inputs(X, what)
    numbers = _finite(X if X.dtype == np.uint8 else _float32(X), what)
    if X.ndim == 2:
        return "table", numbers
    return "image", _channels_last(numbers, what)


def _float32(X: Shaped[np.ndarray, "..."]) -> np.ndarray[Any, np.dtype[np.float32]]:
    with np.errstate(over="ignore"):
        return X.astype(np.float32)


def _finite(X: Shaped[np.ndarray, "..."], what: str) -> Column:
    broken = ~np.isfinite(X).reshape(len(X), -1).all(axis=1)
    if broken.any():
        raise DataError(
            expected=f"finite numbers in {what}",
            found=f"NaN, infinite or larger than float32 holds in {rows_where(broken)}",
            todo="Repair or remove these samples. In a table (.csv, .parquet) missing values are allowed.",
        )
    return X


def _channels_last(X: Shaped[np.ndarray, "..."], what: str) -> Column:
    if X.ndim == 3:
        return X[..., None]
    if X.shape[3] not in COLOURS:
        if X.shape[1] not in COLOURS:
            raise _not_inputs(X, what)
        X = X.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(X[..., :3])


def _not_inputs(X: Shaped[np.ndarray, "..."], what: str) -> DataError:
    return DataError(
        expected=f"{what} with numbers [sample, feature], images [sample, height, width] or [sample, height, width, "
        "channel] of 1, 3 or 4 channels, or texts [sample]",
        found=f"shape {list(X.shape)} of {X.dtype}",
        todo="Reshape it; a single feature is X[:, None], a table of texts is a .csv or .parquet.",
    )
