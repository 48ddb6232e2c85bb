"""Closed forms of the spectral measures, and their invariances."""

import math

import numpy as np
import pytest
import torch

from gwa_attrib.functional.feature_geometry import spectrum


def orthonormal(rows: int, columns: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(rows, columns, dtype=torch.float64))[0]


def test_equal_singular_values() -> None:
    found = spectrum(orthonormal(30, 8))
    assert found == pytest.approx((math.log(8), math.log(8)))


def test_one_direction() -> None:
    assert spectrum(torch.outer(torch.rand(20), torch.rand(6))) == pytest.approx((0.0, 0.0), abs=1e-5)


def test_of_given_singular_values() -> None:
    values = torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    features = orthonormal(12, 4) * values @ orthonormal(4, 4).T
    share = values / values.sum()
    expected = (-(share * share.log()).sum().item(), -math.log(0.5))
    assert spectrum(features) == pytest.approx(expected)
    assert spectrum(100 * features[torch.randperm(12)]) == pytest.approx(expected)


@pytest.mark.parametrize("centre", ["row", "column"])
def test_centred(centre: str) -> None:
    x = np.random.default_rng(0).normal(size=(9, 5)) + 3
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=1 if centre == "row" else 0, keepdims=True)
    s = np.linalg.svd(centred, compute_uv=False)
    s = s[s > 1e-12] / s.sum()
    expected = (-(s * np.log(s)).sum(), -np.log(s.max()))
    assert spectrum(torch.from_numpy(x), centre=centre) == pytest.approx(expected)


def test_of_features_that_are_zero() -> None:
    assert all(math.isnan(value) for value in spectrum(torch.zeros(4, 3)))
