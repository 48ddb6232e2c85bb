"""Rows of a table as standardised float32 tensors, a batch at a time (the table is never copied), and their labels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Float64, Int, Int64, Shaped
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from gwa_attrib.errors import InputError

CHUNK = 16_384
"""Rows that are looked at together when means and scales are found."""


@dataclass(frozen=True, eq=False)
class StandardisedRows:
    """A table ``[sample, feature]`` of any number type, with the mean and the scale of each column."""

    table: Shaped[np.ndarray, "sample feature"]
    mean: Float64[np.ndarray, " feature"]
    scale: Float64[np.ndarray, " feature"]
    """Standard deviation; 1 where it is zero."""

    def take(self, rows: Int[np.ndarray, " row"]) -> Float32[Tensor, "row feature"]:
        """Take rows, each column less its mean and divided by its scale.

        In float32 throughout where the table is; otherwise rounded only at the end.
        """
        exact = np.dtype(np.float32 if self.table.dtype == np.float32 else np.float64)
        batch = np.subtract(self.table[rows], self.mean.astype(exact), dtype=exact)
        batch /= self.scale.astype(exact)
        return torch.from_numpy(batch.astype(np.float32, copy=False))


def standardised(table: Shaped[np.ndarray, "sample feature"]) -> StandardisedRows:
    """Find means and scales, in float64, chunk by chunk.

    Raises:
        InputError: values so large that their variance has no number.
    """
    scaler = StandardScaler()
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(table), CHUNK):
            scaler.partial_fit(table[start : start + CHUNK])
    beyond = np.flatnonzero(~np.isfinite(scaler.scale_) | ~np.isfinite(scaler.mean_))
    if len(beyond):
        raise InputError(
            expected="columns of X whose variance is a finite number",
            found=f"values up to {np.abs(table[:, beyond[0]]).max():.3g} in column {beyond[0]}",
            todo="Divide X by a constant.",
        )
    return StandardisedRows(table, np.asarray(scaler.mean_), np.asarray(scaler.scale_))


def encoded(y: object) -> tuple[Shaped[np.ndarray, " class"], Int64[np.ndarray, " sample"]]:
    """The classes, sorted, and the number of each label among them.

    Raises:
        ValueError: a label is missing, there is one class only, or labels are no classes (a measured quantity).
    """
    labels = column_or_1d(y, warn=True)
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise InputError(
            expected="a label for every row",
            found=f"{len(missing)} missing, the first in row {missing[0]}",
            todo="Leave these rows out.",
        )
    if len(labels):
        check_classification_targets(labels)
    encoder = LabelEncoder()
    numbers = encoder.fit_transform(labels).astype(np.int64, copy=False)
    if len(encoder.classes_) < 2:
        raise InputError(
            expected="labels of at least two classes",
            found=f"one class, {encoder.classes_[0]!r}" if len(labels) else "no label",
            todo="Pass more rows.",
        )
    return encoder.classes_, numbers
