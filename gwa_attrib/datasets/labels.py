"""Given labels of any kind as class indices 0..C-1, with class names that keep what the labels were."""

import numpy as np
import pandas as pd
from jaxtyping import Int64

from gwa_attrib.datasets.messages import listed, rows_where
from gwa_attrib.datasets.plain import plain_array
from gwa_attrib.errors import DataError
from gwa_attrib.value_types import Array, Bools

MANY_CLASSES = 50
"""More different labels than this, in more than half as many samples, are taken for something else than classes."""


def class_labels(
    values: Array | pd.Series, what: str = "the labels"
) -> tuple[Int64[np.ndarray, " sample"], tuple[str, ...]]:
    """Class index of each sample, and the classes' names: in numeric order for numbers, else alphabetically.

    Args:
        values: strings, integers, floats, bools or categories ``[sample]``. The order of categories is not kept.
        what: how an error names them.

    Raises:
        DataError: soft labels, missing or infinite labels, fewer than two samples or classes, and what looks like the
            target of a regression, an identity or a text.

    Example:
        >>> labels, names = class_labels(np.array([10.0, -1.0, 2.0, 10.0]))
        >>> labels.tolist(), names
        ([2, 0, 1, 2], ('-1', '2', '10'))
    """
    if np.ndim(values) != 1:
        raise DataError(
            expected=f"one class index per sample in {what}, shape [sample]",
            found=f"shape {list(np.shape(values))}, as of soft or one-hot labels",
            todo="Save class indices: y.argmax(axis=1) of probabilities, y.ravel() of a single column.",
        )
    column = plain_array(values, what)
    _check_samples(column, what)
    unique, indices = np.unique(column, return_inverse=True)
    _check_classes(unique, column, what)
    return indices.astype(np.int64), tuple(label_texts(unique))


def label_texts(column: Array) -> list[str]:
    """The labels of a plain array as class names: floats that are all whole as integers, anything else as it prints."""
    if column.dtype.kind == "f":
        present = column[np.isfinite(column)]
        if np.all(present == np.trunc(present)):
            return [str(int(v)) if np.isfinite(v) else str(v) for v in column]
    return [str(value) for value in column]


def class_positions(
    values: Array | pd.Series, class_names: tuple[str, ...], what: str = "the labels"
) -> Int64[np.ndarray, " sample"]:
    """Positions in `class_names` of further labels of the same samples; -1 where a label is missing or no such class.

    Example:
        >>> class_positions(np.array([2.0, np.nan, 7.0]), ("1", "2"))
        array([ 1, -1, -1])
    """
    position = {name: i for i, name in enumerate(class_names)}
    return np.array([position.get(text, -1) for text in label_texts(plain_array(values, what))], dtype=np.int64)


def _missing(column: Array) -> Bools:
    if column.dtype == object:
        return np.array([value is None or value == "" for value in column], dtype=bool)
    return ~np.isfinite(column)


def _check_samples(column: Array, what: str) -> None:
    if len(column) < 2:
        raise DataError(
            expected=f"at least two samples in {what}",
            found=str(len(column)),
            todo="Give data with several samples of at least two classes.",
        )
    missing = _missing(column)
    if missing.any():
        raise DataError(
            expected=f"a label for every sample in {what}",
            found=f"missing or infinite labels for {rows_where(missing)}",
            todo="Fill them in, or remove these samples.",
        )


def _check_classes(unique: Array, column: Array, what: str) -> None:
    if len(unique) < 2:
        raise DataError(
            expected=f"at least two classes in {what}",
            found=f"only {listed(unique.tolist())}",
            todo="Give samples of all classes; a limit keeps the first samples only.",
        )
    if len(unique) > MANY_CLASSES and len(unique) > len(column) / 2:
        raise DataError(
            expected=f"classes in {what}, with several samples each",
            found=f"{len(unique)} different values in {len(column)} samples; {_what_it_looks_like(unique)}",
            todo="Name the column that holds the class; put numbers into bins if you want to audit them as classes.",
        )


def _what_it_looks_like(unique: Array) -> str:
    if unique.dtype.kind == "f" and np.any(unique != np.trunc(unique)):
        return "this looks like the target of a regression"
    return "this looks like an identity, a measurement or a text, not like a class"
