"""The default ranking against a loop, and what it must do at the edges."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gwa_attrib.analyses import rank
from gwa_attrib.analyses.class_evidence import class_probabilities, find_consensus
from gwa_attrib.analyses.mislabeled import ErrorCount, count_errors, log_odds, noise_of
from gwa_attrib.errors import RunFormatError
from gwa_attrib.store import RunWriter, open_run
from gwa_attrib.store.run_json import new_info
from tests.analyses.synthetic import run_from_probabilities


def random_case(seed: int, epochs: int = 4, samples: int = 30, classes: int = 4):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), size=(epochs, samples)).astype(np.float32)
    labels = rng.integers(0, classes, samples)
    alignment = rng.uniform(-0.2, 0.9, (epochs, samples)).astype(np.float32)
    return p, labels, alignment


def loop_log_odds(p: np.ndarray, labels: np.ndarray, noise: np.ndarray) -> tuple[list[float], list[int]]:
    """Straight from the definition, one sample at a time."""
    odds, proposed = [], []
    for row, label in zip(p, labels, strict=True):
        others = [k for k in range(len(row)) if k != label]
        against = sum(row[k] * noise[k, label] for k in others)
        value = math.log(against / (row[label] * noise[label, label])) + 1.5
        best = max(others, key=lambda k: row[k])
        odds.append(value + 2 * (row[best] - row[label]))
        proposed.append(best if odds[-1] > 0 or row[best] > row[label] / 1.25 else label)
    return odds, proposed


@pytest.mark.parametrize("seed", range(5))
def test_the_odds_are_those_of_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, labels = rng.dirichlet(np.ones(4), size=50), rng.integers(0, 4, 50)
    noise = 0.6 * np.eye(4) + 0.4 * rng.dirichlet(np.ones(4), size=4)
    odds, proposed = log_odds(torch.from_numpy(p).float(), torch.from_numpy(labels), noise)
    expected = loop_log_odds(p, labels, noise)
    np.testing.assert_allclose(odds, expected[0], rtol=1e-4, atol=1e-5)
    assert proposed.tolist() == expected[1]


def test_an_error_that_is_often_made_needs_less_evidence() -> None:
    p, labels = torch.tensor([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1]]), torch.tensor([1, 1])
    often = np.array([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    seldom = np.array([[0.98, 0.02, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert log_odds(p, labels, often)[0][0] > log_odds(p, labels, seldom)[0][0]


def test_the_ranking_is_made_of_its_parts(tmp_path: Path) -> None:
    run = run_from_probabilities(tmp_path / "run", *random_case(1, samples=60))
    consensus = find_consensus(run)
    assert sum(consensus.weights) == pytest.approx(1)
    (_, probabilities), *rest = class_probabilities(run, consensus.weights)
    assert not rest
    odds, _ = log_odds(probabilities, torch.from_numpy(run.labels.astype(np.int64)), consensus.noise)
    scores = rank(run, "mislabeled")
    np.testing.assert_array_equal(scores.values, odds.numpy())


def test_the_noise_matrix_is_that_of_the_issues(tmp_path: Path) -> None:
    run = run_from_probabilities(tmp_path / "run", *with_flips(100, 10))
    frame, matrix = rank(run).to_frame(), rank(run).meta["noise_matrix"]
    estimated = frame["predicted_label"].where(frame["is_label_issue"], frame["given_label"])
    expected = pd.crosstab(estimated, frame["given_label"], normalize="index")
    np.testing.assert_allclose(matrix, expected)
    assert (np.diag(matrix) < 1).all()


def test_the_noise_matrix_of_a_class_without_samples_is_unknown() -> None:
    found = noise_of(np.array([0, 0, -1, 2]), np.array([0, 2, -1, 2]), 3)
    np.testing.assert_array_equal(found, [[1, 0, 0], [np.nan] * 3, [0.5, 0, 0.5]])


def test_blocks_of_samples_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_from_probabilities(tmp_path / "run", *random_case(0))
    whole = rank(run)
    monkeypatch.setattr("gwa_attrib.analyses.probabilities.BLOCK", 4 * 7)
    np.testing.assert_array_equal(rank(run).values, whole.values)
    assert (rank(run).columns["predicted_label"] == whole.columns["predicted_label"]).all()


def test_a_large_run_is_learnt_from_in_part_and_always_in_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_from_probabilities(tmp_path / "run", *with_flips(600, 60))
    whole = rank(run)
    monkeypatch.setattr("gwa_attrib.analyses.class_evidence.LEARNT_FROM", 300)
    part = rank(run)
    np.testing.assert_array_equal(part.values, rank(run).values)
    assert set(part.top(60)) == set(whole.top(60)) == set(range(60))


def test_score_flag_and_proposal_say_the_same(tmp_path: Path) -> None:
    run = run_from_probabilities(tmp_path / "run", *random_case(2, samples=200))
    frame = rank(run).to_frame()
    assert frame["label_score"].between(0, 1).all()
    assert (frame.sort_values("rank")["label_score"].diff().dropna() >= 0).all(), "worst first, lower is worse"
    assert (frame["is_label_issue"] == (frame["label_score"] < 1 / 2)).all()
    assert frame["is_label_issue"].any()
    assert (
        frame.loc[frame["is_label_issue"], "given_label"] != frame.loc[frame["is_label_issue"], "predicted_label"]
    ).all()
    errors = rank(run).meta["estimated_errors"]
    assert errors["low"] <= errors["count"] == frame["is_label_issue"].sum() <= errors["high"] <= len(frame)


def with_flips(samples: int, wrong: int):
    """A model that is sure and right; the first labels are wrong."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, samples)
    labels = truth.copy()
    labels[:wrong] = (truth[:wrong] + 1) % 3
    p = np.full((2, samples, 3), 0.02, dtype=np.float32)
    p[:, np.arange(samples), truth] = 0.96
    return p, labels, np.where(labels == truth, 0.5, -0.3).astype(np.float32)[None].repeat(2, axis=0)


