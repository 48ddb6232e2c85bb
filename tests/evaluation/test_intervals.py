"""Bootstrap intervals: each draw against scikit-learn, the interval against a bootstrap in a loop."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from gwa_attrib.errors import InputError
from gwa_attrib.evaluation import mislabel_differences, mislabel_intervals, mislabel_metrics
from gwa_attrib.evaluation.intervals import metrics_of_counts
from gwa_attrib.scores import Scores


def example(n: int = 60, *, ties: bool = True) -> tuple[Scores, np.ndarray]:
    generator = np.random.default_rng(4)
    errors = generator.random(n) < 0.3
    values = generator.normal(size=n) + 1.2 * errors
    values = np.round(values, 1) if ties else values
    values[5] = np.nan
    return Scores(values, np.arange(n), method="m", suspect="high"), errors


def pairs_in_order(ranks: np.ndarray, errors: np.ndarray, rows: np.ndarray) -> float:
    """AUROC by its definition: of all pairs of a wrong and a right sample, the share in order; ties count half."""
    wrong, right = (ranks[rows][errors[rows] == which] for which in (True, False))
    gap = right[None, :] - wrong[:, None]
    return float(np.mean(gap > 0) + np.mean(gap == 0) / 2)


@pytest.mark.parametrize("ties", [True, False])
def test_counts_are_weights(ties: bool) -> None:
    """AUROC and average precision of a draw are scikit-learn's with the counts as sample weights."""
    scores, errors = example(ties=ties)
    counts = np.random.default_rng(0).integers(0, 4, (20, 60))
    order, ranks = scores.order(), scores.ranks()
    last = np.flatnonzero(np.r_[np.diff(ranks[order]) != 0, True])
    found = metrics_of_counts(counts[:, order], errors[order], last)
    for row, auroc, precision in zip(counts, found["auroc"], found["average_precision"], strict=True):
        kept = row > 0
        args = (errors[kept], -ranks[kept])
        assert auroc == pytest.approx(roc_auc_score(*args, sample_weight=row[kept]))
        assert precision == pytest.approx(average_precision_score(*args, sample_weight=row[kept]))


def test_each_sample_once_is_the_metric_itself() -> None:
    scores, errors = example(ties=False)
    order = scores.order()
    found = metrics_of_counts(np.ones((1, 60), dtype=int), errors[order], np.arange(60))
    for name, value in mislabel_metrics(scores, errors).items():
        if name != "errors":
            assert found[name][0] == pytest.approx(value), name


def test_the_interval_is_that_of_a_bootstrap_in_a_loop() -> None:
    scores, errors = example()
    found = mislabel_intervals(scores, errors, draws=2000)
    generator, ranks = np.random.default_rng(1), scores.ranks()
    draws = (generator.integers(0, 60, 60) for _ in range(2000))
    low, high = np.quantile([pairs_in_order(ranks, errors, rows) for rows in draws], [0.025, 0.975])
    assert found["auroc"] == pytest.approx((low, high), abs=0.02)
    assert found == mislabel_intervals(scores, errors, draws=2000)  # the same seed draws the same samples


def test_differences_are_paired() -> None:
    scores, errors = example()
    other = Scores(scores.values + np.random.default_rng(3).normal(size=60), np.arange(60), method="o", suspect="high")
    found = mislabel_differences(scores, other, errors, draws=2000)
    generator, both = np.random.default_rng(1), (scores.ranks(), other.ranks())
    values = []
    for _ in range(2000):
        rows = generator.integers(0, 60, 60)
        one, two = (pairs_in_order(ranks, errors, rows) for ranks in both)
        values.append(one - two)
    assert found["auroc"] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.02)
    assert set(mislabel_differences(scores, scores, errors).values()) == {(0.0, 0.0)}
    low, high = mislabel_differences(other, scores, errors, draws=2000)["auroc"]
    assert (-high, -low) == pytest.approx(found["auroc"])
    with pytest.raises(InputError, match="60"):
        mislabel_differences(scores, other, errors[:5])


def test_more_draws_than_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, errors = example()
    whole = mislabel_intervals(scores, errors, draws=50)
    monkeypatch.setattr("gwa_attrib.evaluation.intervals.TOGETHER", 130)
    assert mislabel_intervals(scores, errors, draws=50) == whole


@pytest.mark.filterwarnings("error")
def test_no_errors_have_no_interval() -> None:
    scores, errors = example()
    assert all(
        np.isnan(bound)
        for bounds in mislabel_intervals(scores, ~np.isfinite(np.zeros(60))).values()
        for bound in bounds
    )
    nothing = Scores(np.array([]), np.array([], dtype=int), method="m", suspect="high")
    assert np.isnan(list(mislabel_intervals(nothing, np.zeros(0, dtype=bool)).values())).all()
    with pytest.raises(InputError, match="60"):
        mislabel_intervals(scores, errors[:5])
