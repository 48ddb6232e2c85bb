"""A data frame, as read from a file, as labelled data: which column is the label, the key, an input."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from gwa_attrib.datasets.encoding.column_kinds import column_kind, is_identity, is_identity_name
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.labels import class_labels, class_positions, label_texts
from gwa_attrib.datasets.messages import listed, printable, rows_where, shown
from gwa_attrib.datasets.plain import NESTED, plain_array
from gwa_attrib.datasets.readers.registry import Options
from gwa_attrib.errors import DataError
from gwa_attrib.value_types import Array

LABEL_NAMES = ("label", "labels", "y", "target", "class")
"""A column of such a name is the label, if it is the only one."""


def find_label(names: Sequence[str], options: Options, path: Path) -> str:
    """Name of the label column; checks the names on the way.

    Raises:
        DataError: two columns of one name, no label, several candidates, or an excluded column that is not there.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            expected=f"columns of different names in {path}",
            found=f"more than one {listed(twice)}",
            todo="Rename them: a second label column would be taken for an input.",
        )
    missing = [name for name in (options.label_column, *options.exclude) if name is not None and name not in names]
    if missing:
        raise DataError(
            expected=f"columns {listed(missing)} in {path}",
            found=f"no {listed(missing)} among the columns {listed(names)}",
            todo="Name columns exactly as they are there.",
        )
    label = _only_candidate(names, options, path) if options.label_column is None else options.label_column
    if label in options.exclude:
        raise DataError(
            expected="the label column not to be among the excluded ones (verified labels are)",
            found=f"{shown(label)} in both",
            todo="Name the column with the given labels as the label column.",
        )
    return label


def _only_candidate(names: Sequence[str], options: Options, path: Path) -> str:
    candidates = [n for n in names if n.strip().lower() in LABEL_NAMES and n not in options.exclude]
    if len(candidates) == 1:
        return candidates[0]
    commas = len(names) == 1 and any(c in names[0] for c in ";\t|")
    raise DataError(
        expected=f"one label column in {path}, named {', '.join(LABEL_NAMES[:-1])} or {LABEL_NAMES[-1]}",
        found=f"{listed(candidates)} among the columns {listed(names)}" if candidates else f"columns {listed(names)}",
        todo="Save it with commas between the columns."
        if commas
        else "Name the label column: label_column=..., or --label-column on the command line.",
    )


def from_frame(frame: pd.DataFrame, location: str, options: Options) -> LabeledData:
    """Labelled data of a frame whose rows are samples.

    A column that identifies rows becomes the keys, the first whose name says so before others; neither it nor a further
    one is an input. A table whose only
    input is free text is of kind "text"; a missing text is empty there.

    Raises:
        DataError: see `find_label` and `class_labels`; no input column; inputs that are infinite, lists or bytes.

    Warns:
        UserWarning: a column looks like a second set of labels.
    """
    path = Path(location)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    label = find_label(list(frame.columns), options, path)
    labels, class_names = class_labels(frame[label], f"column {shown(label)} of {path}")
    candidates = [name for name in frame.columns if name != label and name not in options.exclude]
    inputs = pd.DataFrame({name: input_column(frame[name], f"column {shown(name)}") for name in candidates})
    ids = _identities(inputs)
    keys = tuple(map(_key, inputs[ids[0]] if ids else range(len(frame))))
    roles = _roles(label, ids, [name for name in map(str, inputs) if name not in ids], options)
    columns = {name: fact_column(frame[name]) for name in (*dict.fromkeys(options.exclude), *ids[1:])}
    inputs = inputs.drop(columns=ids)
    _check_inputs(inputs, frame, label, path)
    warn_of_second_labels(inputs, labels, class_names)
    if [column_kind(inputs[name]) for name in inputs] == ["text"]:
        texts = inputs.iloc[:, 0].fillna("").to_numpy(dtype=object)
        return LabeledData(
            printable(path.name), location, "text", texts, labels, class_names, keys, columns, roles=roles
        )
    return LabeledData(printable(path.name), location, "table", inputs, labels, class_names, keys, columns, roles=roles)


def _roles(label: str, ids: list[str], inputs: list[str], options: Options) -> tuple[str, ...]:
    """Say what each column is taken for."""
    said = [f"label: column {shown(label)}", f"inputs: {listed(inputs)}"]
    if ids:
        said.append(f"key: column {shown(ids[0])}, as its values name the rows")
    others = [*dict.fromkeys(options.exclude), *ids[1:]]
    if others:
        said.append(f"neither input nor label: {listed(others)}")
    return tuple(said)


def _identities(inputs: pd.DataFrame) -> list[str]:
    """Names of the columns that identify rows. Where nothing else would be left, only those that are named so."""
    ids = [name for name in map(str, inputs) if is_identity(name, inputs[name])]
    ids.sort(key=lambda name: not is_identity_name(name))
    return ids if len(ids) < inputs.shape[1] else [name for name in ids if is_identity_name(name)]


def _key(value: object) -> str:
    return str(int(value)) if isinstance(value, float) else str(value)  # whole; a text file of numbers may say 7.0


def _check_inputs(inputs: pd.DataFrame, frame: pd.DataFrame, label: str, path: Path) -> None:
    if inputs.shape[1] == 0:
        raise DataError(
            expected=f"at least one input column in {path}",
            found=f"columns {listed(frame.columns)}, of which {shown(label)} is the label and none is an input",
            todo="Add a column to learn from; keys and excluded columns are no inputs.",
        )
    for name in inputs.select_dtypes("number"):
        infinite = np.isinf(inputs[name].to_numpy())
        if infinite.any():
            raise DataError(
                expected=f"finite numbers in column {shown(name)} of {path}",
                found=f"infinity in {rows_where(infinite)}",
                todo="Leave the field empty where there is no value: missing values are allowed.",
            )


DAY = pd.Timedelta(days=1)


def input_column(column: pd.Series, what: str) -> pd.Series:
    """A column as an input: numbers and bools as they are, dates in days since 1970, durations in days, anything else
    strings; NaN where a number, None or NaN where a string is missing.

    Raises:
        DataError: it holds lists or bytes.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        texts = label_texts(plain_array(column.astype(object), what))
        return pd.Series([None if gone else text for text, gone in zip(texts, column.isna(), strict=True)], dtype="str")
    if column.dtype.kind in "mM":
        days: pd.Series = (column - _zero(column)) / DAY
        return days
    plain = plain_array(column, what)
    return pd.Series(plain, dtype="str" if plain.dtype == object else plain.dtype)


def _zero(column: pd.Series) -> Any:
    """The moment, or the duration, that counts as 0."""
    return pd.Timedelta(0) if column.dtype.kind == "m" else pd.Timestamp(0, tz=getattr(column.dtype, "tz", None))


def fact_column(column: pd.Series) -> Array:
    """A column that is kept beside the inputs, as a plain array; lists and the like become the text that shows them."""
    if column.dtype == object:
        column = column.map(lambda value: str(value) if isinstance(value, NESTED) else value)
    return plain_array(column, f"column {shown(column.name)}")


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
