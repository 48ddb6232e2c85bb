"""What is special about a .csv: encodings, damage, and types that have to be guessed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwa_attrib.datasets import load
from tests.datasets.refused_data import refused

GOOD = "a,label\n1,x\n2,ü\n3,x\n"


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "t.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("text", [GOOD, GOOD.removesuffix("\n"), "\n" + GOOD, '"a","label"\n"1","x"\n2,ü\n3,x\n'])
def test_with_and_without_byte_order_mark(file, encoding, end, text):
    file.write_bytes(text.replace("\n", end).encode(encoding))
    data = load(file)
    assert data.inputs["a"].tolist() == [1, 2, 3]
    assert [data.class_names[label] for label in data.labels] == ["x", "ü", "x"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_refused(file, encoding):
    file.write_bytes(GOOD.encode(encoding))
    with refused("UTF-8"):
        load(file)


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_refused(file, content):
    file.write_text(content, encoding="utf-8")
    with refused("a first line with column names"):
        load(file)


def test_a_header_alone_is_refused(file):
    file.write_text("a,label\n")
    with refused("at least two samples", "Found 0."):
        load(file)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a,label\n1,x\n2,y,3\n", "line 3"),
        ("a,label\n1,x,9\n2,y,9\n", "more fields"),
        ("a,label\n0,x,9\n1,y,9\n", "more fields"),
        ('a,label\n1,"x\n2,y\n', "commas between"),
        ("a,a,label\n1,2,x\n3,4,y\n", "more than one 'a'"),
        ("a,label,label\n1,x,y\n3,y,x\n", "more than one 'label'"),
        ("a;label\n1;x\n2;y\n", "with commas"),
        ("a\tlabel\n1\tx\n2\ty\n", "with commas"),
        ("a,label\n1,x\n2\n", "1 of 2 samples: row 1"),
    ],
)
def test_what_is_no_table_is_refused(file, content, part):
    file.write_text(content)
    with refused(part):
        load(file)


def test_bytes_that_are_no_text_are_refused(file, rng):
    for seed in range(30):
        content = np.random.default_rng(seed).integers(0, 256, size=400, dtype=np.uint8).tobytes()
        file.write_bytes(content)
        with refused():
            load(file)


def test_a_trailing_comma_is_an_empty_column(file):
    file.write_text("a,label,\n1,x,\n2,y,\n")
    data = load(file)
    assert list(data.inputs) == ["a", ""]


def test_the_index_that_pandas_saves_is_the_key_and_no_input(file):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "label": list("xyx")}, index=[7, 8, 9])
    frame.to_csv(file)
    data = load(file)
    assert data.keys == ("7", "8", "9")
    assert list(data.inputs) == ["a"]
    pd.read_csv(file).to_csv(file)
    assert list(load(file).inputs) == ["a"]


def test_missing_values_of_inputs_in_their_usual_words(file):
    words = ["", "NA", "NaN", "null", "None", "N/A", "nan", "1.5"]
    file.write_text("a,b,label\n" + "".join(f"{word},0,{'xy'[i % 2]}\n" for i, word in enumerate(words)))
    column = load(file).inputs["a"]
    assert column.isna().tolist() == [True] * 7 + [False]
    assert column.iloc[7] == 1.5


def test_excluded_columns_are_as_they_are_written(file):
    file.write_text("a,code,gold,label\n1,007,NA,NA\n2,08,x,x\n3,7,,NA\n4,7,x,x\n")
    data = load(file, exclude=["code", "gold"])
    assert data.columns["code"].tolist() == ["007", "08", "7", "7"]
    assert data.columns["gold"].tolist() == ["NA", "x", None, "x"]
    assert data.class_names == ("NA", "x")


def test_numbers_mixed_with_words_are_categories(file):
    file.write_text("a,b,label\n1,0,x\nlow,0,y\n1,0,x\n")
    assert load(file).inputs["a"].tolist() == ["1", "low", "1"]


def test_line_ends_and_commas_in_quotes(file):
    file.write_text('a,label\n"one, two\nthree ""four""",x\nplain,y\nplain,x\n')
    assert load(file).inputs["a"].tolist() == ['one, two\nthree "four"', "plain", "plain"]


def test_a_wide_table_of_numbers_reads_fast_enough(file, rng):
    pixels = pd.DataFrame(rng.integers(0, 256, size=(500, 784))).add_prefix("pixel")
    pixels.insert(0, "label", rng.integers(0, 10, size=500))
    pixels.to_csv(file, index=False)
    data = load(file)
    np.testing.assert_array_equal(data.inputs.to_numpy(), pixels.drop(columns="label").to_numpy())
