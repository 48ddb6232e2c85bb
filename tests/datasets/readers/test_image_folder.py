"""A folder with one sub-folder of images per class: which files are read, and what they become."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwa_attrib.datasets import load
from tests.datasets.refused_data import refused


def save(path: Path, pixels: np.ndarray | Image.Image, **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **how)


@pytest.fixture
def grey(rng) -> np.ndarray:
    return rng.integers(0, 256, size=(4, 9, 7), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path, grey) -> Path:
    root = tmp_path / "photos"
    for i, name in enumerate(["dog/b.png", "cat/10.png", "cat/2.png", "dog/a/deep.png"]):
        save(root / name, grey[i])
    return root


def test_classes_keys_and_order(photos, grey):
    data = load(photos)
    assert (data.name, data.kind, data.source) == ("photos/", "image", str(photos))
    assert data.class_names == ("cat", "dog")
    assert data.keys == ("cat/10.png", "cat/2.png", "dog/a/deep.png", "dog/b.png")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.skipped == ()
    np.testing.assert_array_equal(data.inputs[..., 0], grey[[1, 2, 3, 0]])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "pgm", "PNG", "webp", "gif"])
def test_images_of_one_size_are_bit_exact(tmp_path, rng, suffix):
    pixels = rng.integers(0, 256, size=(2, 9, 64), dtype=np.uint8)
    how = {"lossless": True} if suffix == "webp" else {}
    for i, name in enumerate("ab"):
        save(tmp_path / name / f"x.{suffix}", pixels[i], **how)
    data = load(tmp_path)
    assert data.inputs.dtype == np.uint8
    for channel in np.moveaxis(data.inputs, 3, 0):
        np.testing.assert_array_equal(channel, pixels)


def test_colours_are_bit_exact(tmp_path, rng):
    pixels = rng.integers(0, 256, size=(2, 5, 6, 3), dtype=np.uint8)
    for i, name in enumerate("ab"):
        save(tmp_path / name / "x.png", pixels[i])
    np.testing.assert_array_equal(load(tmp_path).inputs, pixels)


def test_one_coloured_image_makes_all_rgb(photos, rng):
    colours = rng.integers(0, 256, size=(9, 7, 3), dtype=np.uint8)
    before = load(photos).inputs
    save(photos / "cat" / "zz.png", colours)
    after = load(photos).inputs
    np.testing.assert_array_equal(after[2], colours)
    np.testing.assert_array_equal(np.delete(after, 2, axis=0), np.repeat(before, 3, axis=3))


def modes() -> dict[str, tuple[Image.Image, list[int]]]:
    """An image of one colour in each mode, and the colour it has to become."""
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    return {
        "1": (Image.new("1", (8, 8), 1), [255, 255, 255]),
        "L": (Image.new("L", (8, 8), 77), [77, 77, 77]),
        "LA": (Image.new("LA", (8, 8), (77, 255)), [77, 77, 77]),
        "LA transparent": (Image.new("LA", (8, 8), (77, 0)), [255, 255, 255]),
        "RGB": (Image.new("RGB", (8, 8), (1, 2, 3)), [1, 2, 3]),
        "RGBA": (Image.new("RGBA", (8, 8), (1, 2, 3, 255)), [1, 2, 3]),
        "RGBA transparent": (Image.new("RGBA", (8, 8), (1, 2, 3, 0)), [255, 255, 255]),
        "P": (palette, [10, 20, 30]),
        "CMYK": (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), [255, 0, 0]),
        "I;16": (Image.fromarray(np.full((8, 8), 257 * 9, dtype=np.uint16)), [9, 9, 9]),
    }


@pytest.mark.parametrize("mode", modes())
def test_every_mode_becomes_its_colour(tmp_path, mode):
    image, colour = modes()[mode]
    save(tmp_path / "a" / "x.tif", image)
    save(tmp_path / "b" / "plain.png", np.zeros((8, 8, 3), dtype=np.uint8))
    data = load(tmp_path, strict=True)
    assert data.inputs.shape == (2, 8, 8, 3)
    assert data.inputs[0].reshape(-1, 3).tolist() == [colour] * 64
    assert data.inputs[1].max() == 0


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    save(tmp_path / "a" / "x.png", palette, transparency=1)
    save(tmp_path / "b" / "x.gif", palette, transparency=0)
    data = load(tmp_path, strict=True)
    assert (data.inputs[0] == 255).all()
    assert data.inputs[1, 0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_keep_their_precision(tmp_path, rng, suffix):
    pixels = rng.integers(0, 4096, size=(2, 8, 8)).astype(np.uint16)
    for i, name in enumerate("ab"):
        image = Image.fromarray(pixels[i])
        save(tmp_path / name / f"x.{suffix}", image.convert("I") if suffix == "pgm" else image)
    data = load(tmp_path, strict=True)
    assert data.inputs.dtype == np.float32
    np.testing.assert_allclose(data.inputs[..., 0] * 257, pixels, rtol=1e-6)


def test_one_deep_image_makes_all_float32_of_one_range(photos, grey):
    deep = np.arange(63, dtype=np.uint16).reshape(9, 7) * 1001
    save(photos / "cat" / "zz.png", deep)
    data = load(photos, strict=True)
    assert data.inputs.dtype == np.float32
    np.testing.assert_allclose(data.inputs[2, ..., 0], deep / 257, rtol=1e-6)
    np.testing.assert_array_equal(data.inputs[0, ..., 0], grey[1])


def test_pixels_without_known_black_and_white_are_refused(photos):
    save(photos / "cat" / "float.tif", np.zeros((9, 7), dtype=np.float32))
    save(photos / "cat" / "wide.tif", np.full((9, 7), 10**6, dtype=np.int32))
    data = load(photos)
    assert len(data) == 4
    assert "cat/float.tif: " in str(data.skipped[0])
    assert "more than 16 bits" in str(data.skipped[1])


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.T),
        (6, lambda a: a.T[:, ::-1]),
        (7, lambda a: a.T[::-1, ::-1]),
        (8, lambda a: a.T[::-1]),
    ],
)
def test_orientation_is_applied(tmp_path, suffix, orientation, turn):
    pixels = np.zeros((16, 32), dtype=np.uint8)
    pixels[:8, :16], pixels[:8, 16:] = 250, 100
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in "ab":
        save(tmp_path / name / f"x.{suffix}", pixels, exif=exif)
    data = load(tmp_path, strict=True)
    expected = turn(pixels).astype(int)
    assert data.inputs.shape[1:3] == expected.shape
    assert np.abs(data.inputs[0, ..., 0] - expected).max() <= 8


def test_turned_images_count_with_the_size_they_are_shown_in(tmp_path, rng):
    pixels = rng.integers(0, 256, size=(10, 20), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a" / "x.png", pixels, exif=exif)
    save(tmp_path / "b" / "x.png", np.ascontiguousarray(pixels.T))
    data = load(tmp_path)
    assert data.inputs.shape == (2, 20, 10, 1)
    np.testing.assert_array_equal(data.inputs[0, :, ::-1], data.inputs[1])


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(10, 20), (30, 5), (12, 12)], 20),
        ([(100, 80)] * 3, 64),
        ([(65, 65)] * 3, 64),
        ([(2, 3), (3, 2), (1, 1)], 8),
        ([(20, 20), (21, 21)], 20),
        ([(1, 600), (1000, 2), (3, 3)], 64),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_different_sizes_become_one_square(tmp_path, sizes, side, suffix):
    for i, size in enumerate(sizes):
        save(tmp_path / "ab"[i % 2] / f"{i}.{suffix}", Image.new("RGB", size, (10, 200, 30)))
    data = load(tmp_path, strict=True)
    assert data.inputs.shape == (len(sizes), side, side, 3)
    assert np.abs(data.inputs.astype(int) - [10, 200, 30]).max() <= 3  # JPEG is not exact


def test_resizing_averages_instead_of_picking_pixels(tmp_path):
    stripes = np.zeros((640, 640), dtype=np.uint8)
    stripes[:, ::2] = 255
    for name in "ab":
        save(tmp_path / name / "x.png", stripes)
    assert np.abs(load(tmp_path).inputs.astype(int) - 127).max() <= 8  # more at the edges


def test_resizing_keeps_left_and_right(tmp_path):
    half = np.zeros((100, 300), dtype=np.uint8)
    half[:, 150:] = 255
    for name in "ab":
        save(tmp_path / name / "x.png", half)
    row = load(tmp_path).inputs[0, 32, :, 0]
    assert row[:30].max() == 0
    assert row[34:].min() == 255


def test_numbered_folders_are_names(tmp_path, grey):
    for name in ("10", "9", "-1"):
        save(tmp_path / name / "x.png", grey[0])
    assert load(tmp_path).class_names == ("-1", "10", "9")


@pytest.mark.parametrize("name", ["猫", "ñandú", "a b", "<img src=x>", "line\nend", "\x1b[31mred", "=cmd", "😀"])
def test_folder_names_come_through(tmp_path, grey, name):
    save(tmp_path / name / "x.png", grey[0])
    save(tmp_path / "other" / "x.png", grey[0])
    (tmp_path / name / "notes.txt").write_text("-")
    data = load(tmp_path)
    assert set(data.class_names) == {name, "other"}
    assert f"{name}/x.png" in data.keys
    assert str(data.skipped[0]).isprintable()


def test_an_undecodable_file_name_can_be_stored(tmp_path, grey):
    save(tmp_path / "a" / os.fsdecode(b"caf\xe9.png"), grey[0])
    save(tmp_path / "b" / "x.png", grey[0])
    assert load(tmp_path).keys[0].encode("utf-8") == b"a/caf\\udce9.png"


def test_a_limit_keeps_the_first_files(photos, grey):
    data = load(photos, limit=3)
    assert data.keys == ("cat/10.png", "cat/2.png", "dog/a/deep.png")
    np.testing.assert_array_equal(data.inputs[..., 0], grey[[1, 2, 3]])


def test_progress_is_silent_where_there_is_no_terminal(photos, capfd):
    load(photos)
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_classes_is_refused(tmp_path, grey):
    with refused("one sub-folder of images per class", "no sub-folders"):
        load(tmp_path)
    save(tmp_path / "x.png", grey[0])
    with refused("no sub-folders"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with refused("no image"):
        load(tmp_path)


def test_a_single_class_is_refused(tmp_path, grey):
    for i in range(3):
        save(tmp_path / "cat" / f"{i}.png", grey[i])
    with refused("at least two classes", "'cat'"):
        load(tmp_path)


@pytest.mark.parametrize("options", [{"label_column": "y"}, {"exclude": ["gold"]}])
def test_columns_are_refused(photos, options):
    with refused("no column names"):
        load(photos, **options)
