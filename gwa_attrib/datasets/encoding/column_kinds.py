"""The kinds of columns of a table: numbers, categories, free text, or the identity of a row."""

import re
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

ID_NAME = re.compile(r"(.+[_\s-])?(id|key|uuid|guid|identifier)|index|rowid|__index_level_0__", re.IGNORECASE)
"""Names of columns that identify rows: id, row_id, customer-key... The last is what pandas calls a saved index."""
ID_ENDING = re.compile(r".*[a-z](Id|ID|Key|UUID)")
"""The same in one word: PassengerId."""

MANY_WORDS = 3
"""Texts have more words than this on average; categories do not."""


def column_kind(column: pd.Series) -> Literal["numeric", "categorical", "text"]:
    """Numbers are numeric; strings with more than 3 words on average, most of them different, are text; the rest,
    bools among them, categorical."""
    if is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype):
        return "numeric"
    return "text" if not is_bool_dtype(column.dtype) and is_free_text(column) else "categorical"


def is_free_text(column: pd.Series) -> bool:
    """Tell whether strings are sentences rather than categories."""
    present = [value for value in column if isinstance(value, str)]
    if not present or len(set(present)) <= len(present) / 2:
        return False
    return float(np.mean([len(value.split()) for value in present])) > MANY_WORDS


def is_identity(name: str, column: pd.Series) -> bool:
    """Tell whether a column names rows: none missing, all different, and strings without spaces, or whole numbers or
    any strings where `name` says so. A column of fractions measures something, whatever its name is.

    So is the nameless column of a .csv that pandas wrote its index into, and what pandas calls it when it reads it.
    """
    if column.isna().any() or not column.is_unique:
        return False
    if is_identity_name(name):
        return not is_numeric_dtype(column.dtype) or bool((column % 1 == 0).all())
    return not is_numeric_dtype(column.dtype) and all(isinstance(v, str) and v and not _has_space(v) for v in column)


def is_identity_name(name: str) -> bool:
    """Tell whether a column of this name is an identity as soon as its values are all different."""
    plain = name.strip()
    named = ID_NAME.fullmatch(plain) is not None or ID_ENDING.fullmatch(plain) is not None
    return named or name == "" or name.startswith("Unnamed: ")


def _has_space(text: str) -> bool:
    return len(text.split()) != 1 or text != text.strip()
