"""Scores: a value per sample with its direction, and never a sample mistaken for another."""

import copy
import pickle
from dataclasses import FrozenInstanceError
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores

SUSPECT: list[Literal["low", "high"]] = ["low", "high"]
values = st.lists(
    st.one_of(st.just(np.nan), st.sampled_from([np.inf, -np.inf]), st.integers(-3, 3).map(float)), max_size=12
)


def scores(given: list[float], suspect: Literal["low", "high"] = "low", **options) -> Scores:
    """With ids that are no positions."""
    x = np.array(given, dtype=np.float64)
    return Scores(x, np.arange(len(x))[::-1] * 10 + 7, method="margin", suspect=suspect, **options)


def expected_order(given: list[float], suspect: str) -> list[int]:
    """Worst first, ties in the order of the samples, no value last."""
    sign = 1 if suspect == "low" else -1
    rows = range(len(given))
    return sorted(rows, key=lambda i: (np.isnan(given[i]), 0 if np.isnan(given[i]) else sign * given[i], i))


@given(given=values, suspect=st.sampled_from(SUSPECT))
def test_the_order_is_worst_first(given: list[float], suspect: Literal["low", "high"]) -> None:
    assert scores(given, suspect).order().tolist() == expected_order(given, suspect)


@given(given=values, suspect=st.sampled_from(SUSPECT), k=st.integers(0, 14))
def test_top_are_the_ids_of_the_first_in_that_order(
    given: list[float], suspect: Literal["low", "high"], k: int
) -> None:
    found = scores(given, suspect)
    with_value = [i for i in expected_order(given, suspect) if not np.isnan(given[i])]
    assert found.top(k).tolist() == found.sample_ids[with_value[:k]].tolist()


@given(given=values, suspect=st.sampled_from(SUSPECT))
def test_ranks_are_those_of_scipy_with_no_value_last(given: list[float], suspect: Literal["low", "high"]) -> None:
    found = scores(given, suspect).ranks()
    x = np.array(given) * (1 if suspect == "low" else -1)
    seen = ~np.isnan(x)
    expected = np.full(len(x), seen.sum() + ((~seen).sum() + 1) / 2)
    expected[seen] = rankdata(x[seen])
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == len(x) * (len(x) + 1) / 2


@given(given=values)
def test_the_other_direction_turns_the_order_round(given: list[float]) -> None:
    low, high = scores(given, "low"), scores([-x for x in given], "high")
    assert low.order().tolist() == high.order().tolist()
    np.testing.assert_array_equal(low.suspicion(), high.suspicion())


def test_the_frame_has_the_samples_in_their_rows() -> None:
    found = scores([0.5, np.nan, -1.0], columns={"given_label": np.array([2, 0, 1])}).to_frame()
    assert found.index.tolist() == [27, 17, 7]
    assert found.index.name == "sample_id"
    assert found.columns.tolist() == ["given_label", "margin", "rank"]
    assert found["rank"].tolist() == [2, 3, 1]
    assert found["given_label"].tolist() == [2, 0, 1]


def test_a_matrix_has_a_column_a_query() -> None:
    x = np.arange(6.0).reshape(3, 2)
    found = Scores(x, np.array([5, 6, 7]), method="tracin", suspect="high")
    assert len(found) == 3
    frame = found.to_frame()
    assert (frame.index.name, frame.columns.name, frame.shape) == ("sample_id", "query", (3, 2))
    assert frame.loc[6, 1] == 3.0
    for ranking in (found.suspicion, found.order, found.ranks, lambda: found.top(1)):
        with pytest.raises(InputError, match="Choose a query"):
            ranking()
    assert "3×2" in repr(found)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("columns", [{}, {"label": np.zeros(2)}])
def test_lengths_have_to_agree(columns: dict[str, np.ndarray]) -> None:
    ids = np.arange(2 if not columns else 3)
    with pytest.raises(InputError, match=r"3 entries.*Found 2"):
        Scores(np.zeros(3), ids, method="m", suspect="low", columns=columns)


@pytest.mark.parametrize("name", ["margin", "rank", "sample_id"])
def test_columns_cannot_replace_the_values(name: str) -> None:
    with pytest.raises(InputError, match=name):
        scores([1.0, 2.0], columns={name: np.zeros(2)})


@pytest.mark.parametrize("name", ["values", "sample_ids", "method", "suspect", "columns", "meta"])
def test_scores_are_a_value(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(scores([1.0]), name, None)


def test_changing_what_was_given_changes_nothing() -> None:
    columns, meta = {"a": np.zeros(1)}, {"seed": 1}
    found = scores([1.0], columns=columns, meta=meta)
    columns["b"], meta["seed"] = np.ones(1), 2
    assert list(found.columns) == ["a"]
    assert found.meta["seed"] == 1


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_scores_can_be_copied_and_sent_to_a_process(copied) -> None:
    before = scores([1.0, np.nan], columns={"label": np.array([1, 2])}, meta={"seed": 1})
    after = copied(before)
    pd.testing.assert_frame_equal(after.to_frame(), before.to_frame())
    assert (after.method, after.suspect, dict(after.meta)) == ("margin", "low", {"seed": 1})


def test_no_samples_are_a_result_too() -> None:
    found = scores([])
    assert (len(found), found.top(3).tolist(), found.ranks().tolist(), len(found.to_frame())) == (0, [], [], 0)


def test_the_text_says_what_it_is() -> None:
    text = repr(scores([1.0, 2.0], columns={"given_label": np.zeros(2)}))
    assert all(part in text for part in ("margin", "2", "low", "given_label"))
