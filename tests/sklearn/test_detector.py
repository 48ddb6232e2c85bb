"""The scikit-learn face: scikit-learn's own checks, the ranking on tables with known errors, and what it refuses."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from gwa_attrib.analyses.mislabeled import judge
from gwa_attrib.errors import InputError
from gwa_attrib.sklearn import MislabelDetector
from gwa_attrib.sklearn.linear_head import of_probabilities
from gwa_attrib.sklearn.rows import standardised


def digits(wrong: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, labels of which some are wrong, and which."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    x, y = x[:900], y[:900].copy()
    rows = rng.permutation(900)[:wrong]
    y[rows] = (y[rows] + rng.integers(1, 10, wrong)) % 10
    return x, y, np.isin(np.arange(900), rows)


@pytest.fixture(scope="module")
def found() -> MislabelDetector:
    x, y, _ = digits()
    return MislabelDetector(random_state=0).fit(x, y)


@pytest.mark.parametrize(
    "estimator",
    [pytest.param(None, id="own"), pytest.param(LogisticRegression(), id="logistic", marks=pytest.mark.slow)],
)
def test_it_passes_the_checks_of_scikit_learn(estimator: Any) -> None:
    results = check_estimator(MislabelDetector(estimator, epochs=2), on_fail=None, on_skip=None)
    failed = [(r["check_name"], str(r["exception"])) for r in results if r["status"] == "failed"]
    assert not failed
    assert sum(r["status"] == "passed" for r in results) > 30


def test_wrong_labels_come_first(found: MislabelDetector) -> None:
    _, y, wrong = digits()
    assert average_precision_score(wrong, -found.label_quality_) > 0.97
    np.testing.assert_array_equal(np.argsort(found.label_quality_[found.ranked_], kind="stable"), np.arange(900))
    assert ((found.label_quality_ >= 0) & (found.label_quality_ <= 1)).all()
    assert 70 <= found.estimated_errors_.count <= 110
    np.testing.assert_array_equal(found.is_label_issue_, found.label_quality_ < 0.5)
    assert found.noise_matrix_.shape == (10, 10)
    truth = load_digits(return_X_y=True)[1][:900]
    assert (found.predicted_label_[wrong] == truth[wrong]).mean() > 0.9
    assert (found.predicted_label_[~found.is_label_issue_ & ~wrong] == y[~found.is_label_issue_ & ~wrong]).mean() > 0.95


def test_the_same_seed_gives_the_same_and_torch_is_left_alone(found: MislabelDetector) -> None:
    x, y, _ = digits()
    before, threads, untouched = torch.get_rng_state(), torch.get_num_threads(), x.copy()
    again = clone(found).fit(x, y)
    np.testing.assert_allclose(again.label_quality_, found.label_quality_, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(x, untouched)
    back = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(back.ranked_, found.ranked_)


@pytest.mark.parametrize("kind", ["strings", "far apart", "booleans"])
def test_labels_of_any_kind(kind: str) -> None:
    x, y, _ = digits()
    names: dict[str, np.ndarray] = {
        "strings": np.array([f"digit {i}" for i in range(10)]),
        "far apart": np.arange(10) * 1000 - 7,
        "booleans": np.arange(10) > 4,
    }
    given = names[kind][y]
    found = MislabelDetector(random_state=0, epochs=3).fit(pd.DataFrame(x).add_prefix("pixel"), given)
    assert set(found.predicted_label_) <= set(found.classes_)
    assert found.predicted_label_.dtype == given.dtype
    assert list(found.feature_names_in_[:2]) == ["pixel0", "pixel1"]
    assert set(np.unique(found.fit_predict(x, given))) <= {-1, 1}


def test_an_estimator_is_judged_out_of_fold() -> None:
    x, y, wrong = digits()
    model = LogisticRegression(max_iter=200)
    found = MislabelDetector(model, random_state=0).fit(x / 16, y)
    assert not hasattr(model, "coef_")  # it was cloned
    assert average_precision_score(wrong, -found.label_quality_) > 0.9
    with pytest.raises(InputError, match="predict_proba"):
        MislabelDetector(LinearSVC()).fit(x, y)


def test_the_judgement_is_that_of_the_ranking_of_runs() -> None:
    """One epoch of known probabilities: the order is that of the log-odds, and right labels are not issues."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    logits = 4.0 * np.eye(4)[labels] + rng.normal(size=(200, 4))
    logits[:10] = 4.0 * np.eye(4)[(labels[:10] + 1) % 4]
    judged = judge(of_probabilities(F.softmax(torch.from_numpy(logits), dim=1).float().numpy(), labels), 1 << 20)
    assert set(np.argsort(-judged.log_odds)[:10]) == set(range(10))
    assert (judged.predicted[:10] == (labels[:10] + 1) % 4).all()


def test_standardised_rows_are_those_of_a_loop() -> None:
    table = np.random.default_rng(0).normal(3, [1, 20, 1e-4], size=(50_000, 3)).astype(np.float32)
    table[:, 2] = 7
    rows = standardised(table)
    taken = rows.take(np.array([5, 0, 49_999])).numpy()
    wide = table.astype(np.float64)
    expected = (wide[[5, 0, 49_999]] - wide.mean(axis=0)) / np.array([wide[:, 0].std(), wide[:, 1].std(), 1.0])
    np.testing.assert_allclose(taken, expected, atol=1e-4)


def test_what_cannot_be_judged_is_refused() -> None:
    x, y, _ = digits()
    detector = MislabelDetector(epochs=1)
    with pytest.raises(ValueError, match="NaN"):
        detector.fit(np.where(x > 15, np.nan, x), y)
    with pytest.raises(InputError, match="one class"):
        detector.fit(x, np.zeros(900))
    with pytest.raises(InputError, match="missing"):
        detector.fit(x, np.where(y > 8, None, y))
    with pytest.raises(InputError, match="epochs"):
        MislabelDetector(epochs=0).fit(x, y)
    with pytest.raises(InputError, match="hidden"):
        MislabelDetector(hidden=-1).fit(x, y)


def test_weights_move_the_training_not_the_suspicion() -> None:
    x, y, wrong = digits()
    found = MislabelDetector(random_state=0, epochs=8).fit(x, y, sample_weight=np.where(wrong, 0.0, 2.0))
    assert average_precision_score(wrong, -found.label_quality_) > 0.97
