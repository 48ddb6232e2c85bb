"""Verified labels: the truth that a ranking is scored against, and that never enters it; samples held out to ask."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gwa_attrib.errors import InputError
from gwa_attrib.evaluation.metrics import mislabel_metrics
from gwa_attrib.scores import Scores
from gwa_attrib.value_types import Ints

UNVERIFIED = -1
"""No verified label: the sample is left out of the metrics."""
FOREIGN = -2
"""A verified label that is none of the classes: the given label is wrong, whatever it is."""


def verified_labels(columns: Mapping[str, object], name: str, class_names: Sequence[str]) -> Ints:
    """The column `name` as class numbers; `UNVERIFIED` where it is missing, `FOREIGN` where it names no class.

    Raises:
        InputError: no such column, or none of its values is a class.
    """
    if name not in columns:
        raise InputError(
            expected=f"a column or array {name!r} with verified labels",
            found=f"only {', '.join(map(repr, columns)) or 'labels and inputs'}",
            todo="Name it with --truth; it needs one entry per sample.",
        )
    values = pd.Series(np.asarray(columns[name]))
    number = {text: i for i, text in enumerate(class_names)}
    found = values.map(lambda value: number.get(_text(value), FOREIGN)).to_numpy(dtype=np.int64)
    labels = np.where(values.isna(), UNVERIFIED, found)
    if not (labels >= 0).any():
        raise InputError(
            expected=f"values of {name!r} to be among the classes {', '.join(class_names[:10])}",
            found=f"{values.iloc[0]!r}" if len(values) else "no values",
            todo="Verified labels have to be written as the given labels are.",
        )
    return labels


def score_against(scores: Scores, given: Ints, verified: Ints) -> dict[str, int | float]:
    """`mislabel_metrics` over the samples with a verified label."""
    known = verified != UNVERIFIED
    some = Scores(scores.values[known], scores.sample_ids[known], method=scores.method, suspect=scores.suspect)
    return mislabel_metrics(some, (verified != given)[known])


def _text(value: object) -> str:
    """Write a value as class names are written: whole numbers without a fraction."""
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


HELD_OUT = 0.2
"""Share of the samples whose label can be trusted that are held out."""


def held_out(labels: Ints) -> Ints:
    """Positions, ascending: a fifth of the samples with a label (negative: none), always the same.

    Raises:
        InputError: too few of them.
    """
    known = np.flatnonzero(labels >= 0)
    # Always the same samples: what earlier calls have trained is found again, and methods meet the same ones.
    asked = np.sort(np.random.default_rng(0).permutation(known)[: round(HELD_OUT * len(known))])
    if not len(asked):
        raise InputError(
            expected="at least three samples with a verified label, to hold some of them out",
            found=f"{len(known)}",
            todo="Verify more labels, or measure on a test set.",
        )
    return asked
