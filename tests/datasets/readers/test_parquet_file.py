"""What is special about a .parquet: its types, and damage."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gwa_attrib.datasets import load
from tests.datasets.refused_data import refused

LABELS = ["x", "y", "x", "y"]


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "t.parquet"


def write(file: Path, **columns: object) -> Path:
    pq.write_table(pa.table({**columns, "label": LABELS}), file)
    return file


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, 2, 3, 4], pa.int8()), [1, 2, 3, 4]),
        (pa.array([1, None, 3, 4], pa.int64()), [1, np.nan, 3, 4]),
        (pa.array(np.array([1, 2, 3, 4], dtype=np.float16)), [1, 2, 3, 4]),
        (pa.array([Decimal("1.5"), None, Decimal("2"), Decimal("3")]), [1.5, np.nan, 2, 3]),
        (pa.array([date(1970, 1, 2), None, date(1970, 1, 1), date(1969, 12, 31)]), [1, np.nan, 0, -1]),
        (pa.array([datetime(1970, 1, 1, 12, tzinfo=UTC)] * 4), [0.5] * 4),
        (pa.array([timedelta(days=2), None, timedelta(0), timedelta(hours=6)]), [2, np.nan, 0, 0.25]),
        (pa.array([True, False, True, True]), [True, False, True, True]),
    ],
    ids=lambda v: str(getattr(v, "type", "")),
)
def test_numbers_of_all_types(file, values, expected):
    column = load(write(file, a=values)).inputs["a"]
    assert column.dtype.kind in "biuf"
    np.testing.assert_array_equal(column.to_numpy(), np.array(expected))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["p", "q", None, "p"]), ["p", "q", None, "p"]),
        (pa.array(["p", "q", None, "p"]).dictionary_encode(), ["p", "q", None, "p"]),
        (pa.array([True, None, False, True]), ["True", None, "False", "True"]),
        (pa.array(["p", "q", None, "p"], pa.large_string()), ["p", "q", None, "p"]),
    ],
    ids=lambda v: str(getattr(v, "type", "")),
)
def test_categories_of_all_types(file, values, expected):
    column = load(write(file, a=values)).inputs["a"]
    assert [None if pd.isna(v) else v for v in column] == expected


@pytest.mark.parametrize("values", [[[1, 2]] * 4, [{"a": 1}] * 4, [b"png"] * 4], ids=["list", "struct", "bytes"])
def test_nested_inputs_are_refused_and_can_be_excluded(file, values):
    write(file, a=values, b=[1, 2, 3, 4])
    with refused("column 'a'", "single numbers or texts"):
        load(file)
    data = load(file, exclude=["a"])
    assert data.columns["a"].tolist() == [str(np.array([1, 2])) if values[0] == [1, 2] else str(values[0])] * 4


def test_an_index_of_pandas_is_a_column(file):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "label": LABELS}, index=[9, 8, 7, 6])
    frame.to_parquet(file)
    data = load(file)
    assert data.keys == ("9", "8", "7", "6")
    assert list(data.inputs) == ["a"]
    frame.rename_axis("patient").to_parquet(file)
    assert list(load(file).inputs) == ["a", "patient"]


def test_column_names_that_are_no_text(file):
    frame = pd.DataFrame({0: [1.0, 2.0, 3.0, 4.0], 1: LABELS})
    frame.to_parquet(file)
    data = load(file, label_column="1")
    assert list(data.inputs) == ["0"]


def test_columns_of_one_name_are_refused(file):
    pq.write_table(pa.Table.from_arrays([pa.array([1, 2]), pa.array([1, 2])], names=["label", "label"]), file)
    with refused("more than one 'label'"):
        load(file)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_file_is_refused(file, content):
    file.write_bytes(content)
    with refused("a readable parquet file"):
        load(file)


def test_texts_that_are_not_utf8_are_refused(file):
    pq.write_table(pa.table({"a": ["ordinary", "texts", "are", "good"], "label": LABELS}), file, compression="none")
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"ordinary", b"ordin\xffry"))
    with refused("a readable parquet file", "UTF8"):
        load(file)


def test_a_file_cut_off_anywhere_is_refused(file):
    whole = write(file, a=np.arange(4.0)).read_bytes()
    for length in range(0, len(whole), 61):
        file.write_bytes(whole[:length])
        with refused("a readable parquet file"):
            load(file)


@pytest.mark.parametrize("noted", [b"{", b"[]", b"null", b"\xff"])
def test_damaged_notes_of_pandas_do_no_harm(file, noted):
    table = pa.table({"a": [1, 2, 3, 4], "label": LABELS}).replace_schema_metadata({b"pandas": noted})
    pq.write_table(table, file)
    assert load(file).inputs["a"].tolist() == [1, 2, 3, 4]


def test_numeric_labels_with_gaps_are_missing_labels(file):
    pq.write_table(pa.table({"a": [1, 2, 3], "y": [1, None, 2]}), file)
    with refused("1 of 3 samples: row 1"):
        load(file)
