"""Arrays in one .npz: `X`, `y`, and any further facts per sample; what the shape and type of `X` mean."""

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.labels import class_labels
from gwa_attrib.datasets.messages import listed, printable, rows_where, shown
from gwa_attrib.datasets.plain import plain_array
from gwa_attrib.datasets.readers.registry import Options, existing_file, readers
from gwa_attrib.errors import DataError
from gwa_attrib.value_types import Array, Floats32

_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    MemoryError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""Errors of NumPy and zipfile for a file that is damaged, encrypted, or claims to be enormous."""


@readers.register("npz", source="numpy.savez")
def read_npz(location: str, options: Options) -> LabeledData:
    """An .npz with arrays X and y; any other array [sample] is an extra column.

    Raises:
        DataError: see `array_inputs` and `class_labels`; and arrays of other lengths, other shapes, or of objects.
    """
    path = existing_file(location)
    arrays = _arrays(path)
    label = options.label_column if options.label_column is not None else "y"
    needed = {"X": "the inputs", label: "the labels", **dict.fromkeys(options.exclude, "an extra column")}
    for name, role in needed.items():
        if name not in arrays:
            raise DataError(
                expected=f"an array {shown(name)} with {role} in {path}",
                found=f"arrays: {listed(arrays)}",
                todo=f"Save it: np.savez(file, X=inputs, y=labels). Another array than {shown(label)} can be named as "
                "the label column.",
            )
    if label == "X" or label in options.exclude or "X" in options.exclude:
        raise DataError(
            expected="inputs X, labels and excluded arrays to be different arrays",
            found=f"labels {shown(label)}, excluded: {listed(options.exclude)}",
            todo="Name each array once.",
        )
    _check_lengths(arrays, label, path)
    arrays = {name: array[: options.limit] for name, array in arrays.items()}
    labels, class_names = class_labels(arrays.pop(label), f"{label!r} of {path}")
    kind, inputs = array_inputs(arrays.pop("X"), f"X of {path}")
    columns = {name: plain_array(array, f"{name!r} of {path}") for name, array in arrays.items()}
    frame = pd.DataFrame(inputs, columns=[f"x{i}" for i in range(inputs.shape[1])]) if kind == "table" else inputs
    keys = tuple(str(i) for i in range(len(labels)))
    return LabeledData(printable(path.name), location, kind, frame, labels, class_names, keys, columns)


def _arrays(path: Path) -> dict[str, Array]:
    """Everything in the file; nothing in it is executed."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array, not an archive of named arrays")
            with archive:
                return {name: archive[name] for name in archive.files}
    except _DAMAGED as error:
        objects = "pickle" in str(error).lower()
        raise DataError(
            expected=f"{path} to be an .npz of numbers and texts",
            found="an array of Python objects" if objects else f"{type(error).__name__}: {error}",
            todo="Save texts as fixed-width unicode, array.astype(str): objects would have to be unpickled, which can "
            "execute code."
            if objects
            else "Save it again with np.savez(file, X=inputs, y=labels).",
        ) from error


def _check_lengths(arrays: dict[str, Array], label: str, path: Path) -> None:
    if arrays["X"].ndim == 0:
        raise DataError(
            expected=f"X of {path} with one row per sample", found="a single value", todo="Save X as [sample, feature]."
        )
    length = len(arrays["X"])
    for name, array in arrays.items():
        if name == "X" or (name == label and array.ndim != 1 and array.shape[:1] == (length,)):
            continue
        if array.ndim != 1 or len(array) != length:
            raise DataError(
                expected=f"{shown(name)} of {path} to have one value for each of the {length} rows of X",
                found=f"shape {list(array.shape)}" + (f": {len(array)} values" if array.ndim == 1 else ""),
                todo="Save only X, the labels and arrays with one value per sample.",
            )


COLOURS = (1, 3, 4)
"""Numbers of channels: grey, RGB, RGB and alpha."""


def array_inputs(X: Shaped[np.ndarray, "..."], what: str = "X") -> tuple[Literal["table", "image", "text"], Array]:
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


def _float32(X: Shaped[np.ndarray, "..."]) -> Floats32:
    with np.errstate(over="ignore"):
        return X.astype(np.float32)


def _finite(X: Shaped[np.ndarray, "..."], what: str) -> Array:
    broken = ~np.isfinite(X).reshape(len(X), -1).all(axis=1)
    if broken.any():
        raise DataError(
            expected=f"finite numbers in {what}",
            found=f"NaN, infinite or larger than float32 holds in {rows_where(broken)}",
            todo="Repair or remove these samples. In a table (.csv, .parquet) missing values are allowed.",
        )
    return X


def _channels_last(X: Shaped[np.ndarray, "..."], what: str) -> Array:
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
