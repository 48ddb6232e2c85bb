"""Labels made wrong on purpose: how many, which, and to what."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.datasets import encode, flip_kinds, flip_labels, known_look_alikes, load, look_alikes
from gwa_attrib.datasets.readers.built_in import CLASS_NAMES
from gwa_attrib.errors import InputError, UnknownNameError

PAIRS = {0: 1, 1: 2, 2: 3, 3: 4, 4: 0}


def labels_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, size=n)


@pytest.mark.parametrize("kind", flip_kinds.names())
@given(n=st.integers(0, 200), rate=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**32))
def test_exactly_the_share_changes_and_nothing_else(kind, n, rate, seed):
    labels = labels_of(n)
    before = labels.copy()
    new, flipped = flip_labels(labels, 5, rate, kind, seed, PAIRS)
    assert flipped.sum() == round(rate * n)
    np.testing.assert_array_equal(new != before, flipped)
    np.testing.assert_array_equal(labels, before)
    assert new.dtype == np.int64
    assert n == 0 or 0 <= new.min() <= new.max() < 5
    if kind == "pairs":
        assert [PAIRS[c] for c in before[flipped].tolist()] == new[flipped].tolist()


@pytest.mark.parametrize("kind", flip_kinds.names())
def test_the_seed_decides(kind):
    labels = labels_of(500)
    first, again = (flip_labels(labels, 5, 0.3, kind, 7, PAIRS) for _ in range(2))
    other = flip_labels(labels, 5, 0.3, kind, 8, PAIRS)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).any()


def test_both_kinds_flip_the_same_samples():
    labels = labels_of(500)
    np.testing.assert_array_equal(
        flip_labels(labels, 5, 0.3, "symmetric", 7)[1], flip_labels(labels, 5, 0.3, "pairs", 7, PAIRS)[1]
    )


def test_symmetric_flips_go_to_every_other_class_alike():
    labels = np.repeat(np.arange(5), 8000)
    new, flipped = flip_labels(labels, 5, 0.5, "symmetric", 0)
    counts = np.zeros((5, 5))
    np.add.at(counts, (labels[flipped], new[flipped]), 1)
    others = counts[~np.eye(5, dtype=bool)]
    assert others.sum() == 20_000
    assert np.abs(others - 1000).max() < 5 * np.sqrt(1000)  # five standard deviations of a count
    assert np.trace(counts) == 0


def test_every_sample_is_as_likely_to_be_flipped():
    times = sum(flip_labels(labels_of(50), 5, 0.4, "symmetric", seed)[1].astype(int) for seed in range(1000))
    assert np.abs(times - 400).max() < 5 * np.sqrt(1000 * 0.4 * 0.6)


def test_two_classes_swap():
    labels = np.array([0, 1] * 10)
    new, flipped = flip_labels(labels, 2, 0.5, "symmetric", 0)
    np.testing.assert_array_equal(new[flipped], 1 - labels[flipped])


def test_a_class_may_end_up_empty():
    new, _ = flip_labels(np.array([0, 0, 0, 1]), 2, 0.99, "symmetric", 0)
    assert new.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, float("nan"), float("inf"), -float("inf")])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        flip_labels(labels_of(10), 5, rate, "symmetric", 0)


@pytest.mark.parametrize(("labels", "classes"), [([0, 5], 5), ([-1, 0], 5), ([0, 0], 1), ([], 0)])
def test_labels_outside_the_classes_are_refused(labels, classes):
    with pytest.raises(InputError, match="classes"):
        flip_labels(np.array(labels, dtype=np.int64), classes, 0.1, "symmetric", 0)


def test_an_unknown_kind_lists_the_kinds():
    with pytest.raises(UnknownNameError, match="symmetric, pairs"):
        flip_labels(labels_of(10), 5, 0.1, "nearest", 0)


@pytest.mark.parametrize("pairs", [None, {}, {0: 1}, {**PAIRS, 2: 2}, {**PAIRS, 3: 5}, {**PAIRS, 3: -1}])
def test_pairs_that_are_none_are_refused(pairs):
    with pytest.raises(InputError, match="pairs that give every class another one"):
        flip_labels(np.arange(5), 5, 0.9, "pairs", 0, pairs)


def test_look_alikes_are_the_nearest_means():
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [10.0, 3.0]])
    labels = np.repeat(np.arange(4), 20)
    inputs = centres[labels] + torch.randn(80, 2) * 0.01
    assert look_alikes(inputs, labels) == {0: 1, 1: 0, 2: 3, 3: 2}


def test_look_alikes_against_plain_arithmetic():
    labels = labels_of(60)
    inputs = torch.randn(60, 2, 3, 4)
    means = np.stack([inputs.numpy().astype(np.float64).reshape(60, -1)[labels == c].mean(axis=0) for c in range(5)])
    for c, other in look_alikes(inputs, labels).items():
        distances = {d: np.sum((means[c] - means[d]) ** 2) for d in range(5) if d != c}
        assert other == min(distances, key=distances.__getitem__)


def test_look_alikes_of_classes_that_do_not_occur_are_left_out():
    assert look_alikes(torch.eye(2), np.array([1, 4])) == {1: 4, 4: 1}
    with pytest.raises(InputError, match="two classes"):
        look_alikes(torch.eye(2), np.array([1, 1]))


def test_equal_means_have_a_look_alike_too():
    assert look_alikes(torch.zeros(4, 3), np.array([0, 1, 2, 2])) == {0: 1, 1: 0, 2: 0}


def test_the_look_alikes_of_clothes_are_known():
    known = {0: 6, 6: 0, 2: 4, 4: 2, 5: 7, 7: 5, 1: 3, 3: 1, 8: 9, 9: 8}
    assert known_look_alikes(CLASS_NAMES) == known
    assert look_alikes(torch.zeros(10, 1), np.arange(10), CLASS_NAMES) == known
    assert known_look_alikes(CLASS_NAMES[:9]) is None
    assert known_look_alikes(("a", "b")) is None


def test_digits_can_be_flipped_to_their_look_alikes():
    data = load("digits")
    pairs = look_alikes(encode(data), data.labels, data.class_names)
    new, flipped = flip_labels(data.labels, 10, 0.2, "pairs", 0, pairs)
    assert flipped.sum() == 359
    assert set(pairs) == set(range(10))
    assert (new[flipped] != data.labels[flipped]).all()
