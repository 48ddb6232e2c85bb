"""A table of numbers, categories and texts as one matrix."""

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64

from gwa_attrib.datasets.encoding.column_kinds import column_kind
from gwa_attrib.datasets.encoding.texts import encode_texts
from gwa_attrib.datasets.plain import plain_array

MOST_CATEGORIES = 100
TEXT_DIMENSIONS = 64
FARTHEST = 10.0
"""Standard deviations at which numbers are clipped: one wild value must not drown the rest in the first layer."""


def encode_table(frame: pd.DataFrame) -> Float32[np.ndarray, "sample feature"]:
    """Numbers, then categories, then texts, each in the order of their columns (see `column_kind`).

    Numbers have mean 0 and variance 1 and are then clipped at ±10; a missing one is the median, and a further feature
    says, standardised like the rest, where one was missing. Categories are 0 or 1 for each of the 100 most frequent
    values, for all others together, and for "missing". Texts: `encode_texts`, 64 features each.
    """
    kinds = {name: column_kind(frame[name]) for name in frame}
    numeric = [name for name, kind in kinds.items() if kind == "numeric"]
    categorical = [name for name, kind in kinds.items() if kind == "categorical"]
    blocks = [
        _numbers(frame[numeric].to_numpy(dtype=np.float64, na_value=np.nan)) if numeric else None,
        _categories(frame[categorical]) if categorical else None,
    ]
    for name, kind in kinds.items():
        if kind == "text":
            texts = frame[name].astype(object).where(frame[name].notna(), "").to_numpy(dtype=object)
            blocks.append(encode_texts(texts, TEXT_DIMENSIONS))
    return np.hstack([block for block in blocks if block is not None])


def _numbers(values: Float64[np.ndarray, "sample column"]) -> Float32[np.ndarray, "sample feature"]:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    gaps = np.isnan(values).any(axis=0)
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    standardise = make_column_transformer(
        (StandardScaler(), np.flatnonzero(~gaps)), (make_pipeline(impute, StandardScaler()), np.flatnonzero(gaps))
    )
    values = np.where(
        np.isnan(values), np.nan, values
    )  # of the many NaNs the one that raises no floating-point warning
    bounded = np.clip(values, -1e100, 1e100)  # so that squares stay finite
    return np.asarray(np.clip(standardise.fit_transform(bounded), -FARTHEST, FARTHEST), dtype=np.float32)


def _categories(frame: pd.DataFrame) -> Float32[np.ndarray, "sample feature"]:
    from sklearn.preprocessing import OneHotEncoder

    values = np.empty(frame.shape, dtype=object)
    for i, name in enumerate(frame):
        values[:, i] = [None if v is None else str(v) for v in plain_array(frame[name].astype(object), str(name))]
    encoder = OneHotEncoder(max_categories=MOST_CATEGORIES + 1, sparse_output=False, dtype=np.float32)
    return np.asarray(encoder.fit_transform(values), dtype=np.float32)
