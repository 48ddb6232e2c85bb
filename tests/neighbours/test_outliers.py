"""Outliers against a loop."""

import numpy as np
import pytest

from gwa_attrib.errors import InputError
from gwa_attrib.neighbours import outlier_distance, outliers


def loop(rows: np.ndarray, neighbours: int) -> np.ndarray:
    means = []
    for i, row in enumerate(rows.astype(np.float64)):
        distances = np.sort([np.linalg.norm(row - other) for j, other in enumerate(rows) if j != i])
        means.append(distances[:neighbours].mean())
    return np.array(means) / np.median(means)


@pytest.mark.parametrize(("samples", "neighbours"), [(3, 10), (12, 10), (80, 4)])
def test_the_distance_is_that_of_a_loop(samples: int, neighbours: int) -> None:
    rows = np.random.default_rng(0).normal(size=(samples, 5)).astype(np.float32)
    expected = loop(rows, min(neighbours, samples - 1))
    np.testing.assert_allclose(outlier_distance(rows, neighbours=neighbours), expected, rtol=1e-4)


def test_what_lies_far_away_stands_out_and_copies_do_not_hide_each_other() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 8))
    rows[7] += 20
    rows[100:103] = rows[99]
    found = outlier_distance(rows)
    assert found.argmax() == 7
    assert found[7] > 5
    assert np.median(found) == 1
    np.testing.assert_allclose(outlier_distance(rows * 50), found, rtol=1e-3)


def test_of_many_samples_neighbours_are_among_some(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(600, 4))
    rows[3] += 9
    whole = outlier_distance(rows)
    monkeypatch.setattr(outliers, "REFERENCE", 300)
    some = outlier_distance(rows)
    assert some.argmax() == 3
    assert np.corrcoef(whole, some)[0, 1] > 0.9


def test_where_there_is_no_distance_there_is_no_value() -> None:
    assert np.isnan(outlier_distance(np.zeros((2, 3)))).all()
    assert np.isnan(outlier_distance(np.ones((50, 3)))).all()
    assert outlier_distance(np.zeros((0, 3))).shape == (0,)
    with pytest.raises(InputError, match="finite"):
        outlier_distance(np.full((4, 2), np.inf))
