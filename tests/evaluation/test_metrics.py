"""Metrics of a ranking against loops and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from gwa_attrib.errors import InputError
from gwa_attrib.evaluation import mislabel_metrics, score_against, verified_labels
from gwa_attrib.scores import Scores


def scores(values, suspect="high") -> Scores:
    values = np.asarray(values, dtype=np.float64)
    return Scores(values, np.arange(len(values)), method="m", suspect=suspect)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40), st.sampled_from(["low", "high"]))
def test_auroc_and_average_precision_are_scikit_learns_with_ties(pairs, suspect) -> None:
    values, errors = np.array([v for v, _ in pairs], dtype=float), np.array([e for _, e in pairs])
    found = mislabel_metrics(scores(values, suspect), errors)
    if not 0 < errors.sum() < len(errors):
        assert np.isnan(found["auroc"])
        return
    turned = values if suspect == "high" else -values
    assert found["auroc"] == pytest.approx(roc_auc_score(errors, turned))
    assert found["average_precision"] == pytest.approx(average_precision_score(errors, turned))


def test_recall_and_precision_by_hand() -> None:
    values = np.arange(20)[::-1]  # sample 0 is the worst
    errors = np.zeros(20, dtype=bool)
    errors[[0, 1, 3, 10]] = True
    found = mislabel_metrics(scores(values), errors)
    assert found["errors"] == 4
    assert found["precision_at_errors"] == 3 / 4
    assert found["recall_at_10_percent"] == 2 / 4
    assert found["recall_at_20_percent"] == 3 / 4


def test_infinite_values_rank_and_missing_ones_come_last() -> None:
    errors = np.array([True, False, False, False])
    assert mislabel_metrics(scores([np.inf, 1.0, 2.0, np.nan]), errors)["auroc"] == 1.0
    assert mislabel_metrics(scores([np.nan, 1.0, 2.0, -np.inf]), errors)["auroc"] == 0.0


def test_a_wrong_number_of_truths_is_refused() -> None:
    with pytest.raises(InputError, match="3"):
        mislabel_metrics(scores([1.0, 2.0, 3.0]), np.array([True]))


CLASSES = ("cat", "dog", "3")


def test_verified_labels_are_class_numbers_with_gaps_marked() -> None:
    column = np.array(["dog", "cat", None, "fox", "3"], dtype=object)
    assert verified_labels({"v": column}, "v", CLASSES).tolist() == [1, 0, -1, -2, 2]
    assert verified_labels({"v": np.array([3.0, np.nan, 4.0])}, "v", CLASSES).tolist() == [2, -1, -2]
    assert verified_labels({"v": np.array([3, 3])}, "v", CLASSES).tolist() == [2, 2]


@pytest.mark.parametrize("columns", [{}, {"v": np.array(["Cat", "Dog"])}, {"v": np.array([])}])
def test_verified_labels_that_cannot_be_used_are_refused(columns) -> None:
    with pytest.raises(InputError):
        verified_labels(columns, "v", CLASSES)


def test_unverified_samples_do_not_count_and_foreign_labels_are_errors() -> None:
    given_labels, verified = np.array([0, 1, 0, 1]), np.array([0, -1, -2, 0])
    found = score_against(scores([0.0, 9.0, 2.0, 3.0]), given_labels, verified)
    assert found["errors"] == 2
    assert found["auroc"] == 1.0
