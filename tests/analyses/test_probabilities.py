"""Class probabilities over the epochs, against loops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gwa_attrib.analyses.probabilities import (
    FLOOR,
    FLOOR_OF_ALL,
    Sums,
    believed,
    blocks,
    mean_probabilities,
    pooled,
    summed,
    views,
)
from tests.analyses.synthetic import run_from_probabilities

EPOCHS, SAMPLES = 4, 30


def case(tmp_path: Path, classes: int, *, gaps: bool = False):
    rng = np.random.default_rng(classes)
    p = rng.dirichlet(np.ones(classes), size=(EPOCHS, SAMPLES)).astype(np.float32)
    labels = rng.integers(0, classes, SAMPLES)
    seen = rng.random((EPOCHS, SAMPLES)) < 0.6 if gaps else np.ones((EPOCHS, SAMPLES), dtype=bool)
    alignment = np.full((EPOCHS, SAMPLES), 0.1, dtype=np.float32)
    return run_from_probabilities(tmp_path / "run", p, labels, alignment, seen=seen), p, torch.from_numpy(labels), seen


def as_known(p: np.ndarray, label: int) -> np.ndarray:
    """The label's and the five largest as they are, the rest spread evenly over the other classes."""
    known = {int(c) for c in np.argsort(-p)[:5]} | {label}
    others = [c for c in range(len(p)) if c not in known]
    found = p.astype(np.float64).copy()
    if others:
        found[others] = max(0.0, 1.0 - sum(found[c] for c in known)) / len(others)
    return found


@pytest.mark.parametrize("classes", [2, 9, 40])
@pytest.mark.parametrize("gaps", [False, True])
def test_pooled_is_the_normalised_geometric_mean_of_what_was_seen(tmp_path: Path, classes: int, gaps: bool) -> None:
    run, p, labels, seen = case(tmp_path, classes, gaps=gaps)
    weights = [0.1, 0.0, 0.6, 0.3]
    found = pooled(summed(views(run, slice(None)), weights, labels, classes)).numpy()
    for i, label in enumerate(labels.tolist()):
        epochs = [e for e in range(EPOCHS) if seen[e, i] and weights[e]]
        if not epochs:
            assert np.isnan(found[i]).all()
            continue
        logs = sum(weights[e] * np.log(as_known(p[e, i], label) + min(FLOOR, FLOOR_OF_ALL / classes)) for e in epochs)
        mean = np.exp(logs / sum(weights[e] for e in epochs))
        np.testing.assert_allclose(found[i], mean / mean.sum(), atol=2e-3)  # probabilities are stored as float16


@pytest.mark.parametrize("gaps", [False, True])
def test_the_plain_mean_is_that_of_the_epochs_that_saw_the_sample(tmp_path: Path, gaps: bool) -> None:
    run, p, labels, seen = case(tmp_path, 9, gaps=gaps)
    found = mean_probabilities(views(run, slice(None)), labels, 9).numpy()
    for i, label in enumerate(labels.tolist()):
        epochs = [e for e in range(EPOCHS) if seen[e, i]]
        if epochs:
            expected = np.mean([as_known(p[e, i], label) for e in epochs], axis=0)
            np.testing.assert_allclose(found[i], expected, atol=1e-3)
        else:
            assert np.isnan(found[i]).all()


def test_one_epoch_is_itself_but_for_the_floor(tmp_path: Path) -> None:
    run, p, labels, _ = case(tmp_path, 4)
    found = pooled(summed(views(run, slice(None)), [0.0, 1.0, 0.0, 0.0], labels, 4)).numpy()
    np.testing.assert_allclose(found, (p[1] + FLOOR) / (1 + 4 * FLOOR), atol=1e-3)


@pytest.mark.parametrize("classes", [2, 9, 40])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_label_has_the_mean_of_its_roots_and_the_others_share_the_rest(
    tmp_path: Path, classes: int, gaps: bool
) -> None:
    run, p, labels, seen = case(tmp_path, classes, gaps=gaps)
    weights = np.array([0.1, 0.0, 0.6, 0.3])
    sums = summed(views(run, slice(None)), weights.tolist(), labels, classes)
    found, shared = believed(sums, labels).double().numpy(), pooled(sums).double().numpy()
    for i, label in enumerate(labels.tolist()):
        epochs = seen[:, i] & (weights > 0)
        if not epochs.any():
            assert np.isnan(found[i]).all()
            continue
        own = np.average(np.sqrt(p[epochs, i, label]), weights=weights[epochs]) ** 2
        assert found[i, label] == pytest.approx(own, rel=1e-5)
        others = np.arange(classes) != label
        expected = (1 - own) * shared[i, others] / shared[i, others].sum()
        np.testing.assert_allclose(found[i, others], expected, rtol=1e-3)
        assert found[i].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("root", "own"), [(0.0, 1e-6), (1.0, 1 - 1e-6)])
def test_no_label_is_certain_or_impossible(root: float, own: float) -> None:
    found = believed(Sums(torch.tensor([[0.0, 99.0]]), torch.tensor([root]), torch.ones(1)), torch.tensor([0]))
    assert found[0].tolist() == pytest.approx([own, 1 - own], rel=0.1)


def test_blocks_are_all_samples_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, labels, _ = case(tmp_path, 4)
    weights = [0.25] * EPOCHS
    whole = pooled(summed(views(run, slice(None)), weights, labels, 4))
    monkeypatch.setattr("gwa_attrib.analyses.probabilities.BLOCK", 4 * 7)
    parts = [pooled(summed(views(run, rows), weights, labels[rows], 4)) for rows in blocks(run)]
    assert len(parts) == 5
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
