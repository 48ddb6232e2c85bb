"""A second set of labels among the inputs tells the model the answer. It cannot be known, but suspected."""

import warnings

import numpy as np
import pandas as pd
from jaxtyping import Int64

from gwa_attrib.datasets.labels import class_positions
from gwa_attrib.datasets.messages import listed


def second_labels(
    inputs: pd.DataFrame, labels: Int64[np.ndarray, " sample"], class_names: tuple[str, ...]
) -> list[str]:
    """Columns whose values are exactly the classes, and the label in more than half of the samples.

    Two numbers are no sign: any yes/no column has them.
    """
    found = []
    for name in map(str, inputs):
        column = inputs[name]
        values = column.dropna().drop_duplicates()
        if len(values) != len(class_names) or (len(values) == 2 and column.dtype.kind in "biuf"):
            continue
        if (class_positions(values, class_names) < 0).any():
            continue
        if np.mean(class_positions(column, class_names) == labels) > 0.5:
            found.append(name)
    return found


def warn_of_second_labels(
    inputs: pd.DataFrame, labels: Int64[np.ndarray, " sample"], class_names: tuple[str, ...]
) -> None:
    """Say so if there are any."""
    names = second_labels(inputs, labels, class_names)
    if names:
        warnings.warn(
            f"Expected inputs that do not hold the answer. Found {listed(names)} with the classes as values. If these "
            "are labels, too, they tell the model the answer: name them with --truth (truth=), or leave them out "
            "of the file (exclude= of load).",
            stacklevel=6,
        )
