"""TwoNN against sets of known dimension (reference values of five draws of 1,000 points) and against a naive loop."""

import math

import numpy as np
import pytest

from gwa_attrib.errors import InputError
from gwa_attrib.functional.feature_geometry import subsampled_two_nn, two_nn

Points = np.ndarray


def circle(rng: np.random.Generator, n: int) -> Points:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def plane_in_ten(rng: np.random.Generator, n: int) -> Points:
    return rng.uniform(size=(n, 2)) @ rng.normal(size=(2, 10))


def cube(dimension: int):
    return lambda rng, n: rng.uniform(size=(n, dimension))


def gaussian_in_fifty(rng: np.random.Generator, n: int) -> Points:
    return rng.normal(size=(n, 20)) @ rng.normal(size=(20, 50))


KNOWN = [(circle, 1.01, 0.12), (plane_in_ten, 2.02, 0.24), (cube(5), 4.63, 0.45), (cube(10), 8.47, 0.57)]


@pytest.mark.parametrize(("draw", "expected", "tolerance"), [*KNOWN, (gaussian_in_fifty, 15.2, 1.2)])
def test_of_sets_whose_dimension_is_known(draw, expected: float, tolerance: float) -> None:
    found = [two_nn(draw(np.random.default_rng(seed), 1000)).dimension for seed in range(5)]
    assert np.mean(found) == pytest.approx(expected, abs=tolerance)


def naive(points: Points) -> tuple[float, int]:
    ratios, dropped = [], 0
    for i, point in enumerate(points):
        distance = sorted(math.dist(point, other) for j, other in enumerate(points) if j != i)
        if distance[0] == 0 or distance[0] == distance[1]:
            dropped += 1
        else:
            ratios.append(distance[1] / distance[0])
    ratios.sort()
    n = len(ratios)
    pairs = [(math.log(mu), -math.log(1 - (i + 1) / n)) for i, mu in enumerate(ratios[: int(0.9 * n)])]
    return sum(x * y for x, y in pairs) / sum(x * x for x, _ in pairs), dropped


@pytest.mark.parametrize("seed", range(3))
def test_is_the_naive_loop(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(60, 4))
    points[7] = points[3]
    points[20] = points[3]
    found = two_nn(points)
    expected, dropped = naive(points)
    assert found.dropped == dropped >= 3
    assert found.dimension == pytest.approx(expected, rel=1e-6)


def test_does_not_depend_on_scale_and_rotation() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 5))
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert two_nn(1000 * points @ rotation).dimension == pytest.approx(two_nn(points).dimension, rel=1e-6)


@pytest.mark.parametrize("points", [np.empty((0, 3)), np.zeros((1, 3)), np.zeros((50, 3)), np.eye(4)])
def test_of_points_that_have_none(points: Points) -> None:
    found = two_nn(points)
    assert math.isnan(found.dimension)
    assert found.dropped in (0, len(points))


def test_of_points_without_a_position() -> None:
    with pytest.raises(InputError, match="finite"):
        two_nn(np.array([[0.0, np.nan], [1, 1], [2, 2]]))


def test_the_mean_over_subsets_is_near_the_whole_and_repeats() -> None:
    points = np.random.default_rng(0).uniform(size=(400, 3))
    found = subsampled_two_nn(points)
    assert found == subsampled_two_nn(points)
    assert found.dimension == pytest.approx(two_nn(points).dimension, rel=0.1)
