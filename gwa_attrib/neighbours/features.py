"""Features as the searches need them, or refused."""

from typing import Any

import numpy as np
from jaxtyping import Float

from gwa_attrib.errors import InputError

Matrix = np.ndarray[Any, np.dtype[np.float32]]


def checked_features(features: Any, name: str = "features") -> Float[np.ndarray, "sample feature"]:
    """float32 ``[sample, feature]``; what has more axes is flattened.

    Raises:
        InputError: no matrix, or values that are not finite.
    """
    found = np.asarray(features, dtype=np.float32)
    width = int(np.prod(found.shape[1:]))
    if found.ndim < 2 or not width:
        raise InputError(
            expected=f"{name} of shape [sample, feature]",
            found=f"shape {list(found.shape)}",
            todo="Pass one row of numbers per sample.",
        )
    flat: Matrix = np.ascontiguousarray(found.reshape(len(found), width))
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        raise InputError(
            expected=f"finite {name}",
            found=f"NaN or infinity in {int((~finite).sum())} rows, the first row {int(np.flatnonzero(~finite)[0])}",
            todo="Fill in or leave out what is missing.",
        )
    return flat
