"""Labels of any kind become 0..C-1, and the class names say what they were."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwa_attrib.datasets.labels import class_labels, class_positions
from tests.datasets.refused_data import HOSTILE, refused


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


KINDS = {
    "int": (np.array([3, 1, 2, 1]), ["3", "1", "2", "1"]),
    "negative with gaps": (np.array([-1, 100, -1, 7]), ["-1", "100", "-1", "7"]),
    "uint8": (np.array([255, 0], dtype=np.uint8), ["255", "0"]),
    "large int": (np.array([2**62 + 1, 2**62]), [str(2**62 + 1), str(2**62)]),
    "big-endian": (np.array([2, 1], dtype=">i4"), ["2", "1"]),
    "whole floats": (np.array([2.0, 10.0, -1.0]), ["2", "10", "-1"]),
    "floats": (np.array([2.0, 2.5, -0.1]), ["2.0", "2.5", "-0.1"]),
    "float32": (np.array([0.1, 2.3], dtype=np.float32), ["0.1", "2.3"]),
    "bool": (np.array([True, False]), ["True", "False"]),
    "str": (np.array(["cat", "dog", "cat"]), ["cat", "dog", "cat"]),
    "numbers as str": (np.array(["10", "9", "007"]), ["10", "9", "007"]),
    "bytes": (np.array(["ä".encode(), b"b"]), ["ä", "b"]),
    "dates": (np.array(["2024-01-02", "2023-01-01"], dtype="datetime64[D]"), ["2024-01-02", "2023-01-01"]),
    "objects": (objects(1, "a", True, 2.5), ["1", "a", "True", "2.5"]),
    "decimals": (objects(Decimal("1"), Decimal("2")), ["1", "2"]),
    "str series": (pd.Series(["b", "a"]), ["b", "a"]),
    "category": (pd.Series(["b", "a", "b"], dtype="category"), ["b", "a", "b"]),
    "category of int": (pd.Series(pd.Categorical([10, 9, 10], categories=[10, 9, 8])), ["10", "9", "10"]),
    "nullable int": (pd.Series([3, 1], dtype="Int64"), ["3", "1"]),
    "nullable bool": (pd.Series([True, False], dtype="boolean"), ["True", "False"]),
    "hostile": (objects(*HOSTILE), list(HOSTILE)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_labels_are_what_the_labels_were(kind):
    values, texts = KINDS[kind]
    labels, names = class_labels(values)
    assert [names[label] for label in labels] == texts
    assert labels.dtype == np.int64
    assert sorted(set(labels.tolist())) == list(range(len(names)))


@given(st.lists(st.text(min_size=1), min_size=2).filter(lambda v: 1 < len(set(v)) <= 50))
def test_any_text_round_trips_in_alphabetical_order(values):
    values = [v.encode("utf-8", "backslashreplace").decode() for v in values]
    if len(set(values)) < 2:
        return
    labels, names = class_labels(objects(*values))
    assert [names[label] for label in labels] == values
    assert list(names) == sorted(set(values))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2).filter(lambda v: 1 < len(set(v)) <= 50))
def test_any_integer_round_trips_in_numeric_order(values):
    labels, names = class_labels(np.array(values, dtype=np.int64))
    assert [int(names[label]) for label in labels] == values
    assert [int(name) for name in names] == sorted(set(values))


def test_numbers_are_in_numeric_and_texts_in_alphabetical_order():
    assert class_labels(np.array([10.0, 9.0, -1.0]))[1] == ("-1", "9", "10")
    assert class_labels(np.array(["10", "9", "-1"]))[1] == ("-1", "10", "9")


def test_the_order_of_samples_is_kept(rng):
    values = rng.integers(-3, 4, size=200)
    order = rng.permutation(200)
    labels, names = class_labels(values)
    assert class_labels(values[order])[1] == names
    np.testing.assert_array_equal(class_labels(values[order])[0], labels[order])


def test_an_undecodable_byte_of_a_name_is_escaped_not_lost():
    _, names = class_labels(objects("caf\udce9", "tea"))
    assert names == ("caf\\udce9", "tea")
    "".join(names).encode("utf-8")


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, np.nan, 2.0, np.nan]),
        np.array([1.0, np.inf, 2.0, -np.inf]),
        objects("a", None, "b", np.nan),
        objects(1, None, 2, None),
        np.array(["a", "", "b", ""]),
        pd.Series(["a", None, "b", None]),
        pd.Series([1, None, 2, None], dtype="Int64"),
        pd.Series(["a", None, "b", None], dtype="category"),
        np.array(["2024-01-01", "NaT", "2024-01-02", "NaT"], dtype="datetime64[D]"),
    ],
)
def test_a_missing_label_is_refused_with_its_rows(values):
    with refused("2 of 4 samples: rows 1, 3", "missing"):
        class_labels(values)


@pytest.mark.parametrize("values", [np.eye(3), np.zeros((3, 1), dtype=int), np.array(1)])
def test_soft_labels_are_refused(values):
    with refused("class index", "argmax", str(list(values.shape))):
        class_labels(values)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples_are_refused(n):
    with refused("at least two samples", f"Found {n}."):
        class_labels(np.arange(n))


@pytest.mark.parametrize("values", [np.zeros(5), np.array(["cat"] * 5)])
def test_a_single_class_is_refused(values):
    with refused("at least two classes", "limit"):
        class_labels(values)


def test_the_target_of_a_regression_is_refused(rng):
    with refused("regression", "60 different values"):
        class_labels(rng.normal(size=60))


@pytest.mark.parametrize("values", [np.arange(60), np.array([f"id-{i}" for i in range(60)])])
def test_an_identity_is_refused_as_label(values):
    with refused("identity"):
        class_labels(values)


def test_many_classes_are_no_regression(rng):
    values = rng.permutation(np.repeat(np.arange(100) / 8, 3))
    assert len(class_labels(values)[1]) == 100


def test_a_class_with_one_sample_is_allowed():
    assert class_labels(np.array(["a", "a", "b"]))[1] == ("a", "b")


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"abc", (1,), np.zeros(2)])
def test_labels_that_are_no_single_value_are_refused(value):
    with refused("single numbers or texts", type(value).__name__):
        class_labels(objects(value, value))


def test_complex_labels_are_refused():
    with refused("complex128"):
        class_labels(np.array([1j, 2j]))


@pytest.mark.parametrize(
    ("given_labels", "verified", "positions"),
    [
        (np.array([1, 2, 3]), np.array([3.0, np.nan, 1.0]), [2, -1, 0]),
        (np.array(["a", "b"]), objects("b", None), [1, -1]),
        (np.array([True, False]), np.array([False, True]), [0, 1]),
        (np.array([0.5, 1.5]), np.array([1.5, 2.5]), [1, -1]),
        (np.array([1.0, 2.0]), np.array(["2", "x"]), [1, -1]),
    ],
)
def test_further_labels_find_their_class(given_labels, verified, positions):
    _, names = class_labels(given_labels)
    assert class_positions(verified, names).tolist() == positions


def test_integers_too_large_for_a_float_are_not_mixed_up():
    names = (str(2**60), str(2**60 + 1))
    assert class_positions(objects(2**60 + 1, None, 2**60), names).tolist() == [1, -1, 0]


def test_further_labels_agree_with_the_labels_themselves(rng):
    values = rng.normal(size=7)[rng.integers(0, 7, size=40)]
    labels, names = class_labels(values)
    np.testing.assert_array_equal(class_positions(values, names), labels)
