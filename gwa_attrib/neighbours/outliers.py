"""Outliers: samples far from their nearest neighbours."""

import numpy as np
from jaxtyping import Float

from gwa_attrib.errors import InputError
from gwa_attrib.value_types import Floats32


def checked_features(features: object, name: str = "features") -> Float[np.ndarray, "sample feature"]:
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
    flat: Floats32 = np.ascontiguousarray(found.reshape(len(found), width))
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        raise InputError(
            expected=f"finite {name}",
            found=f"NaN or infinity in {int((~finite).sum())} rows, the first row {int(np.flatnonzero(~finite)[0])}",
            todo="Fill in or leave out what is missing.",
        )
    return flat


NEIGHBOURS = 10
REFERENCE = 10_000
"""Samples among which neighbours are looked for, drawn once and for all: the time grows linearly beyond that."""


def outlier_distance(features: object, *, neighbours: int = NEIGHBOURS) -> Float[np.ndarray, " sample"]:
    """Mean distance of a sample to its nearest neighbours, in units of the median sample's; high is unusual.

    Exact by scikit-learn's brute-force search up to `REFERENCE` samples; of more, neighbours are looked for among so
    many, drawn at random. NaN for all where there are fewer than three samples, or where the median is zero.

    Source: Ramaswamy et al. 2000, "Efficient algorithms for mining outliers from large data sets"; the mean over the
    neighbours by Angiulli and Pizzuti 2002.

    Args:
        features: ``[sample, ...]``: of images, the features under the head of a trained network in evaluation mode.
        neighbours: How many; fewer where there are fewer samples.

    Raises:
        InputError: no matrix, or values that are not finite.
    """
    from sklearn.neighbors import NearestNeighbors

    rows = checked_features(features)
    count = min(neighbours, len(rows) - 1, REFERENCE - 1)
    if len(rows) < 3:
        return np.full(len(rows), np.nan)
    drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:REFERENCE])
    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(rows[drawn])
    distance, place = search.kneighbors(rows)
    own = drawn[place] == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True  # not among the reference: the farthest is left out instead of itself
    mean: Float[np.ndarray, " sample"] = distance[~own].reshape(len(rows), count).astype(np.float64).mean(axis=1)
    usual = float(np.median(mean))
    return mean / usual if usual > 0 else np.full(len(rows), np.nan)
