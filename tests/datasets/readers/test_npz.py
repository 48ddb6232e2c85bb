"""Arrays in an .npz: shapes, types, extra columns, and everything that is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwa_attrib.datasets import LabeledData, load
from gwa_attrib.errors import DataError
from tests.datasets.refused_data import HOSTILE, refused

N = 6
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "data.npz"


def saved(file: Path, **arrays: np.ndarray) -> LabeledData:
    np.savez(file, **{"y": Y, **arrays})
    return load(file)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.int8, np.uint16, bool, ">f8"])
def test_a_matrix_is_a_table_of_float32(file, rng, dtype):
    X = rng.integers(0, 2, size=(N, 3)).astype(dtype)
    data = saved(file, X=X)
    assert data.kind == "table"
    assert list(data.inputs) == ["x0", "x1", "x2"]
    assert set(data.inputs.dtypes) == {np.dtype("float32")}
    np.testing.assert_array_equal(data.inputs.to_numpy(), X.astype(np.float32))
    assert data.keys == tuple("012345")


def test_bytes_stay_bytes(file, rng):
    X = rng.integers(0, 256, size=(N, 3), dtype=np.uint8)
    assert set(saved(file, X=X).inputs.dtypes) == {np.dtype("uint8")}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((N, 8, 5), lambda X: X[..., None]),
        ((N, 8, 5, 1), lambda X: X),
        ((N, 8, 5, 3), lambda X: X),
        ((N, 8, 5, 4), lambda X: X[..., :3]),
        ((N, 1, 8, 5), lambda X: X.transpose(0, 2, 3, 1)),
        ((N, 3, 8, 5), lambda X: X.transpose(0, 2, 3, 1)),
        ((N, 4, 8, 5), lambda X: X.transpose(0, 2, 3, 1)[..., :3]),
        ((N, 3, 5, 3), lambda X: X),
        ((N, 1, 3, 1), lambda X: X),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_of_every_layout(file, rng, shape, expected, dtype):
    X = rng.integers(0, 256, size=shape).astype(dtype)
    data = saved(file, X=X)
    assert data.kind == "image"
    assert data.inputs.dtype == (np.uint8 if dtype == np.uint8 else np.float32)
    np.testing.assert_array_equal(data.inputs, expected(X))


def test_texts(file):
    data = saved(file, X=np.array([*HOSTILE[:5], "end"]))
    assert data.kind == "text"
    assert data.inputs.tolist() == [*HOSTILE[:5], "end"]
    assert all(type(text) is str for text in data.inputs)


def test_labels_and_names(file):
    data = saved(file, X=np.zeros((N, 2)), y=np.array(["b", "a", "c", "b", "a", "c"]))
    assert data.class_names == ("a", "b", "c")
    assert data.labels.tolist() == [1, 0, 2, 1, 0, 2]


def test_other_arrays_are_columns_and_no_inputs(file):
    gold, note = np.arange(N) % 3, np.array(["x", "y", "z", "x", "y", HOSTILE[0]])
    data = saved(file, X=np.zeros((N, 2)), gold=gold, note=note)
    assert set(data.columns) == {"gold", "note"}
    np.testing.assert_array_equal(data.columns["gold"], gold)
    assert data.columns["note"].tolist() == note.tolist()
    assert list(data.inputs) == ["x0", "x1"]


def test_the_label_can_be_another_array_and_y_is_then_a_column(file):
    noisy = np.array([1, 1, 0, 0, 1, 0])
    np.savez(file, X=np.zeros((N, 2)), y=Y, noisy=noisy)
    data = load(file, label_column="noisy")
    assert data.labels.tolist() == noisy.tolist()
    np.testing.assert_array_equal(data.columns["y"], Y)
    np.savez(file, X=np.zeros((N, 2)), noisy=noisy)
    assert load(file, label_column="noisy").columns == {}


def test_excluding_an_extra_array_changes_nothing(file):
    np.savez(file, X=np.zeros((N, 2)), y=Y, gold=Y)
    assert set(load(file, exclude=["gold"]).columns) == {"gold"}


def test_a_limit_cuts_all_arrays_alike(file, rng):
    X = rng.normal(size=(N, 2)).astype(np.float32)
    np.savez(file, X=X, y=Y, gold=Y)
    data = load(file, limit=4)
    np.testing.assert_array_equal(data.inputs.to_numpy(), X[:4])
    assert data.columns["gold"].tolist() == data.labels.tolist() == [0, 1, 2, 0]


def test_samples_keep_their_order(file, rng):
    X, order = rng.normal(size=(N, 4)), rng.permutation(N)
    first, second = saved(file, X=X), saved(file, X=X[order], y=Y[order])
    pd.testing.assert_frame_equal(first.inputs.iloc[order].reset_index(drop=True), second.inputs)
    np.testing.assert_array_equal(first.labels[order], second.labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("shape", [(N, 3), (N, 4, 4), (N, 4, 4, 3)])
def test_numbers_that_are_not_finite_are_refused_with_their_rows(file, bad, shape):
    X = np.zeros(shape)
    X[2].flat[1] = X[5].flat[0] = X[5].flat[1] = bad
    with refused("2 of 6 samples: rows 2, 5"):
        saved(file, X=X)


@pytest.mark.parametrize("missing", ["X", "y"])
def test_a_missing_array_is_named_beside_those_that_are_there(file, missing):
    arrays = {"X": np.zeros((N, 2)), "y": Y, "other": Y}
    del arrays[missing]
    np.savez(file, **arrays)
    with refused(f"an array '{missing}'", "'other'"):
        load(file)


def test_a_missing_label_array_or_truth_is_named(file):
    np.savez(file, X=np.zeros((N, 2)), y=Y)
    with refused("'noisy'", "'X', 'y'"):
        load(file, label_column="noisy")
    with refused("'gold'", "'X', 'y'"):
        load(file, exclude=["gold"])


@pytest.mark.parametrize("options", [{"label_column": "X"}, {"exclude": ["X"]}, {"exclude": ["y"]}])
def test_one_array_cannot_be_two_things(file, options):
    np.savez(file, X=np.zeros((N, 2)), y=Y)
    with refused("different arrays"):
        load(file, **options)


@pytest.mark.parametrize(
    ("name", "array", "shape"),
    [("y", Y[:4], "[4]"), ("gold", Y[:5], "[5]"), ("gold", np.zeros((N, 2)), "[6, 2]"), ("gold", np.array(3), "[]")],
)
def test_arrays_of_another_length_or_shape_are_refused(file, name, array, shape):
    with refused(repr(name), "6 rows of X", f"shape {shape}"):
        saved(file, **{"X": np.zeros((N, 2)), name: array})


def test_soft_labels_are_refused(file):
    with refused("class index", "[6, 3]"):
        saved(file, X=np.zeros((N, 2)), y=np.eye(3)[Y])


@pytest.mark.parametrize("name", ["X", "y", "note"])
def test_objects_are_refused_and_never_unpickled(file, name):
    arrays = {"X": np.zeros((N, 2)), "y": Y, name: np.array(["a", "b", None, "a", "b", "c"], dtype=object)}
    np.savez(file, **arrays)
    with refused("Python objects", "fixed-width unicode"):
        load(file)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros(N),
        np.zeros((N, 0)),
        np.zeros((N, 0, 3)),
        np.zeros((N, 5, 5, 2)),
        np.zeros((N, 1, 5, 5, 3)),
        np.zeros((N, 2), dtype=complex),
        np.array([["a", "b"]] * N),
        np.zeros(N, dtype="datetime64[D]"),
        np.zeros(N, dtype=[("a", int)]),
        np.array(0.0),
    ],
    ids=str,
)
def test_other_shapes_and_types_are_refused(file, X):
    with refused("X of"):
        saved(file, X=X)


def test_no_samples_and_one_sample_are_refused(file):
    for n in (0, 1):
        with refused("at least two samples"):
            saved(file, X=np.zeros((n, 2)), y=Y[:n])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off", b"\x80\x04N."])
def test_a_damaged_file_is_refused(file, content):
    file.write_bytes(content)
    with refused("an .npz"):
        load(file)


def test_a_file_cut_off_anywhere_is_refused(file):
    np.savez_compressed(file, X=np.arange(200.0).reshape(100, 2), y=np.arange(100) % 2)
    whole = file.read_bytes()
    for length in range(0, len(whole), 37):
        file.write_bytes(whole[:length])
        with refused("an .npz"):
            load(file)


def test_a_file_damaged_anywhere_never_raises_anything_else(file):
    np.savez_compressed(file, X=np.arange(80.0).reshape(40, 2), y=np.arange(40) % 2)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(400):
        changed = bytearray(whole)
        for position in rng.integers(0, len(whole), size=3):
            changed[position] = rng.integers(0, 256)
        file.write_bytes(bytes(changed))
        try:
            found.add(len(load(file)))
        except DataError as error:
            found.add(error.found.partition(":")[0])
    assert {"BadZipFile", 40} < found


def test_an_encrypted_file_is_refused(file):
    np.savez(file, X=np.zeros((N, 2)), y=Y)
    whole = bytearray(file.read_bytes())
    whole[whole.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory of the archive
    file.write_bytes(bytes(whole))
    with refused("encrypted"):
        load(file)


def test_a_single_array_is_no_archive(file):
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with refused("a single array"):
        load(file)
