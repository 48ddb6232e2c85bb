"""The noise matrix: planted ones are found again, and the laws of each step."""

import numpy as np
import pytest
import torch

from gwa_attrib.analyses.noise_matrix import ALPHAS, SHARPER, agreement, estimate_noise_matrix, joint_counts, shares

CLASSES = 5


def planted(kind: str, rate: float = 0.2) -> np.ndarray:
    matrix = (1 - rate) * np.eye(CLASSES)
    if kind == "pairs":
        return matrix + rate * np.roll(np.eye(CLASSES), 1, axis=1)
    return matrix + rate / (CLASSES - 1) * (1 - np.eye(CLASSES))


def sampled(matrix: np.ndarray, samples: int = 6000, sure: float = 6.0, seed: int = 0):
    """Probabilities of a model that is mostly sure and right, and labels drawn by the matrix."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, samples)
    logits = rng.normal(size=(samples, CLASSES))
    logits[np.arange(samples), truth] += sure
    labels = np.array([rng.choice(CLASSES, p=matrix[k]) for k in truth])
    return torch.from_numpy(logits).softmax(dim=1), torch.from_numpy(labels), truth


def test_planted_even_noise_is_found() -> None:
    probabilities, labels, _ = sampled(planted("even"))
    np.testing.assert_allclose(estimate_noise_matrix(probabilities, labels), planted("even"), atol=0.03)


def test_planted_pairs_are_found_and_other_errors_are_not_ruled_out() -> None:
    probabilities, labels, _ = sampled(planted("pairs"))
    found = estimate_noise_matrix(probabilities, labels)
    np.testing.assert_allclose(np.diag(found), 0.8, atol=0.03)
    for k in range(CLASSES):
        others = np.delete(found[k], [k, (k + 1) % CLASSES])
        assert found[k, (k + 1) % CLASSES] > 5 * others.max() > 0


def test_as_many_labels_are_errors_as_are_contradicted() -> None:
    probabilities, labels, _ = sampled(planted("pairs"), samples=300, sure=2.0)
    contradicted = sum(int(row.argmax()) != label for row, label in zip(probabilities, labels.tolist(), strict=True))
    found = estimate_noise_matrix(probabilities, labels)
    np.testing.assert_allclose(1 - np.diag(found), (contradicted + 1) / 302)


@pytest.mark.parametrize("kind", ["even", "pairs"])
def test_rows_are_distributions(kind: str) -> None:
    probabilities, labels, _ = sampled(planted(kind), samples=40)
    found = estimate_noise_matrix(probabilities, labels)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()


def test_counts_are_of_the_given_labels_and_of_the_classes_that_are_sure() -> None:
    probabilities, labels, truth = sampled(planted("pairs"), sure=30.0)
    counts = joint_counts(probabilities, labels, 2.0)
    np.testing.assert_allclose(counts.sum(axis=0), labels.bincount(minlength=CLASSES))
    np.testing.assert_allclose(counts.sum(axis=1), np.bincount(truth, minlength=CLASSES), atol=1e-6)


def test_sharper_probabilities_leave_more_errors() -> None:
    probabilities, labels, _ = sampled(planted("even"), sure=3.0)
    errors = [len(labels) - joint_counts(probabilities, labels, sharpness).trace() for sharpness in (SHARPER, 2.0)]
    assert 0 < errors[0] < errors[1]


def test_naming_the_classes_otherwise_changes_nothing_else() -> None:
    probabilities, labels, _ = sampled(planted("pairs"), samples=500)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = estimate_noise_matrix(probabilities[:, order], order.argsort()[labels])
    np.testing.assert_allclose(moved, estimate_noise_matrix(probabilities, labels)[np.ix_(order, order)], rtol=1e-6)


def test_errors_that_look_like_chance_are_evened_out_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    chance = np.diag(np.full(CLASSES, 500.0))
    off = ~np.eye(CLASSES, dtype=bool)
    chance[off] = rng.poisson(3.0, CLASSES * (CLASSES - 1))
    raw = chance[off].reshape(CLASSES, -1)
    raw /= raw.sum(axis=1, keepdims=True)
    even = shares(chance)
    np.testing.assert_allclose(even.sum(axis=1), 1)
    assert even.std() < 0.25 * raw.std()
    pairs = np.diag(np.full(CLASSES, 500.0)) + 12 * np.roll(np.eye(CLASSES), 1, axis=1)
    kept = shares(pairs)
    assert kept[0, 0] / kept[0, 1] > 10


def test_a_label_given_too_often_is_expected_of_classes_that_have_no_error_yet() -> None:
    counts = np.diag(np.full(CLASSES, 500.0))
    counts[1:, 0] = 40.0  # all go to label 0, but of class 4 nothing is known
    counts[4, 0] = 0.0
    of_last = shares(counts)[4]
    assert of_last[0] > 2 * of_last[1:].max()


def test_without_errors_all_ways_are_alike() -> None:
    np.testing.assert_allclose(shares(np.diag(np.full(CLASSES, 500.0))), 1 / (CLASSES - 1))


def test_agreement_is_the_likeliest_of_a_grid() -> None:
    errors = np.array([[9.0, 1.0, 2.0], [0.0, 7.0, 4.0], [3.0, 3.0, 8.0]])
    common = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])

    def likelihood(total: float) -> float:
        found = 0.0
        for row, mean in zip(errors, common, strict=True):  # drawing one after the other from an urn (Pólya)
            drawn = np.zeros(3)
            for other, count in enumerate(row):
                for _ in range(int(count)):
                    found += np.log((total * mean[other] + drawn[other]) / (total + drawn.sum()))
                    drawn[other] += 1
        return found

    grid = 3 * np.geomspace(*ALPHAS, 2000)
    assert agreement(errors, common) == pytest.approx(grid[np.argmax([likelihood(a) for a in grid])], rel=0.02)


def test_nothing_to_learn_from() -> None:
    np.testing.assert_array_equal(estimate_noise_matrix(torch.ones(7, 1), torch.zeros(7, dtype=torch.long)), [[1.0]])
    nothing = estimate_noise_matrix(torch.full((3, 2), torch.nan), torch.zeros(3, dtype=torch.long))
    np.testing.assert_array_equal(nothing, np.eye(2))
    np.testing.assert_array_equal(estimate_noise_matrix(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)), np.eye(3))
    one = estimate_noise_matrix(torch.tensor([[0.9, 0.1]]), torch.tensor([1]))
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one.sum(axis=1), 1)
