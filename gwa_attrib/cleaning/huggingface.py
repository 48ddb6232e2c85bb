"""Hugging Face data sets after decisions; the package is imported by whoever has made such a data set."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gwa_attrib.datasets.messages import listed, shown
from gwa_attrib.errors import InputError

if TYPE_CHECKING:
    from gwa_attrib.cleaning.cleaned import Cleaned


def cleaned_dataset(cleaned: "Cleaned", dataset: Any, label_column: str) -> Any:
    """See `Cleaned.to_huggingface`."""
    if label_column not in dataset.column_names:
        raise InputError(
            expected=f"a column {shown(label_column)} with labels",
            found=f"columns {listed(dataset.column_names)}",
            todo="Name it: to_huggingface(dataset, label_column=...).",
        )
    if len(dataset) != cleaned.samples:
        raise InputError(
            expected=f"the data set of the run, with {cleaned.samples} rows",
            found=f"{len(dataset)}",
            todo="Pass the data set that the run was recorded on.",
        )
    left = dataset.select(cleaned.sample_ids)
    labels = left[label_column][:]
    written = _as_written(labels, cleaned, label_column)
    for row in np.flatnonzero(cleaned.labels != cleaned.given):
        labels[row] = written[cleaned.labels[row]]
    feature = left.features[label_column]
    return left.remove_columns(label_column).add_column(label_column, labels, feature=feature)


def _as_written(labels: list[Any], cleaned: "Cleaned", label_column: str) -> list[Any]:
    """How each class is written in the column: by its number, its name, or a number that is its name."""
    names = cleaned.class_names
    forms: list[list[Any]] = [list(range(len(names))), list(names)]
    if all(name.isdecimal() for name in names):
        forms.append([int(name) for name in names])
    seen = np.flatnonzero(cleaned.given >= 0)
    for form in forms:
        if all(labels[row] == form[cleaned.given[row]] for row in seen):
            return form
    row = next(row for row in seen if labels[row] not in (form[cleaned.given[row]] for form in forms))
    raise InputError(
        expected=f"the labels of the run in {shown(label_column)}, {shown(names[cleaned.given[row]])} in row "
        f"{cleaned.sample_ids[row]}",
        found=shown(labels[row]),
        todo="Pass the data set that the run was recorded on, as it was then.",
    )
