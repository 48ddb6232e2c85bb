"""Intrinsic dimension of a set of points by the two nearest neighbours of each (TwoNN).

Source: Facco, d'Errico, Rodriguez, Laio, "Estimating the intrinsic dimension of datasets by a minimal neighborhood
information", Scientific Reports 2017, arXiv 1803.06992. On activations of a classifier: Brown et al. 2022, 2211.13239.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from gwa_attrib.errors import InputError

KEPT = 0.9
"""Share of the points, those with the smallest ratios, through which the line is fitted."""


class IntrinsicDimension(NamedTuple):
    """An estimate, and what it rests on."""

    dimension: float
    """Slope of -log(1 - F(μ)) over log μ; NaN with fewer than three usable points."""
    dropped: int
    """Points left out: those that coincide with another, and those whose two neighbours are equally far."""


def two_nn(points: Float[np.ndarray, "point coordinate"]) -> IntrinsicDimension:
    """The dimension in which the points lie; too low for more than about 10 dimensions, as the authors say.

    Memory: the square of the number of points.

    Raises:
        InputError: coordinates that are NaN or infinite.
    """
    return _of_distances(_distances(points))


def _distances(points: Float[np.ndarray, "point coordinate"]) -> Float[np.ndarray, "point point"]:
    """Exact also for points that coincide, which a product of the points would not be."""
    if not np.isfinite(points).all():
        raise InputError(
            expected="finite coordinates", found="NaN or infinity", todo="Leave out the points without a position."
        )
    return cdist(points, points) if len(points) else np.empty((0, 0))


def _of_distances(distance: Float[np.ndarray, "point point"]) -> IntrinsicDimension:
    if len(distance) < 3:
        return IntrinsicDimension(float("nan"), 0)
    nearest = np.partition(distance, 2, axis=1)[:, :3]
    _, first, second = np.sort(nearest, axis=1).T
    usable = (first > 0) & (second > first)
    ratios = np.sort(second[usable] / first[usable])
    return IntrinsicDimension(_slope(ratios), int((~usable).sum()))


def _slope(ratios: Float[np.ndarray, " point"]) -> float:
    """Least squares through the origin; the largest ratios, whose empirical distribution is noise, are left out."""
    count = len(ratios)
    if count < 3:
        return float("nan")
    kept = slice(0, max(1, min(int(KEPT * count), count - 2)))
    x = np.log(ratios)[kept]
    y = -np.log(1.0 - np.arange(1, count + 1)[kept] / count)
    return float(x @ y / (x @ x))


def subsampled_two_nn(
    points: Float[np.ndarray, "point coordinate"], *, draws: int = 20, share: float = 0.9, seed: int = 0
) -> IntrinsicDimension:
    """Mean of `two_nn` over random subsets of the points, as published for activations (2211.13239)."""
    generator = np.random.default_rng(seed)
    size = int(share * len(points))
    distance = _distances(points)
    subsets = (generator.choice(len(points), size, replace=False) for _ in range(draws))
    found = [_of_distances(distance[np.ix_(subset, subset)]) for subset in subsets]
    return IntrinsicDimension(
        float(np.mean([estimate.dimension for estimate in found])),
        round(float(np.mean([estimate.dropped for estimate in found]))),
    )