def test_a_sure_model_finds_the_flips(tmp_path: Path) -> None:
    p, labels, alignment = with_flips(100, 10)
    scores = rank(run_from_probabilities(tmp_path / "run", p, labels, alignment))
    assert set(scores.top(10)) == set(range(10))
    assert scores.columns["is_label_issue"].sum() == scores.meta["estimated_errors"]["count"] == 10
    assert (scores.columns["predicted_label"][:10] == [f"class {p[0, i].argmax()}" for i in range(10)]).all()


def test_no_issue_where_all_labels_are_learnt(tmp_path: Path) -> None:
    p, labels, alignment = with_flips(100, 0)
    scores = rank(run_from_probabilities(tmp_path / "run", p, labels, alignment))
    assert vars(ErrorCount(0, 0, 0)) == scores.meta["estimated_errors"]


def test_the_count_at_even_odds_lies_between_twenty_to_one_either_way() -> None:
    found = count_errors(np.log(np.array([100.0, 40, 19, 2, 1.1, 0.9, 0.2, 0.06, 0.04, np.nan])))
    assert (found.count, found.low) == (5, 0)
    assert found.high == 9  # of nine that have a value
    assert count_errors(np.log(np.full(1000, 21.0))) == ErrorCount(1000, int(1000 - 1.64 * 1000**0.5), 1000)
    assert count_errors(np.log(np.full(1000, 0.049))) == ErrorCount(0, 0, 0)


def test_a_sample_never_seen_has_no_value_no_proposal_and_no_flag(tmp_path: Path) -> None:
    p, labels, alignment = random_case(4)
    labels = labels.copy()
    labels[5] = -1
    seen = np.ones(p.shape[:2], dtype=bool)
    seen[:, 5] = False
    frame = rank(run_from_probabilities(tmp_path / "run", p, labels, alignment, seen=seen)).to_frame()
    assert np.isnan(frame.loc[5, "mislabeled"])
    assert frame.loc[5, ["predicted_label", "given_label"]].isna().all()
    assert not frame.loc[5, "is_label_issue"]
    assert frame.loc[5, "rank"] == len(frame)


def test_one_class_has_no_other_to_be(tmp_path: Path) -> None:
    p = np.ones((2, 5, 1), dtype=np.float32)
    scores = rank(run_from_probabilities(tmp_path / "r", p, np.zeros(5, dtype=int), np.full((2, 5), 0.3, np.float32)))
    assert not scores.columns["is_label_issue"].any()


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_hardly_any_sample(tmp_path: Path, samples: int) -> None:
    p, labels, alignment = random_case(6, samples=samples)
    scores = rank(run_from_probabilities(tmp_path / "run", p, labels, alignment))
    assert np.isfinite(scores.values).all()
    errors = scores.meta["estimated_errors"]
    assert 0 <= errors["low"] <= errors["count"] <= errors["high"] <= samples


def test_probabilities_that_are_no_numbers_are_epochs_not_seen(tmp_path: Path) -> None:
    p, labels, alignment = random_case(7)
    broken, nan = p.copy(), alignment.copy()
    broken[-1], nan[-1] = np.nan, np.nan
    scores = rank(run_from_probabilities(tmp_path / "broken", broken, labels, nan))
    shorter = rank(run_from_probabilities(tmp_path / "shorter", p[:-1], labels, alignment[:-1]))
    np.testing.assert_allclose(scores.values, shorter.values, rtol=1e-5)


def test_a_run_without_epochs_is_refused(tmp_path: Path) -> None:
    RunWriter.create(tmp_path / "run", new_info(class_names=["a", "b"], signals=[], num_samples=3, config={}))
    with pytest.raises(RunFormatError, match="end_epoch"):
        rank(open_run(tmp_path / "run"))


def test_many_classes(tmp_path: Path) -> None:
    """A sure model of 300 classes: what a probability must not fall below leaves room for odds."""
    rng = np.random.default_rng(0)
    truth = np.arange(1500) % 300
    labels = truth.copy()
    labels[:150] = (truth[:150] + rng.integers(1, 300, 150)) % 300
    logits = rng.normal(size=(3, 1500, 300))
    logits[:, np.arange(1500), truth] += 9
    p = np.exp(logits)
    p = (p / p.sum(axis=2, keepdims=True)).astype(np.float32)
    alignment = np.where(labels == truth, 0.2, -0.2).astype(np.float32)[None].repeat(3, axis=0)
    scores = rank(run_from_probabilities(tmp_path / "run", p, labels, alignment))
    assert set(scores.top(150)) == set(range(150))
    assert scores.meta["estimated_errors"]["count"] > 100
    assert scores.columns["is_label_issue"][150:].sum() == 0
