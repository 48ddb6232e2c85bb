"""Which columns of a row speak most against its given label: naive Bayes, one column at a time.

For each column the values are counted in bins, by class. A column's evidence is the logarithm of how much likelier the
sample's bin is in the proposed class than in the given one, in nats; high speaks against the given label.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

BINS = 10
"""Bins of a numeric column, with equally many samples each; missing values are a bin of their own."""
COMMONEST = 50
"""Values of a categorical column with a bin of their own; the others share one."""
SMOOTHING = 1.0
"""Added to each count, so that a bin that a class never meets is unlikely rather than impossible."""


def order_of_columns(
    frame: pd.DataFrame,
    labels: Int[np.ndarray, " sample"],
    classes: int,
    rows: Int[np.ndarray, " suspect"],
    proposed: Int[np.ndarray, " suspect"],
) -> list[list[str]]:
    """For each suspect, the columns that speak most for its proposed label against its given one, the first first.

    Args:
        frame: All samples.
        labels: Given class of each; below 0 for samples that count for nothing.
        classes: How many there are.
        rows: Of the suspects, in `frame`.
        proposed: Class proposed for each.
    """
    names = [str(name) for name in frame.columns]
    if not names or not len(rows):
        return [names for _ in rows]
    against = np.stack(
        [_against(bins_of(frame.iloc[:, i]), labels, classes, rows, proposed) for i in range(len(names))], axis=1
    )
    order = np.argsort(-against, axis=1, kind="stable")
    return [[names[i] for i in row] for row in order.tolist()]


def bins_of(column: pd.Series) -> Int[np.ndarray, " sample"]:
    """The bin of each value of a column, from 0; the last one holds the missing."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        present = values[np.isfinite(values)]
        edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if len(present) else np.zeros(0)
        return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1)
    codes, names = pd.factorize(column)
    by_count = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(names)), kind="stable")
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[by_count] = np.minimum(np.arange(len(names)), COMMONEST)
    rank[-1] = COMMONEST + 1  # where the code is -1
    return rank[codes]


def _against(
    bins: Int[np.ndarray, " sample"],
    labels: Int[np.ndarray, " sample"],
    classes: int,
    rows: Int[np.ndarray, " suspect"],
    proposed: Int[np.ndarray, " suspect"],
) -> Float[np.ndarray, " suspect"]:
    # Per class, so that a class with few samples is not less likely in every bin.
    counts = np.full((classes, int(bins.max(initial=0)) + 1), SMOOTHING)
    seen = labels >= 0
    np.add.at(counts, (labels[seen], bins[seen]), 1.0)
    likely = np.log(counts / counts.sum(axis=1, keepdims=True))
    return np.asarray(likely[proposed, bins[rows]] - likely[labels[rows], bins[rows]])


def columns_of(orders: Sequence[Sequence[str]]) -> list[str]:
    """Names of all columns that are named, each once."""
    return list(dict.fromkeys(name for order in orders for name in order))
