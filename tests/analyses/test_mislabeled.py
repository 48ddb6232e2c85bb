"""The default ranking against a loop, and what it must do at the edges."""

from pathlib import Path

import numpy as np
import pytest

from analyses.synthetic import run_from_probabilities
from gwa_attrib.analyses import rank
from gwa_attrib.analyses.consensus import epoch_weights
from gwa_attrib.errors import RunFormatError
from gwa_attrib.store import RunWriter, open_run
from gwa_attrib.store.new_run import new_info


def random_case(seed: int, epochs: int = 4, samples: int = 30, classes: int = 4):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), size=(epochs, samples)).astype(np.float32)
    labels = rng.integers(0, classes, samples)
    alignment = rng.uniform(-0.2, 0.9, (epochs, samples)).astype(np.float32)
    return p, labels, alignment


def loop_log_odds(p, labels, alignment, seen):
    """Straight from the definition, one sample at a time."""
    weights = [max(0.0, alignment[e][seen[e]].astype(float).mean()) ** 4 for e in range(len(p))]
    odds = []
    for i, label in enumerate(labels):
        epochs = [e for e in range(len(p)) if seen[e, i]]
        if not epochs:
            odds.append(np.nan)
            continue
        mean = sum(weights[e] * p[e, i].astype(float) for e in epochs) / sum(weights[e] for e in epochs)
        other = max(mean[c] for c in range(len(mean)) if c != label)
        odds.append(np.log((other + 0.1) / (mean[label] + 0.1)))
    return np.array(odds)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("all_seen", [True, False])
def test_the_odds_are_those_of_the_loop(tmp_path: Path, seed: int, all_seen: bool) -> None:
    p, labels, alignment = random_case(seed)
    seen = np.ones(p.shape[:2], dtype=bool) if all_seen else np.random.default_rng(seed).random(p.shape[:2]) < 0.5
    run = run_from_probabilities(tmp_path / "run", p, labels, alignment, seen=seen)
    found = rank(run, "mislabeled").values
    np.testing.assert_allclose(found, loop_log_odds(p, labels, alignment, seen), atol=2e-3)  # probabilities are float16


def test_blocks_of_samples_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_from_probabilities(tmp_path / "run", *random_case(0))
    whole = rank(run)
    monkeypatch.setattr("gwa_attrib.analyses.consensus.BLOCK", 4 * 7)
    np.testing.assert_array_equal(rank(run).values, whole.values)
    assert (rank(run).columns["predicted_label"] == whole.columns["predicted_label"]).all()


def test_epochs_count_by_their_alignment_and_equally_when_none_is_positive(tmp_path: Path) -> None:
    p, labels, _ = random_case(1, epochs=3)
    means = np.array([-0.5, 0.2, 0.4])
    run = run_from_probabilities(tmp_path / "a", p, labels, np.repeat(means[:, None], 30, axis=1).astype(np.float32))
    np.testing.assert_allclose(epoch_weights(run), np.array([0, 0.2**4, 0.4**4]) / (0.2**4 + 0.4**4), rtol=1e-5)
    run = run_from_probabilities(tmp_path / "b", p, labels, np.full((3, 30), -0.1, dtype=np.float32))
    np.testing.assert_allclose(epoch_weights(run), 1 / 3)


def test_score_flag_and_proposal_say_the_same(tmp_path: Path) -> None:
    run = run_from_probabilities(tmp_path / "run", *random_case(2, samples=200))
    frame = rank(run).to_frame()
    assert frame["label_score"].between(0, 1).all()
    assert (frame.sort_values("rank")["label_score"].diff().dropna() >= 0).all(), "worst first, lower is worse"
    assert (frame["is_label_issue"] == (frame["label_score"] < 1 / 3)).all()
    assert (
        frame.loc[frame["is_label_issue"], "given_label"] != frame.loc[frame["is_label_issue"], "predicted_label"]
    ).all()
    errors = rank(run).meta["estimated_errors"]
    assert errors["low"] <= errors["count"] == frame["is_label_issue"].sum() <= errors["high"] <= len(frame)


def test_a_sure_model_finds_the_flips(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    truth, labels = rng.integers(0, 3, 100), None
    labels = truth.copy()
    labels[:10] = (truth[:10] + 1) % 3
    p = np.full((2, 100, 3), 0.02, dtype=np.float32)
    p[:, np.arange(100), truth] = 0.96
    scores = rank(run_from_probabilities(tmp_path / "run", p, labels, np.full((2, 100), 0.5, dtype=np.float32)))
    assert set(scores.top(10)) == set(range(10))
    assert scores.columns["is_label_issue"].sum() == scores.meta["estimated_errors"]["count"] == 10
    assert (scores.columns["predicted_label"][:10] == [f"class {t}" for t in truth[:10]]).all()


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


def test_a_run_without_epochs_is_refused(tmp_path: Path) -> None:
    RunWriter.create(tmp_path / "run", new_info(class_names=["a", "b"], signals=[], num_samples=3, config={}))
    with pytest.raises(RunFormatError, match="end_epoch"):
        rank(open_run(tmp_path / "run"))
