"""Which classes a training has learnt: by its own predictions, written down by hand; and of real trainings."""

import json
from pathlib import Path

import numpy as np
import pytest

import gwa_attrib as gwa
from gwa_attrib.analyses import expected_errors
from gwa_attrib.analyses.expected_errors import expected_among, expected_steps, worth_looking
from gwa_attrib.analyses.learnt import RECALL, STEADY, SUSPECTS, USED, learnt_classes
from tests import ROOT

DETECTION = ROOT / "reports" / "detection" / "detection.json"


class Predicted:
    """As much of a run as predictions are: ``[epoch, sample]``, -1 where a sample was not seen."""

    def __init__(self, labels: list[int], predictions: list[list[int]], classes: int) -> None:
        self.labels, self.predictions = np.array(labels), np.array(predictions)
        self.class_names = tuple("abcdef"[:classes])
        self.epoch_numbers = tuple(range(len(predictions)))

    def by_epoch(self, name: str):
        assert name == "pred"
        yield from ((epoch, {"pred": row}) for epoch, row in enumerate(self.predictions))


@pytest.fixture(autouse=True)
def _no_type_checks(without_type_checks: None) -> None:
    """A stand-in for a run is none."""


def judged(labels: list[int], predictions: list[list[int]], suspects: list[int], classes: int = 3):
    flags = np.isin(np.arange(len(labels)), suspects)
    return learnt_classes(Predicted(labels, predictions, classes), flags)


def test_the_numbers_are_those_of_the_second_half() -> None:
    """Four epochs, of which the last two count; by hand."""
    labels = [0, 0, 0, 0, 1, 1, 2]
    first = [[2] * 7, [2] * 7]
    late = [[0, 0, 1, 1, 1, 0, -1], [0, 1, 1, 2, 1, 0, -1]]
    table = judged(labels, first + late, suspects=[2, 3, 5])
    assert table["samples"].tolist() == [4, 2, 1]
    assert table["suspects"].tolist() == [2, 1, 0]
    np.testing.assert_allclose(table["recall"], [3 / 8, 2 / 4, np.nan])
    np.testing.assert_allclose(table["steady"], [1 / 2, 1, np.nan])
    np.testing.assert_allclose(table["used"], [5 / 8, 6 / 4, np.nan])
    assert table["learnt"].tolist() == [False, True, True]


def test_wrong_labels_are_contradicted_steadily_and_are_no_failure() -> None:
    """Six of ten labels of class 0 are wrong, and always predicted as 1: the class is known all the same."""
    labels = [0] * 10 + [1] * 10
    predictions = [[0] * 4 + [1] * 6 + [1] * 10] * 6
    assert judged(labels, predictions, list(range(4, 10)))["learnt"].all()


def test_predictions_that_wander_are_a_failure() -> None:
    labels = [0] * 10 + [1] * 10
    predictions = [[0] * 3 + [1 + (epoch + i) % 2 for i in range(7)] + [1] * 10 for epoch in range(6)]
    assert judged(labels, predictions, list(range(3, 10)))["learnt"].tolist() == [False, True, True]


def test_a_class_that_is_never_predicted_is_a_failure_however_steady() -> None:
    labels = [0] * 10 + [1] * 30
    assert judged(labels, [[1] * 40] * 6, list(range(10)), classes=2)["learnt"].tolist() == [False, True]


def test_one_epoch_and_no_suspects_are_judged_too() -> None:
    assert judged([0, 0, 1], [[1, 1, 1]], [0, 1], classes=2)["learnt"].tolist() == [False, True]
    assert judged([0, 0, 1], [[1, 1, 1]], [], classes=2)["learnt"].all()


def test_digits_with_half_of_the_labels_wrong_are_learnt(tmp_path: Path) -> None:
    gwa.audit("digits", tmp_path / "run", flip=0.5, budget="fast", epochs=10)
    run = gwa.open_run(tmp_path / "run")
    table = learnt_classes(run, np.asarray(gwa.rank(run).columns["is_label_issue"], dtype=bool))
    assert (table["recall"] < 0.75).all()
    assert table["learnt"].all()


def test_what_is_no_picture_of_its_class_is_not_learnt(tmp_path: Path) -> None:
    """Three classes of digits, and two whose pictures are noise: those are named, and decided on by nobody."""
    draw = np.random.default_rng(0)
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=3)
    noise = draw.integers(0, 17, (240, 8, 8))
    labels = [*(f"digit {y}" for y in digits.target), *(f"noise {i % 2}" for i in range(240))]
    np.savez(tmp_path / "data.npz", X=np.concatenate([digits.images, noise]).astype(np.uint8), y=np.array(labels))
    result = gwa.audit(tmp_path / "data.npz", tmp_path / "run", budget="fast", epochs=8)
    assert {one["class"] for one in result.not_learnt} <= {"noise 0", "noise 1"}
    assert result.not_learnt
    run, failed = gwa.open_run(tmp_path / "run"), [one["class"] for one in result.not_learnt]
    chosen = gwa.decide(run, "relabel", below=None)
    every = gwa.decide(run, "relabel", below=None, unlearnt=True)
    frame = chosen.to_frame()
    assert not frame["given_label"].isin(failed).any()
    assert not frame["new_label"].isin(failed).any()
    assert sum(chosen.left_alone.values()) == len(every) - len(chosen) > 0
    assert not every.left_alone


@pytest.mark.skipif(not DETECTION.exists(), reason="reports/ are not part of a source distribution")
def test_the_shares_are_those_of_the_detection_benchmark() -> None:
    """The constants, worked out again from the stored bins of its trainings with wrong labels."""
    cells = json.loads(DETECTION.read_text())["cells"].values()
    bins = [np.array(cell["reliability"], dtype=float) for cell in cells if cell["errors"]]
    assert len(bins) == expected_errors.TRAININGS
    for number, facts in enumerate(
        zip(expected_errors.SCORE, expected_errors.LOW, expected_errors.WRONG, expected_errors.HIGH, strict=True)
    ):
        wrong = [1 - one[number, 2] / one[number, 0] for one in bins if one[number, 0] >= 10]
        total = np.sum([one[number] for one in bins], axis=0)
        found = (total[1] / total[0], np.percentile(wrong, 10), np.mean(wrong), np.percentile(wrong, 90))
        np.testing.assert_allclose(facts, found, atol=0.00501)


def test_expected_wrong_labels_by_hand() -> None:
    scores = np.array([0.03, 0.11, 0.30, 0.51])
    assert vars(expected_among(scores, 4)) == {"first": 4, "wrong": 3, "low": 1, "high": 4}
    assert vars(expected_among(scores, 2)) == {"first": 2, "wrong": 2, "low": 1, "high": 2}
    assert [one.first for one in expected_steps(np.full(300, 0.1))] == [20, 50, 100]
    assert [one.first for one in expected_steps(np.full(30, 0.1))] == [20, 30]
    assert expected_steps(np.zeros(0)) == []


def test_looking_stops_where_right_labels_are_more() -> None:
    scores = np.linspace(0, 1, 1001)
    mean, low, high = worth_looking(scores)
    assert low < mean < high
    for count, share in ((mean, expected_errors.WRONG), (low, expected_errors.LOW), (high, expected_errors.HIGH)):
        assert np.interp(scores[count - 1], expected_errors.SCORE, share) >= 0.5
        assert np.interp(scores[count + 1], expected_errors.SCORE, share) < 0.5
    assert (RECALL, SUSPECTS, STEADY, USED) == (0.6, 0.5, 0.65, 0.35)
