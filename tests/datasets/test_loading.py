"""Which reader is chosen, and what is said when there is none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gwa_attrib.datasets import LabeledData, load
from gwa_attrib.datasets.readers.registry import Options, readers
from gwa_attrib.errors import GWAError
from tests.datasets.refused_data import refused


def save(path: Path) -> Path:
    with path.open("wb") as file:
        np.savez(file, X=np.arange(8.0).reshape(4, 2), y=np.array([0, 1, 0, 1]))
    return path


def test_the_readers_are_those_that_are_documented():
    assert set(readers.names()) == {"digits", "fashion-mnist", "npz", "image-folder", "csv", "parquet"}


@pytest.mark.parametrize("name", readers.names())
def test_every_reader_is_listed_in_the_error(name):
    with refused(name, readers[name].summary.rstrip(".")):
        load("no-such-thing")


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("nothing-here", "no file and no folder"),
        ("", "no file and no folder"),
        ("a\0b", "a\\x00b"),
        ("x" * 5000, "no file and no folder"),
        ("unknown:place", "unknown:place"),
        ("missing.npz", "no such file"),
        ("missing.csv", "no such file"),
        ("missing.parquet", "no such file"),
        ("csv:missing", "no such file"),
        ("y" * 5000 + ".csv", ""),
        ("image-folder:missing", "no such folder"),
        ("missing/../also.CSV", "no such file"),
    ],
)
def test_what_is_not_there_is_a_data_error(source, part):
    with refused(part):
        load(source)


@pytest.mark.parametrize("name", ["notes.txt", "table.xlsx", "model.pkl", "none"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    (tmp_path / name).write_text("anything")
    with refused("a file of another kind", "parquet"):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_a_folder_is_no_file(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").mkdir()
    with refused("a folder"):
        load(tmp_path / f"a.{suffix}")


def test_suffixes_may_be_in_capitals_and_paths_text_or_path(tmp_path):
    path = save(tmp_path / "A.NPZ")
    assert load(path).labels.tolist() == load(str(path)).labels.tolist() == [0, 1, 0, 1]


def test_a_kind_can_be_said(tmp_path):
    path = save(tmp_path / "data")
    assert len(load(f"npz:{path}")) == 4


def test_the_source_reads_the_same_data_again_from_anywhere(tmp_path, monkeypatch):
    save(tmp_path / "a.npz")
    save(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for first in (load("a.npz"), load("npz:data"), load("digits", limit=50)):
        monkeypatch.chdir("/")
        again = load(first.source, limit=len(first))
        assert again.fingerprint() == first.fingerprint()
        monkeypatch.chdir(tmp_path)


def test_a_name_comes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load("digits")) == 1797
    with refused("sub-folder"):
        load("./digits")


def test_a_new_reader_is_found_by_its_suffix(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_entries", dict(readers._entries))

    @readers.register("two", source="this test")
    def read_two(location: str, options: Options) -> LabeledData:
        """Two numbers."""
        values = np.array(Path(location).read_text().split(), dtype=float)
        return LabeledData("two", location, "table", values, np.array([0, 1]), ("a", "b"), ("0", "1"))

    (tmp_path / "x.two").write_text("1 2")
    assert load(tmp_path / "x.two").inputs.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("limit", [1, 0, -5])
def test_a_limit_that_leaves_nothing_to_compare_is_refused(limit):
    with refused("at least 2", str(limit)):
        load("digits", limit=limit)


def test_digits():
    data = load("digits")
    assert (data.name, data.source, data.kind) == ("digits", "digits", "image")
    assert data.inputs.shape == (1797, 8, 8, 1)
    assert data.inputs.dtype == np.uint8
    assert data.inputs.min() == 0
    assert data.inputs.max() == 255
    assert data.class_names == tuple("0123456789")
    assert data.keys[-1] == "1796"


def test_a_limit_keeps_the_first_samples():
    whole, part = load("digits"), load("digits", limit=100)
    np.testing.assert_array_equal(part.inputs, whole.inputs[:100])
    np.testing.assert_array_equal(part.labels, whole.labels[:100])
    assert part.keys == whole.keys[:100]
    assert len(load("digits", limit=10**9)) == 1797


def test_a_limit_that_leaves_out_classes_leaves_no_gaps():
    part = load("digits", limit=4)
    assert part.class_names == ("0", "1", "2", "3")
    assert part.labels.tolist() == [0, 1, 2, 3]


def test_data_without_columns_refuses_column_names():
    with refused("'gold'"):
        load("digits", exclude=["gold"])
    with refused("'gold'"):
        load("fashion-mnist", label_column="gold")


def test_importing_is_light():
    heavy = ["sklearn", "PIL", "matplotlib", "tqdm.auto", "scipy.sparse.linalg"]
    code = f"import sys, gwa_attrib.datasets; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("source", ["digits.npz", "nothing", "fashion-mnist:nowhere"])
def test_errors_are_of_this_package(source):
    with pytest.raises(GWAError):
        load(source)
