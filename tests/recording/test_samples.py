"""The book of samples: which ids there are, whose labels stay, and whose predictions changed."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.errors import InputError, SampleIdError
from gwa_attrib.recording.samples import SampleBook
from tests import oracles


def epoch(ids: Sequence[int], labels: Sequence[int] | None = None, pred: Sequence[int] | None = None) -> pa.Table:
    labels = [i % 3 for i in ids] if labels is None else labels
    columns = {"sample_id": np.array(ids, dtype=np.int64)}
    for name, values in (("label", labels), ("pred", pred or labels)):
        columns[name] = np.array(values, dtype=np.int32)
    return pa.table(columns)


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_without_a_loader_the_ids_are_the_positions() -> None:
    book = SampleBook(3, 3)
    book.learn_labels(epoch([2, 0]))
    assert book.frame()["label"].tolist() == [0, -1, 2]
    assert book.frame()["sample_id"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("stranger", [-1, 3, 10**12])
def test_an_id_out_of_range_is_refused(stranger: int) -> None:
    with pytest.raises(SampleIdError, match=f"{stranger}.*num_samples=len"):
        SampleBook(3, 3).learn_labels(epoch([0, stranger]))


def test_a_label_that_changes_is_refused_within_and_between_epochs() -> None:
    book = SampleBook(3, 3)
    with pytest.raises(SampleIdError, match=r"sample 1 with label [02] and with label [02]"):
        book.learn_labels(epoch([1, 0, 1], [0, 0, 2]))
    assert book.frame()["label"].tolist() == [-1, -1, -1]
    book.learn_labels(epoch([1, 0, 1], [2, 0, 2]))
    with pytest.raises(SampleIdError, match="sample 0 with label 0 and with label 1"):
        book.learn_labels(epoch([0], [1]))
    assert book.frame()["label"].tolist() == [0, 2, -1]


@pytest.mark.parametrize(("labels", "found"), [([0, 3], "3"), ([-100, 1], "-100"), ([-1, 1], "-1")])
def test_a_target_that_is_no_class_is_refused(labels: list[int], found: str) -> None:
    with pytest.raises(InputError, match=f"0..2.*{found}"):
        SampleBook(3, 3).learn_labels(epoch([0, 1], labels))


def test_a_subset_announces_the_ids_of_the_larger_set() -> None:
    book = SampleBook(3, 3)
    book.announce(ids(50, 7, 20), 60)
    book.learn_labels(epoch([50]))
    assert book.frame()["sample_id"].tolist() == [7, 20, 50]
    assert book.frame()["label"].tolist() == [-1, -1, 2]


def test_several_loaders_share_the_samples_in_any_order_of_events() -> None:
    book = SampleBook(4, 3)
    book.announce(ids(50, 7), 60)
    book.announce(ids(8, 7), 60)
    book.learn_labels(epoch([50, 8], pred=[1, 1]))
    book.remember_predictions(epoch([50, 8], pred=[1, 1]))
    book.announce(ids(51), 60)
    assert book.frame()["sample_id"].tolist() == [7, 8, 50, 51]
    assert book.frame()["label"].tolist() == [-1, 2, 2, -1]
    assert book.changed_predictions(epoch([8, 50, 51], pred=[1, 0, 0])) == 1


def test_more_samples_than_announced_are_refused() -> None:
    book = SampleBook(3, 3)
    with pytest.raises(SampleIdError, match=r"num_samples=3.*4.*num_samples=len\(train_set\)"):
        book.announce(np.arange(4), 4)
    book.announce(ids(10, 11), 60)
    with pytest.raises(SampleIdError, match="num_samples=3"):
        book.announce(ids(12, 13), 60)


def test_a_subset_of_the_whole_training_set_keeps_all_samples() -> None:
    book = SampleBook(5, 3)
    book.announce(ids(4, 2), 5)
    assert book.frame()["sample_id"].tolist() == [0, 1, 2, 3, 4]


def test_keys_are_in_the_order_of_the_training_set() -> None:
    """Of a shuffled subset too: key i is of its position i."""
    book = SampleBook(3, 3, {"key": ["fifty", "seven", "twenty"], "weight": np.array([5.0, 0.7, 2.0])})
    book.announce(ids(50, 7, 20), 60)
    frame = book.frame().set_index("sample_id")
    assert frame["key"].to_dict() == {50: "fifty", 7: "seven", 20: "twenty"}
    assert frame["weight"].to_dict() == {50: 5.0, 7: 0.7, 20: 2.0}


def test_keys_whose_samples_cannot_be_told_are_refused() -> None:
    book = SampleBook(3, 3, {"key": ["a", "b", "c"]})
    with pytest.raises(InputError, match="keys"):
        book.announce(ids(50, 7), 60)


preds = st.lists(st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=4, max_size=4), min_size=1, max_size=6)


@given(matrix=preds)
def test_changes_are_those_between_seen_epochs(matrix: list[list[int]]) -> None:
    """Against the loop over each sample's own predictions; -1 is unseen."""
    book = SampleBook(4, 3)
    columns = [[float("nan") if p < 0 else float(p) for p in column] for column in zip(*matrix, strict=True)]
    changed = [oracles.changed_predictions(column) for column in columns]
    for number, row in enumerate(matrix):
        seen = [i for i, p in enumerate(row) if p >= 0]
        table = epoch(seen, pred=[row[i] for i in seen]) if seen else epoch([])
        compared = oracles.seen([column[number] for column in changed])
        assert book.changed_predictions(table) == (int(sum(compared)) if compared else None)
        book.remember_predictions(table)


def test_of_duplicates_the_last_prediction_counts() -> None:
    book = SampleBook(2, 3)
    book.remember_predictions(epoch([0, 0], pred=[1, 2]))
    assert book.changed_predictions(epoch([0, 0], pred=[1, 2])) == 0
    assert book.changed_predictions(epoch([0, 0], pred=[2, 1])) == 1


def test_looking_changes_nothing() -> None:
    book = SampleBook(2, 3)
    book.remember_predictions(epoch([0], pred=[1]))
    assert [book.changed_predictions(epoch([0], pred=[2])) for _ in range(2)] == [1, 1]
