"""Labels of any kind as numbers of their classes."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64, Shaped
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from gwa_attrib.errors import InputError


def encoded(y: Any) -> tuple[Shaped[np.ndarray, " class"], Int64[np.ndarray, " sample"]]:
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
