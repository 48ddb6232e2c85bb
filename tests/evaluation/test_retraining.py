"""Training again: results that survive an interruption, and scores judged by them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn

import gwa_attrib as gwa
from gwa_attrib.errors import InputError
from gwa_attrib.evaluation import (
    all_but_one,
    datamodel,
    half_subsets,
    leave_one_out,
    leave_one_out_correlation,
    linear_datamodeling_score,
    retrain,
)
from gwa_attrib.scores import Scores
from tests.attribution.problems import L2, fit, logistic

WEIGHTS = np.random.default_rng(0).normal(size=(12, 3))


def additive(kept: np.ndarray, seed: int) -> np.ndarray:
    """Losses that are sums over the samples."""
    return -WEIGHTS[kept].sum(axis=0) + 0 * seed


def scores(values: np.ndarray) -> Scores:
    return Scores(values, np.arange(len(values)), method="m", suspect="low")


def test_subsets_are_halves_and_repeatable() -> None:
    masks = half_subsets(11, 40, seed=3)
    assert masks.shape == (40, 11)
    assert (masks.sum(axis=1) == 6).all()
    np.testing.assert_array_equal(masks, half_subsets(11, 40, seed=3))
    assert len({mask.tobytes() for mask in masks}) > 30
    assert (all_but_one(4).sum(axis=1) == 3).all()
    for share in (0.0, 1.0, 0.01):
        with pytest.raises(InputError):
            half_subsets(11, 2, share=share)


def test_lds_is_one_for_the_truth_minus_one_against_it_and_nan_for_nothing(tmp_path: Path) -> None:
    masks = half_subsets(12, 60)
    losses = retrain(additive, masks, tmp_path / "r")
    np.testing.assert_allclose(linear_datamodeling_score(scores(WEIGHTS), masks, losses), 1.0)
    np.testing.assert_allclose(linear_datamodeling_score(scores(-WEIGHTS), masks, losses), -1.0)
    assert np.isnan(linear_datamodeling_score(scores(np.zeros((12, 3))), masks, losses)).all()
    with pytest.raises(InputError, match="12 samples and 3 queries"):
        linear_datamodeling_score(scores(WEIGHTS[:5]), masks, losses)


def test_leaving_out_and_datamodels_find_additive_shares(tmp_path: Path) -> None:
    left = retrain(additive, all_but_one(12), tmp_path / "loo")
    np.testing.assert_allclose(leave_one_out(left, additive(np.arange(12), 0)).values, WEIGHTS)
    masks = half_subsets(12, 200)
    model = datamodel(masks, retrain(additive, masks, tmp_path / "r"), penalty=1e-4)
    # every subset has six samples, so that shares are known up to a constant
    found, truth = (values - values.mean(axis=0) for values in (model.values, WEIGHTS))
    np.testing.assert_allclose(found, truth, atol=0.02)


def test_correlation_with_leaving_out() -> None:
    truth, generator = scores(WEIGHTS), np.random.default_rng(1)
    np.testing.assert_allclose(leave_one_out_correlation(scores(np.exp(WEIGHTS)), truth), 1.0)
    np.testing.assert_allclose(leave_one_out_correlation(scores(-WEIGHTS), truth), -1.0)
    other = generator.normal(size=WEIGHTS.shape)
    expected = [spearmanr(other[:, query], WEIGHTS[:, query])[0] for query in range(3)]
    np.testing.assert_allclose(leave_one_out_correlation(scores(other), truth), expected)
    assert np.isnan(leave_one_out_correlation(scores(np.zeros_like(WEIGHTS)), truth)).all()
    for wrong in (scores(WEIGHTS[:, :2]), scores(WEIGHTS[:, 0])):
        with pytest.raises(InputError, match="queries"):
            leave_one_out_correlation(wrong, truth)


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def count(kept: np.ndarray, seed: int) -> np.ndarray:
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append((len(kept), seed))
        return additive(kept, seed) + seed

    masks = half_subsets(12, 4)
    with pytest.raises(KeyboardInterrupt):
        retrain(count, masks, tmp_path / "r", seeds=2)
    calls.clear()
    found = retrain(count, masks, tmp_path / "r", seeds=2)
    assert len(calls) == 3
    expected = [additive(np.flatnonzero(mask), 0) + 0.5 for mask in masks]
    np.testing.assert_allclose(found, expected)
    with pytest.raises(InputError, match="those of others"):
        retrain(additive, half_subsets(12, 4, seed=9), tmp_path / "r")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        retrain(additive, masks, tmp_path / "other")
    with pytest.raises(InputError, match="at least one subset"):
        retrain(additive, masks[:0], tmp_path / "none")
    with pytest.raises(InputError, match="one loss per query"):
        retrain(lambda kept, seed: np.zeros((2, 2)), masks, tmp_path / "bad")


def test_two_processes_find_the_same(tmp_path: Path) -> None:
    masks = half_subsets(12, 6)
    np.testing.assert_array_equal(
        retrain(additive, masks, tmp_path / "a", workers=2), retrain(additive, masks, tmp_path / "b")
    )


SLOW = """
import time, sys
import numpy as np
from gwa_attrib.evaluation import half_subsets, retrain

def slow(kept, seed):
    time.sleep(0.02)
    return np.full(3, float(kept.sum()))

retrain(slow, half_subsets(12, 500), sys.argv[1])
"""


def test_a_killed_process_leaves_whole_results(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(folder)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("subset=*.npy"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = sorted(folder.glob("subset=*.npy"))
    assert 5 <= len(done) < 500
    masks = half_subsets(12, 500)
    for path in done:
        subset = int(path.name[7:12])
        np.testing.assert_array_equal(np.load(path), np.full(3, float(np.flatnonzero(masks[subset]).sum())))


def test_influence_predicts_retraining_and_noise_does_not(tmp_path: Path) -> None:
    """On logistic regression, to its minimum each time."""
    problem = logistic()
    x, y, query = problem.x, problem.y, problem.query

    def train(kept: np.ndarray, seed: int) -> np.ndarray:
        model = nn.Linear(x.shape[1], 3).double()
        fit(model, x[kept], y[kept], total=len(kept))
        return F.cross_entropy(model(query[0]), query[1], reduction="none").detach().numpy()

    masks = half_subsets(len(x), 100)
    losses = retrain(train, masks, tmp_path / "r")
    args = (problem.model, F.cross_entropy, problem.train, query)
    exact = linear_datamodeling_score(gwa.attribute(*args, "influence", damping=L2), masks, losses)
    assert exact.mean() > 0.8
    noise = linear_datamodeling_score(gwa.attribute(*args, "random"), masks, losses)
    assert abs(noise.mean()) < 0.15
    loo = leave_one_out(
        retrain(train, all_but_one(len(x)), tmp_path / "loo"),
        F.cross_entropy(problem.model(query[0]), query[1], reduction="none").detach().numpy(),
    )
    values = gwa.attribute(*args, "influence", damping=L2).values
    assert min(spearmanr(loo.values[:, q], values[:, q])[0] for q in range(12)) >= 0.98
    assert torch.get_num_threads() >= 1
