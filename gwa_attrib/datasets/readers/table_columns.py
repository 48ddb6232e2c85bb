"""Columns of a data frame as inputs of a model, and as facts beside them."""

from typing import Any

import pandas as pd

from gwa_attrib.datasets.labels import label_texts
from gwa_attrib.datasets.messages import shown
from gwa_attrib.datasets.plain import NESTED, Column, plain_array

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


def fact_column(column: pd.Series) -> Column:
    """A column that is kept beside the inputs, as a plain array; lists and the like become the text that shows them."""
    if column.dtype == object:
        column = column.map(lambda value: str(value) if isinstance(value, NESTED) else value)
    return plain_array(column, f"column {shown(column.name)}")
