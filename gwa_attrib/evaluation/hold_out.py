"""Samples that no training sees, to ask afterwards."""

from typing import Any

import numpy as np

from gwa_attrib.errors import InputError

HELD_OUT = 0.2
"""Share of the samples whose label can be trusted that are held out."""


def held_out(labels: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions, ascending: a fifth of the samples with a label (negative: none), always the same.

    Raises:
        InputError: too few of them.
    """
    known = np.flatnonzero(labels >= 0)
    asked = np.sort(np.random.default_rng(0).permutation(known)[: round(HELD_OUT * len(known))])
    if not len(asked):
        raise InputError(
            expected="at least three samples with a verified label, to hold some of them out",
            found=f"{len(known)}",
            todo="Verify more labels, or measure on a test set.",
        )
    return asked
