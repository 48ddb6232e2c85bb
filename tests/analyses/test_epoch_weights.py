"""Which epochs count: what the weights must be at the edges, and that they leave out what was learnt by heart."""

import numpy as np
import pytest
import torch

from gwa_attrib.analyses.epoch_weights import POWER, weigh_epochs
from gwa_attrib.analyses.probabilities import View

CLASSES, SAMPLES, WRONG = 4, 200, 20


def epochs(rng: np.random.Generator, sure: list[float], by_heart: list[float]):
    """Views and alignments: how sure each epoch is of the true class, and how far it has learnt the wrong labels."""
    truth = rng.integers(0, CLASSES, SAMPLES)
    labels = truth.copy()
    labels[:WRONG] = (truth[:WRONG] + 1) % CLASSES
    seen, alignment, index = [], [], np.arange(SAMPLES)
    for known, learnt in zip(sure, by_heart, strict=True):
        p = np.full((SAMPLES, CLASSES), (1 - known) / CLASSES)
        p[index, truth] += known
        given = np.full((SAMPLES, CLASSES), 0.02)
        given[index, labels] = 1 - 0.02 * (CLASSES - 1)
        p = (1 - learnt) * p + learnt * given
        p *= np.exp(0.05 * rng.normal(size=p.shape))
        p /= p.sum(axis=1, keepdims=True)
        order = np.argsort(-p, axis=1)
        p_label = torch.from_numpy(p[index, labels]).float()
        top = torch.from_numpy(np.take_along_axis(p, order, 1)).float()
        seen.append(View(p_label, torch.from_numpy(order), top))
        fits = p[index, labels] - np.max(np.where(np.arange(CLASSES) == labels[:, None], 0, p), axis=1)
        alignment.append(0.2 * fits + 0.01 * rng.normal(size=SAMPLES))
    return seen, torch.from_numpy(np.array(alignment)).float(), torch.from_numpy(labels)


def weights_of(*case) -> np.ndarray:
    return np.array(weigh_epochs(*case, CLASSES))


@pytest.mark.parametrize("seed", range(3))
def test_an_epoch_that_knows_little_or_has_learnt_by_heart_counts_less(seed: int) -> None:
    case = epochs(np.random.default_rng(seed), sure=[0.2, 0.6, 0.8, 0.9, 0.9, 0.9], by_heart=[0, 0, 0, 0.4, 0.8, 1])
    weights = weights_of(*case)
    assert weights.sum() == pytest.approx(1)
    assert weights.argmax() in (1, 2)
    assert weights[[0, 4, 5]].max() < 0.5 * weights.max()


@pytest.mark.parametrize("seed", range(3))
def test_the_weights_are_those_of_the_definition_for_the_suspects_that_they_find(seed: int) -> None:
    """The fixed point: the suspects are the wrong labels, which every epoch here tells apart."""
    seen, alignment, labels = epochs(np.random.default_rng(seed), sure=[0.5, 0.7, 0.9], by_heart=[0, 0, 0])
    wrong = np.arange(SAMPLES) < WRONG
    values = alignment.numpy().astype(float)
    raw = [max(row.mean(), 0) * max(row[~wrong].mean() - row[wrong].mean(), 0) ** POWER for row in values]
    np.testing.assert_allclose(weights_of(seen, alignment, labels), np.array(raw) / sum(raw), rtol=1e-4)


def test_equal_where_no_mean_is_positive() -> None:
    seen, alignment, labels = epochs(np.random.default_rng(0), sure=[0.5, 0.7, 0.9], by_heart=[0, 0, 0])
    np.testing.assert_allclose(weights_of(seen, -alignment.abs(), labels), 1 / 3)
    np.testing.assert_allclose(weights_of(seen, torch.full_like(alignment, torch.nan), labels), 1 / 3)


def test_on_clean_labels_no_single_epoch_takes_all() -> None:
    rng = np.random.default_rng(1)
    seen, alignment, _ = epochs(rng, sure=[0.3, 0.5, 0.7, 0.8, 0.9], by_heart=[0] * 5)
    truth = seen[-1].top_class[:, 0]
    fits = [View(view.top_prob[:, 0], view.top_class, view.top_prob) for view in seen]
    weights = weights_of(fits, alignment.abs() + 0.1, truth)
    assert weights.sum() == pytest.approx(1)
    assert weights.max() < 0.9


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_hardly_any_sample(samples: int) -> None:
    seen, alignment, labels = epochs(np.random.default_rng(0), sure=[0.5, 0.9], by_heart=[0, 0])
    few = [View(*(part[:samples] for part in view)) for view in seen]
    weights = weights_of(few, alignment[:, :samples], labels[:samples])
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
