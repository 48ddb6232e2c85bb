"""Subset removal: what is measured is what was removed, with the same seeds on both sides."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from gwa_attrib.errors import InputError
from gwa_attrib.evaluation import retrain, retrain_each, subset_removal

HARM = np.random.default_rng(0).normal(size=40)


def additive(kept: np.ndarray, seed: int) -> np.ndarray:
    """The losses of two queries: the harm of what is there; a seed shifts both sides alike."""
    return HARM[kept].sum() + 100.0 * seed + np.array([0.0, 1.0])


def noisy(kept: np.ndarray, seed: int) -> np.ndarray:
    return additive(kept, seed) + np.random.default_rng([seed, len(kept)]).normal(size=2)


def test_the_change_is_the_harm_that_was_removed(tmp_path: Path) -> None:
    rankings = {"harmful": np.argsort(-HARM), "helpful": np.argsort(HARM), "random": np.arange(40)}
    table = subset_removal(additive, rankings, 40, tmp_path / "r", shares=[0.1, 0.5], seeds=2)
    assert list(table.columns) == ["method", "share", "removed", "loss", "change", "low", "high"]
    assert table["removed"].tolist() == [4, 20] * 3
    for row in table.itertuples():
        expected = -HARM[rankings[row.method][: row.removed]].sum()
        assert row.change == pytest.approx(expected)
        assert row.loss == pytest.approx(HARM.sum() + expected + 50 + 0.5)
        assert (row.low, row.high) == pytest.approx((expected, expected))


def test_the_interval_is_students(tmp_path: Path) -> None:
    order = np.arange(40)
    table = subset_removal(noisy, {"m": order}, 40, tmp_path / "r", shares=[0.2], seeds=6)
    differences = [noisy(order[8:], seed).mean() - noisy(order, seed).mean() for seed in range(6)]
    interval = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    row = table.iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    once = subset_removal(noisy, {"m": order}, 40, tmp_path / "one", shares=[0.2], seeds=1)
    assert once[["low", "high"]].isna().all(axis=None)


def test_every_training_is_there(tmp_path: Path) -> None:
    masks = np.array([[True] * 40, [True] * 20 + [False] * 20])
    each = retrain_each(noisy, masks, tmp_path / "r", seeds=3)
    assert each.shape == (2, 3, 2)
    np.testing.assert_array_equal(each[1, 2], noisy(np.arange(20), 2))
    np.testing.assert_allclose(retrain(noisy, masks, tmp_path / "r", seeds=3), each.mean(axis=1))


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 20 different ones of 40"):
        subset_removal(additive, {"short": np.arange(10)}, 40, tmp_path, shares=[0.5])
    with pytest.raises(InputError, match="Found 1 different ones"):
        subset_removal(additive, {"same": np.zeros(40, dtype=int)}, 40, tmp_path, shares=[0.5])
    with pytest.raises(InputError, match="different ones"):
        subset_removal(additive, {"outside": np.arange(1, 41)}, 40, tmp_path, shares=[0.999])
    with pytest.raises(InputError, match="rankings"):
        subset_removal(additive, {}, 40, tmp_path, shares=[0.1])
    for wrong in ({"shares": [1.0]}, {"shares": []}, {"shares": [0.1], "seeds": 0}):
        with pytest.raises(InputError, match="shares between 0 and 1"):
            subset_removal(additive, {"m": np.arange(40)}, 40, tmp_path, **wrong)
    assert not list(tmp_path.iterdir())
