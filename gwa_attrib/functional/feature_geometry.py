"""The place of features and gradients in space: intrinsic dimension, spread over directions, distances between batches.

Intrinsic dimension by the two nearest neighbours of each point (TwoNN): Facco, d'Errico, Rodriguez, Laio, "Estimating
the intrinsic dimension of datasets by a minimal neighborhood information", Scientific Reports 2017, arXiv 1803.06992;
on activations of a classifier: Brown et al. 2022, 2211.13239. Spread of the variance of features over directions, from
their singular values σ, with ``s = σ / Σσ``: SVE ``= -Σ s log s`` and LSVR ``= -log s₁`` (Chen et al. 2024,
"Understanding and Mitigating the Label Noise in Pre-training on Downstream Tasks", ICLR, arXiv 2309.17002). Gradient
disparity, how far the gradients of batches lie apart: Badola, Javadi, Grossglauser 2021, 2107.06665.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.distance import cdist
from torch import Tensor

from gwa_attrib.errors import InputError

KEPT = 0.9
"""Share of the points, those with the smallest ratios, through which the line is fitted."""
Centre = Literal["row", "column"] | None


class IntrinsicDimension(NamedTuple):
    """An estimate, and what it rests on."""

    dimension: float
    """Slope of -log(1 - F(μ)) over log μ; NaN with fewer than three usable points."""
    dropped: int
    """Points left out: those that coincide with another, and those whose two neighbours are equally far."""


def two_nn(points: Float[np.ndarray, "point coordinate"]) -> IntrinsicDimension:
    """Estimate the dimension in which the points lie; too low for more than about 10, as the authors say.

    Memory: the square of the number of points.

    Raises:
        InputError: coordinates that are NaN or infinite.
    """
    return _of_distances(_distances(points))


def _distances(points: Float[np.ndarray, "point coordinate"]) -> Float[np.ndarray, "point point"]:
    """Return all distances, exact also for points that coincide, which a product of the points would not be."""
    if not np.isfinite(points).all():
        raise InputError(
            expected="finite coordinates", found="NaN or infinity", todo="Leave out the points without a position."
        )
    return cdist(points, points) if len(points) else np.empty((0, 0))


def _of_distances(distance: Float[np.ndarray, "point point"]) -> IntrinsicDimension:
    if len(distance) < 3:
        return IntrinsicDimension(float("nan"), 0)
    nearest = np.partition(distance, 2, axis=1)[:, :3]
    # The nearest of all is the point itself.
    _, first, second = np.sort(nearest, axis=1).T
    usable = (first > 0) & (second > first)
    ratios = np.sort(second[usable] / first[usable])
    return IntrinsicDimension(_slope(ratios), int((~usable).sum()))


def _slope(ratios: Float[np.ndarray, " point"]) -> float:
    """Fit the slope by least squares through the origin, without the largest ratios, whose distribution is noise."""
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
    """Return the mean of `two_nn` over random subsets of the points, as published for activations (2211.13239)."""
    generator = np.random.default_rng(seed)
    size = int(share * len(points))
    distance = _distances(points)
    subsets = (generator.choice(len(points), size, replace=False) for _ in range(draws))
    found = [_of_distances(distance[np.ix_(subset, subset)]) for subset in subsets]
    return IntrinsicDimension(
        float(np.mean([estimate.dimension for estimate in found])),
        round(float(np.mean([estimate.dropped for estimate in found]))),
    )


def gradient_disparity(gradients: Float[Tensor, "batch parameter"]) -> Float[Tensor, ""]:
    """Return the mean distance over all pairs of batch gradients; high is bad. NaN for fewer than two."""
    return torch.pdist(gradients.double()).mean()


def rescaled_loss(losses: Float[Tensor, " sample"]) -> Float[Tensor, ""]:
    """Return the mean of the losses divided by their standard deviation (unbiased), as in the authors' code."""
    return (losses / losses.std()).mean()


class Spectrum(NamedTuple):
    """The spread of a matrix of features over directions."""

    sve: float
    """Entropy of the normalised singular values, in nats: log(rank) if all are equal, 0 for one direction."""
    lsvr: float
    """Minus the logarithm of the largest one's share: 0 for one direction; low is dominated by it."""


def spectrum(features: Float[Tensor, "sample feature"], *, centre: Centre = None) -> Spectrum:
    """Return singular value entropy and largest singular value ratio; NaN where all features are zero.

    Args:
        centre: "row" takes unit rows and subtracts from each the mean of its own entries, as the authors' code does;
            "column" takes unit rows and subtracts their mean, which is probably what was meant; None takes them as they
            are.
    """
    x = features.double()
    if centre is not None:
        x = torch.nn.functional.normalize(x, dim=1)
        x = x - x.mean(dim=1 if centre == "row" else 0, keepdim=True)
    values = torch.linalg.svdvals(x)
    share = values / values.sum()
    return Spectrum(float(-torch.xlogy(share, share).sum()), float(-share.max().log()) if len(share) else float("nan"))
