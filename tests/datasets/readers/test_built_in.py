"""Fashion-MNIST from a folder of IDX files that the test writes, and the published one where it is installed."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from gwa_attrib.datasets import load
from gwa_attrib.datasets.readers import built_in
from gwa_attrib.datasets.readers.built_in import CLASS_NAMES, DEFAULT_FOLDER, IMAGES, LABELS, read_idx
from tests.datasets.refused_data import refused


def write_idx(path: Path, values: np.ndarray, magic: int = 0x0800) -> None:
    header = struct.pack(f">{values.ndim + 1}I", magic + values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture
def folder(tmp_path, rng) -> Path:
    write_idx(tmp_path / IMAGES, rng.integers(0, 256, size=(30, 28, 28), dtype=np.uint8))
    write_idx(tmp_path / LABELS, np.arange(30, dtype=np.uint8) % 10)
    return tmp_path


def test_a_folder_is_read_bit_exact(folder, rng):
    data = load(f"fashion-mnist:{folder}")
    np.testing.assert_array_equal(
        data.inputs[..., 0], np.random.default_rng(0).integers(0, 256, size=(30, 28, 28), dtype=np.uint8)
    )
    assert data.class_names == CLASS_NAMES
    assert data.labels.tolist() == [i % 10 for i in range(30)]
    assert data.source == f"fashion-mnist:{folder}"
    assert data.inputs.flags.writeable


def test_a_limit_reads_the_first(folder):
    part = load(f"fashion-mnist:{folder}", limit=3)
    np.testing.assert_array_equal(part.inputs, load(f"fashion-mnist:{folder}").inputs[:3])
    assert part.class_names == CLASS_NAMES[:3]


def test_without_the_files_both_ways_out_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(built_in, "DEFAULT_FOLDER", tmp_path)
    for source in ("fashion-mnist", f"fashion-mnist:{tmp_path}"):
        with refused("apt install dataset-fashion-mnist", "fashion-mnist:FOLDER", IMAGES):
            load(source)


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "changed":
        path.write_bytes(whole[:200] + bytes(100) + whole[300:])
    elif how == "no gzip":
        path.write_bytes(gzip.decompress(whole))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "empty gzip":
        path.write_bytes(gzip.compress(b""))
    elif how == "too short":
        path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    elif how == "other type":
        write_idx(path, np.zeros((30, 28, 28), dtype=np.uint8), magic=0x0D00)


@pytest.mark.parametrize("how", ["cut", "changed", "no gzip", "empty", "empty gzip", "too short", "other type"])
def test_a_damaged_file_is_refused(folder, how):
    damage(folder / IMAGES, how)
    with refused("IDX", IMAGES):
        load(f"fashion-mnist:{folder}")


def test_a_file_that_claims_to_be_huge_is_refused(tmp_path):
    path = tmp_path / "huge.gz"
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x0803, *[2**32 - 1] * 3)))
    with refused("IDX"):
        read_idx(path, dimensions=3)


def test_files_of_different_data_sets_are_refused(folder):
    write_idx(folder / LABELS, np.zeros(29, dtype=np.uint8))
    with refused("30 images and 29 labels"):
        load(f"fashion-mnist:{folder}")
    write_idx(folder / LABELS, np.full(30, 10, dtype=np.uint8))
    with refused("up to 10"):
        load(f"fashion-mnist:{folder}")


@pytest.mark.skipif(not DEFAULT_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_published_files():
    data = load("fashion-mnist")
    assert data.inputs.shape == (60_000, 28, 28, 1)
    assert np.bincount(data.labels).tolist() == [6000] * 10
    assert data.class_names[data.labels[0]] == "Ankle boot"
    assert data.source == "fashion-mnist"
