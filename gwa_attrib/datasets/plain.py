"""Columns of any origin as plain arrays: bool, integer, float, or object of str with None where a value is missing."""

from decimal import Decimal

import numpy as np
import pandas as pd

from gwa_attrib.datasets.messages import shown, storable
from gwa_attrib.errors import DataError
from gwa_attrib.value_types import Array

NESTED = (list, tuple, set, dict, bytes, bytearray, np.ndarray)


def plain_array(values: Array | pd.Series, what: str) -> Array:
    """The values as bool, int, uint, float (NaN is missing), or object of str (None is missing). Dates become text.

    Args:
        values: one-dimensional.
        what: how an error names them.

    Raises:
        DataError: values that are no single numbers or texts.
    """
    array = _array(values)
    if array.dtype.kind in "biuf":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind in "OUSMm":
        return _from_objects([_python(value) for value in array], what)
    raise _not_plain(what, str(array.dtype))


def _array(values: Array | pd.Series) -> Array:
    if not isinstance(values, pd.Series):
        return values
    if isinstance(values.dtype, np.dtype):
        return values.to_numpy()
    return values.to_numpy(dtype=object)


def _python(value: object) -> object:
    """The value as Python knows it, None if it is missing."""
    if isinstance(value, str):
        return storable(str(value))
    if (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float | np.floating) and np.isnan(value))
    ):
        return None
    if isinstance(value, np.bytes_):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Decimal):
        return float(value)
    return value


def _from_objects(values: list[object], what: str) -> Array:
    types = {type(value) for value in values}
    complete, present = type(None) not in types, types - {type(None)}
    nested = [kind for kind in present if issubclass(kind, NESTED)]
    if nested:
        raise _not_plain(what, nested[0].__name__)
    if present == {bool} and complete:
        return np.array(values, dtype=bool)
    if present and present <= {int, float} and (present == {float} or _exact(values)):
        whole = present == {int} and complete
        return np.array([np.nan if v is None else v for v in values], dtype=np.int64 if whole else np.float64)
    text = np.empty(len(values), dtype=object)
    text[:] = [None if value is None else storable(str(value)) for value in values]
    return text


def _exact(values: list[object]) -> bool:
    """Tell whether no integer among the values is too large for a float."""
    return all(abs(value) <= 2**53 for value in values if isinstance(value, int))


def _not_plain(what: str, kind: str) -> DataError:
    return DataError(
        expected=f"single numbers or texts in {what}",
        found=f"values of type {shown(kind)}",
        todo="Save one number or text per sample; images go into an .npz or a folder with one sub-folder per class.",
    )
