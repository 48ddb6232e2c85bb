"""Statistics over epochs, against a loop over one sample's values."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gwa_attrib import functional as G
from tests import oracles, properties

of_values = {
    "average": (G.average, oracles.average),
    "variability": (G.variability, oracles.variability),
    "fraction_negative": (G.fraction_negative, oracles.fraction_negative),
}
of_correct = {
    "correctness": (G.correctness, oracles.correctness),
    "first_epoch_learnt": (G.first_epoch_learnt, oracles.first_epoch_learnt),
    "forgetting_events": (G.forgetting_events, oracles.forgetting_events),
}
of_pred = {"prediction_changes": (G.prediction_changes, oracles.prediction_changes)}
ELEMENTS = {
    "values": st.one_of(st.just(math.nan), st.floats(-1, 1, width=32)),
    "correct": st.sampled_from([0.0, 1.0, math.nan]),
    "pred": st.sampled_from([0.0, 1.0, 2.0, math.nan]),
}
STATISTICS = [
    pytest.param(kind, *pair, id=name)
    for kind, table in (("values", of_values), ("correct", of_correct), ("pred", of_pred))
    for name, pair in table.items()
]


def draw(data: st.DataObject, kind: str, *, min_epochs: int = 1) -> Tensor:
    epochs, samples = data.draw(st.integers(min_epochs, 6)), data.draw(st.integers(1, 5))
    row = st.lists(ELEMENTS[kind], min_size=samples, max_size=samples)
    rows = data.draw(st.lists(row, min_size=epochs, max_size=epochs))
    return torch.tensor(rows, dtype=torch.float64).reshape(epochs, samples)


@pytest.mark.parametrize(("kind", "function", "oracle"), STATISTICS)
@given(data=st.data())
def test_equals_the_loop(kind: str, function: Callable, oracle: Callable, data: st.DataObject) -> None:
    x = draw(data, kind)
    expected = torch.tensor([oracle(column) for column in x.T.tolist()], dtype=torch.float64)
    properties.same(function(x), expected, 1e-10)
    assert function(x.float()).dtype == torch.float32
    properties.same(function(x.float()), expected, 1e-5)


@pytest.mark.parametrize(("kind", "function", "oracle"), STATISTICS)
@given(data=st.data())
def test_each_sample_stands_for_itself(kind: str, function: Callable, oracle: Callable, data: st.DataObject) -> None:
    properties.columns_independent(function, draw(data, kind), tolerance=1e-10)


@pytest.mark.parametrize(("kind", "function", "oracle"), STATISTICS)
@given(data=st.data())
def test_an_epoch_that_nobody_saw_changes_nothing(
    kind: str, function: Callable, oracle: Callable, data: st.DataObject
) -> None:
    x = draw(data, kind)
    at = data.draw(st.integers(0, len(x)))
    if function is G.first_epoch_learnt:
        at = len(x)  # its result counts epochs, seen or not
    if function is G.forgetting_events:
        function = lambda x: G.forgetting_events(x, never_learnt=math.inf)  # noqa: E731  the default is the number of epochs
    properties.ignores_unseen_epochs(function, x, at, tolerance=1e-10)


@pytest.mark.parametrize(("kind", "function", "oracle"), STATISTICS)
@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_sample_that_was_never_seen_is_nan(kind: str, function: Callable, oracle: Callable, epochs: int) -> None:
    found = function(torch.full((epochs, 2), torch.nan))
    assert found.shape == (2,)
    assert found.isnan().all()


@given(data=st.data())
def test_changed_predictions_equal_the_loop(data: st.DataObject) -> None:
    pred = draw(data, "pred")
    expected = torch.tensor([oracles.changed_predictions(column) for column in pred.T.tolist()]).T
    properties.same(G.changed_predictions(pred), expected, 0.0)


@pytest.mark.parametrize("never", [0.0, 1000.0, math.inf])
@given(data=st.data())
def test_the_value_of_never_learnt_can_be_chosen(never: float, data: st.DataObject) -> None:
    correct = draw(data, "correct")
    expected = [oracles.forgetting_events(column, never_learnt=never) for column in correct.T.tolist()]
    found = G.forgetting_events(correct, never_learnt=never)
    properties.same(found, torch.tensor(expected), 0.0)


@given(data=st.data())
def test_events_are_no_more_than_there_is_room_for(data: st.DataObject) -> None:
    correct = draw(data, "correct")
    events = G.forgetting_events(correct, never_learnt=0.0)
    properties.in_range(events, 0, len(correct) // 2)
    properties.in_range(G.correctness(correct), 0, len(correct))


def test_variability_of_a_large_constant_is_zero() -> None:
    assert G.variability(torch.full((9, 2), 1e6 + 0.25, dtype=torch.float64)).tolist() == [0.0, 0.0]


def test_inputs_are_left_alone() -> None:
    x = torch.tensor([[1.0, torch.nan], [0.0, 1.0]])
    before = x.clone()
    for function, _ in (*of_values.values(), *of_correct.values(), *of_pred.values()):
        function(x)
    properties.same(x, before, 0.0)
