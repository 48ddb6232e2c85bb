"""Tables: what is the same whether they come as .csv or as .parquet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwa_attrib.datasets import class_positions, load
from gwa_attrib.datasets.encoding.column_kinds import column_kind
from gwa_attrib.datasets.readers.registry import Options
from gwa_attrib.datasets.readers.table_file import from_frame
from tests.datasets.refused_data import HOSTILE, refused

Write = Callable[[pd.DataFrame], Path]

SENTENCES = [f"this is sentence number {i} of the set" for i in range(8)]


@pytest.fixture(params=["csv", "parquet"])
def write(request, tmp_path) -> Write:
    def to_file(frame: pd.DataFrame) -> Path:
        path = tmp_path / f"table.{request.param}"
        if request.param == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        return path

    return to_file


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(8) * 0.5, **columns, "label": ["cat", "dog"] * 4})


def test_numbers_labels_and_keys(write):
    data = load(write(table()))
    assert data.kind == "table"
    assert list(data.inputs) == ["a"]
    assert data.inputs["a"].tolist() == [i * 0.5 for i in range(8)]
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 1] * 4
    assert data.keys == tuple(str(i) for i in range(8))
    assert data.columns == {}
    assert data.name == write(table()).name


@pytest.mark.parametrize(
    "labels",
    [
        [3, 1, 2, 1, 3, 3, 2, 1],
        [-1, 1, -1, 1, 10, 10, 9, 9],
        [0.5, 1.25, 0.5, 1.25, 2.0, 2.0, -1.0, -1.0],
        ["a", "b", "None", "NA", "nan", "null", "a", "b"],
        ["007", "7", "07", "7", "007", "7", "07", "7"],
        ["1.10", "1.1", "1.10", "1.1", "2.0", "2.0", "3.0", "3.0"],
        [True, False, True, False, True, False, True, False],
        ["1e5", "x", "1e5", "x", "-", "-", "+", "+"],
        ["1", "1.0", "1", "1.0", "100", "1e2", "100", "1e2"],
        [" padded", "padded", " padded", "padded", "padded ", "padded ", "p", "p"],
        list(HOSTILE),
        [2**53 + 1, 2**53, 2**53 + 1, 2**53, 1, 1, 2, 2],
    ],
    ids=repr,
)
def test_labels_round_trip(write, labels):
    data = load(write(pd.DataFrame({"a": np.arange(8.0), "label": labels})))
    assert [data.class_names[label] for label in data.labels] == [str(value) for value in labels]


def test_whole_floats_print_as_integers(write):
    assert load(write(table().assign(label=[1.0, 2.0] * 4))).class_names == ("1", "2")


@pytest.mark.parametrize("name", ["label", "labels", "y", "target", "class", "Label", "TARGET", " y "])
def test_the_label_column_is_found_by_name(write, name):
    data = load(write(table().rename(columns={"label": name})))
    assert data.class_names == ("cat", "dog")
    assert list(data.inputs) == ["a"]


def test_a_named_label_column_comes_first(write):
    data = load(write(table(other=["x", "y"] * 4)), label_column="other")
    assert data.class_names == ("x", "y")
    assert list(data.inputs) == ["a", "label"]


def test_several_label_columns_are_refused_by_name(write):
    with refused("'y'", "'label'", "label_column"):
        load(write(table(y=[0, 1] * 4)))
    assert load(write(table(y=[0, 1] * 4)), exclude=["y"]).class_names == ("cat", "dog")


def test_a_missing_label_column_lists_the_columns(write):
    frame = table(b=1).rename(columns={"label": "kind"})
    with refused("one label column", "'a', 'b', 'kind'"):
        load(write(frame))
    with refused("'gold'", "'a', 'b', 'kind'"):
        load(write(frame), label_column="gold")
    with refused("'truth'", "'a', 'b', 'kind'"):
        load(write(frame), label_column="kind", exclude=["truth"])
    with refused("excluded", "'kind'"):
        load(write(frame), label_column="kind", exclude=["kind"])


def test_excluded_columns_are_kept_and_are_no_inputs(write):
    gold = ["dog", "cat", None, "dog", "cat", "dog", "cat", "dog"]
    data = load(write(table(gold=gold, n=[1, 2, 3, 4] * 2)), exclude=["gold", "n"])
    assert list(data.inputs) == ["a"]
    assert data.columns["gold"].tolist() == gold
    assert data.columns["n"].tolist() == [1, 2, 3, 4] * 2
    assert class_positions(data.columns["gold"], data.class_names).tolist() == [1, 0, -1, 1, 0, 1, 0, 1]


def test_verified_numbers_with_gaps_find_their_class(write):
    frame = table().assign(label=[1, 2] * 4, gold=[1, None, 2, 2, 1, 1, 2, 5])
    data = load(write(frame), exclude=["gold"])
    assert class_positions(data.columns["gold"], data.class_names).tolist() == [0, -1, 1, 1, 0, 0, 1, -1]


def test_numbers_that_are_categories_stay_categories():
    frame = table(c=pd.Categorical([5, 6, None, 5, 6, 6, 5, 5]))
    column = from_frame(frame, "x", Options()).inputs["c"]
    assert [None if pd.isna(v) else v for v in column] == ["5", "6", None, "5", "6", "6", "5", "5"]
    assert column_kind(column) == "categorical"


def test_names_that_are_no_text_become_text():
    frame = pd.DataFrame({0: [1.0, 2.0], None: [3.0, 4.0], ("a", 1): ["x", "y"], "label": ["p", "q"]})
    data = from_frame(frame, "x", Options(exclude=("('a', 1)",)))
    assert list(data.inputs) == ["0", "None"]
    assert list(data.columns) == ["('a', 1)"]


IDENTITIES = ["id", "index", "key", "sample_id", "ID", "uuid", "row id", "PassengerId", "customer-key"]


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_column_named_as_identity_becomes_the_keys(write, name):
    ids = [f"{i:03d}" for i in (5, 3, 8, 1, 9, 2, 7, 4)]
    data = load(write(table(**{name: ids})))
    assert data.keys == tuple(ids)
    assert list(data.inputs) == ["a"]
    assert load(write(table(**{name: np.arange(8) + 10}))).keys == tuple(str(i) for i in range(10, 18))


def test_a_column_named_as_identity_comes_before_others_that_could_be_one(write):
    data = load(write(table(code=[f"c{i}" for i in range(8)], id=np.arange(8) + 10)))
    assert data.keys == tuple(str(i) for i in range(10, 18))
    assert list(data.inputs) == ["a"]


def test_whole_numbers_that_are_no_text_are_written_without_a_point(tmp_path):
    table(id=np.arange(8) + 10.0).to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").keys == tuple(str(i) for i in range(10, 18))


@pytest.mark.parametrize("name", ["id", "index", "grid", "valid", "covid", "monkey"])
def test_fractions_and_other_names_are_inputs(write, name):
    values = np.arange(8) + (0.5 if name in IDENTITIES else 0)
    assert list(load(write(table(**{name: values}))).inputs) == ["a", name]


def test_a_column_named_as_identity_with_repeats_is_an_input(write):
    data = load(write(table(id=[1, 1, 2, 2, 3, 3, 4, 4])))
    assert list(data.inputs) == ["a", "id"]
    assert data.inputs["id"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_an_identity_is_kept_as_it_is_written(write):
    ids = ["1e5", "2e5", "3", "4", "5", "6", "7", "8"]
    assert load(write(table(id=ids))).keys == tuple(ids)


def test_a_column_named_as_identity_with_a_gap_is_an_input(write):
    data = load(write(table(id=[1, 2, 3, 4, 5, 6, 7, None])))
    assert data.keys == tuple("01234567")
    assert list(data.inputs) == ["a", "id"]


def test_different_strings_without_spaces_become_the_keys(write):
    files = [f"img_{i}.png" for i in range(8)]
    codes = [f"c{i}" for i in range(8)]
    data = load(write(table(file=files, code=codes)))
    assert data.keys == tuple(files)
    assert list(data.inputs) == ["a"]
    assert data.columns["code"].tolist() == codes


def test_different_numbers_are_no_identity(write):
    assert list(load(write(table(b=np.arange(8)))).inputs) == ["a", "b"]


def test_the_only_input_is_not_taken_for_an_identity(write):
    names = ["Ada", "Bob", "Cem", "Dov", "Eve", "Fay", "Gus", "Hal"]
    data = load(write(pd.DataFrame({"name": names, "label": [0, 1] * 4})))
    assert data.kind == "table"
    assert data.inputs["name"].tolist() == names


def test_a_single_column_of_sentences_is_text(write):
    data = load(write(pd.DataFrame({"text": SENTENCES, "label": [0, 1] * 4})))
    assert data.kind == "text"
    assert data.inputs.tolist() == SENTENCES
    assert data.inputs.dtype == object


@pytest.mark.parametrize(("words", "kind"), [(3, "table"), (4, "text")])
def test_text_has_more_than_three_words_on_average(write, words, kind):
    texts = [" ".join([f"w{i}"] * words) for i in range(8)]
    assert load(write(pd.DataFrame({"text": texts, "label": [0, 1] * 4}))).kind == kind


def test_a_missing_text_is_empty(write):
    texts = [*SENTENCES[:7], None]
    assert load(write(pd.DataFrame({"text": texts, "label": [0, 1] * 4}))).inputs.tolist() == [*SENTENCES[:7], ""]


def test_keys_and_excluded_columns_do_not_hinder_text(write):
    frame = pd.DataFrame({"id": range(8), "text": SENTENCES, "gold": [0, 1] * 4, "label": [0, 1] * 4})
    data = load(write(frame), exclude=["gold"])
    assert data.kind == "text"
    assert data.keys == tuple("01234567")


@pytest.mark.parametrize("other", [{"n": range(8)}, {"text2": SENTENCES[::-1]}])
def test_sentences_beside_other_inputs_are_a_table(write, other):
    data = load(write(pd.DataFrame({"text": SENTENCES, **other, "label": [0, 1] * 4})))
    assert data.kind == "table"
    assert list(data.inputs) == ["text", *other]


def test_repeated_sentences_are_a_category(write):
    assert load(write(pd.DataFrame({"text": SENTENCES[:2] * 4, "label": [0, 1] * 4}))).kind == "table"


def test_hostile_texts_and_names_come_through(write):
    texts = [f"{text} and three more words" for text in HOSTILE]
    name = HOSTILE[0]
    data = load(write(pd.DataFrame({name: texts, "n": range(8), "label": [0, 1] * 4})))
    assert list(data.inputs) == [name, "n"]
    assert data.inputs[name].tolist() == texts


def test_missing_inputs_are_allowed(write):
    data = load(write(table(b=[1.0, None] * 4, c=["x", None] * 4)))
    assert data.inputs["b"].isna().tolist() == [False, True] * 4
    assert data.inputs["c"].isna().tolist() == [False, True] * 4


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_inputs_are_refused_with_column_and_rows(write, bad):
    with refused("'b'", "2 of 8 samples: rows 1, 6"):
        load(write(table(b=[1, bad, 2, 3, 4, 5, bad, 7])))


def test_a_missing_label_is_refused_with_its_row(write):
    with refused("'label'", "1 of 8 samples: row 3"):
        load(write(table().assign(label=["a", "b", "a", None, "a", "b", "a", "b"])))


def test_a_regression_is_refused(write, rng):
    with refused("regression"):
        load(write(pd.DataFrame({"a": range(99), "target": rng.normal(size=99)})))


def test_a_table_without_inputs_is_refused(write):
    frame = pd.DataFrame({"id": range(8), "gold": [0, 1] * 4, "label": [0, 1] * 4})
    with refused("at least one input column", "'label'"):
        load(write(frame), exclude=["gold"])
    with refused("at least one input column"):
        load(write(frame[["label"]]))


@pytest.mark.parametrize("n", [0, 1])
def test_no_rows_and_one_row_are_refused(write, n):
    with refused("at least two samples", f"Found {n}."):
        load(write(table().iloc[:n]))


def test_a_limit_keeps_the_first_rows(write):
    whole, part = load(write(table(b=list("xyxyxyxy")))), load(write(table(b=list("xyxyxyxy"))), limit=5)
    pd.testing.assert_frame_equal(part.inputs, whole.inputs.iloc[:5])
    assert part.labels.tolist() == whole.labels[:5].tolist()


def test_rows_keep_their_order(write, rng):
    frame = table(b=rng.normal(size=8), id=range(8))
    order = rng.permutation(8)
    first, second = load(write(frame)), load(write(frame.iloc[order]))
    pd.testing.assert_frame_equal(first.inputs.iloc[order].reset_index(drop=True), second.inputs)
    assert [first.keys[i] for i in order] == list(second.keys)
    assert first.labels[order].tolist() == second.labels.tolist()


@pytest.mark.parametrize(
    "labels",
    [["cat", "dog", "emu"] * 4, [0, 1, 2] * 4, [0.5, 1.5, 2.5] * 4],
)
def test_a_second_set_of_labels_among_the_inputs_is_pointed_out(write, labels):
    other = [labels[1], *labels[1:]]
    path = write(pd.DataFrame({"a": range(12), "label": labels, "clean": other}))
    with pytest.warns(UserWarning, match="'clean'"):
        load(path)
    load(path, exclude=["clean"])


def test_yes_and_no_in_numbers_are_no_second_labels(write):
    load(write(table(b=[0, 1] * 4).assign(label=[0, 1] * 4)))
    load(write(table(b=["x", "y"] * 4)))


def test_the_fingerprint_is_that_of_the_inputs(write):
    first = load(write(table(b=["x", None] * 4)))
    again = load(write(table(b=["x", None] * 4)))
    relabelled = load(write(table(b=["x", None] * 4).assign(label=["dog", "cat"] * 4)))
    changed = load(write(table(b=["x", "y"] * 4)))
    assert first.fingerprint() == again.fingerprint() == relabelled.fingerprint() != changed.fingerprint()
