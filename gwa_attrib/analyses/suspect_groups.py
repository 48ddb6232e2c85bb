"""Groups of samples, the most harmful first: classes, pairs of classes, values of a column, clusters of features."""

from collections.abc import Hashable, Sized

import numpy as np
import pandas as pd
import torch

from gwa_attrib.analyses.mislabeled import rank_mislabeled
from gwa_attrib.errors import InputError, NotRecordedError
from gwa_attrib.functional.trajectory import average
from gwa_attrib.neighbours.outliers import checked_features
from gwa_attrib.scores import Scores
from gwa_attrib.store.kept import kept_features
from gwa_attrib.store.run import Run
from gwa_attrib.thresholds import STANDARD_ERRORS
from gwa_attrib.value_types import Array

BINS = 10
"""Groups of a column of numbers with more different values than this."""
MOST = 1000
"""Different values of a column of texts; more are no groups."""
CLUSTERS = 20
COLUMNS = ("samples", "issues", "errors", "rate", "excess", "low", "high", "alignment")


def groups(
    run: Run,
    by: str = "class",
    *,
    scores: Scores | None = None,
    features: Sized | None = None,
    clusters: int = CLUSTERS,
) -> pd.DataFrame:
    """Count the labels that are probably wrong in each group of samples, and how far that is more than elsewhere.

    Args:
        run: A recorded run.
        by: "class" (the given label), "class pair" (given label → the class proposed instead), "cluster" (k-means on
            the features that an audit kept, or on `features`), or a column of ``run.samples``; numbers are cut into
            tenths of the samples.
        scores: ``rank(run, "mislabeled")``, which is the default.
        features: ``[sample, ...]``, for clusters.
        clusters: How many, at most.

    Returns:
        By group, the largest excess that is sure first (by `low`): `samples`; `issues`, those with a label score below
        1/2; `errors`, the sum of 1 - label_score, as if it were the probability of being wrong; `rate`, these per
        sample; `excess`, the rate less that of all other samples, with its 95 % interval `low` to `high` (normal, of
        these probabilities: how far they are off is not in it); `alignment`, the mean over samples and epochs. Samples
        without a score are left out.

    Raises:
        InputError: no such column, or one with too many different values to be groups.
        NotRecordedError: clusters are asked for, and there are no features.
    """
    found = rank_mislabeled(run) if scores is None else scores
    score = np.asarray(found.columns["label_score"], dtype=np.float64)
    names = _names(run, by, found, features, clusters)
    frame = pd.DataFrame(
        {
            "group": names,
            "wrong": 1.0 - score,
            "issue": np.asarray(found.columns["is_label_issue"], dtype=bool),
            "alignment": average(torch.from_numpy(run.trajectory("alignment"))).numpy(),
        }
    )
    return _table(frame[~np.isnan(score) & pd.notna(names)]).rename_axis(index=by)


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    by = frame.groupby("group", observed=True, sort=False)
    wrong = by["wrong"]
    size, total, squares = wrong.size(), wrong.sum(), (frame["wrong"] ** 2).groupby(frame["group"], sort=False).sum()
    rate = total / size
    others, rest = len(frame) - size, frame["wrong"].sum() - total
    rate_elsewhere = (rest / others).where(others > 0)
    error = _squared_error(size, total, squares) + _squared_error(others, rest, (frame["wrong"] ** 2).sum() - squares)
    excess, half = rate - rate_elsewhere, STANDARD_ERRORS * np.sqrt(error)
    table = pd.DataFrame(
        {
            "samples": size,
            "issues": by["issue"].sum(),
            "errors": total,
            "rate": rate,
            "excess": excess,
            "low": excess - half,
            "high": excess + half,
            "alignment": by["alignment"].mean(),
        }
    )
    return table[list(COLUMNS)].sort_values(["low", "errors"], ascending=False, kind="stable", na_position="last")


def _squared_error(size: pd.Series, total: pd.Series, squares: pd.Series) -> pd.Series:
    """Square the error of a mean; NaN for fewer than two."""
    more = size.where(size > 1)
    return ((squares - total**2 / more) / (more - 1)).clip(lower=0) / more


def _names(run: Run, by: str, found: Scores, features: Sized | None, clusters: int) -> Array:
    given = np.asarray(found.columns["given_label"], dtype=object)
    if by == "class":
        return given
    if by == "class pair":
        proposed = np.asarray(found.columns["predicted_label"], dtype=object)
        pairs = [f"{a} → {b}" if a != b and b is not None else None for a, b in zip(given, proposed, strict=True)]
        return np.array(pairs, dtype=object)
    if by == "cluster":
        return _clusters(run, features, clusters)
    if by not in run.samples or by in ("sample_id", "label"):
        columns = [name for name in run.samples if name not in ("sample_id", "key", "label")]
        raise InputError(
            expected=f"class, class pair, cluster or a column of the run: {', '.join(map(str, columns)) or 'none'}",
            found=repr(by),
            todo="Choose one of them; columns are given by gwa.record(..., columns=...).",
        )
    return _of_column(run.samples[by], by)


def _of_column(column: pd.Series, by: str) -> Array:
    if column.dtype == object:  # lists, say, cannot be counted
        column = column.map(lambda value: value if isinstance(value, Hashable) else str(value))
    different = column.nunique(dropna=True)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and different > BINS:
        # Where many values are equal, tenths fall together: then there are fewer groups.
        cut = pd.qcut(column, BINS, duplicates="drop")
        return np.array([None if pd.isna(c) else f"{c.left:g} to {c.right:g}" for c in cut], dtype=object)
    if different > MOST or (different == len(column) and len(column) > BINS):
        raise InputError(
            expected=f"a column with at most {MOST} different values, fewer than samples",
            found=f"{different} in {by!r}",
            todo="Group by another column, or add one with coarser values.",
        )
    return np.array([None if pd.isna(value) else str(value) for value in column], dtype=object)


def _clusters(run: Run, features: Sized | None, clusters: int) -> Array:
    from sklearn.cluster import MiniBatchKMeans

    rows: Sized | None = kept_features(run) if features is None else features
    if rows is None:
        raise NotRecordedError(
            expected="features of the samples",
            found="none in the run",
            todo="Pass features=..., one row per sample, or audit the data again.",
        )
    if len(rows) != len(run.sample_ids):
        raise InputError(
            expected=f"features of the {len(run.sample_ids)} samples of the run",
            found=f"{len(rows)} rows",
            todo="Pass one row per sample, in the order of their ids.",
        )
    checked = checked_features(rows)
    count = max(1, min(clusters, len(np.unique(checked, axis=0))))
    found = MiniBatchKMeans(count, random_state=0, n_init=3, batch_size=4096).fit_predict(checked)
    return np.array([f"cluster {number}" for number in found], dtype=object)
