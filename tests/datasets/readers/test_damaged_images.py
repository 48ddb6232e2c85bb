"""A folder of images with everything in it that is not a sound image: named and left out, or refused with `strict`."""

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from gwa_attrib.datasets import load
from tests.datasets.refused_data import refused


@pytest.fixture
def photos(tmp_path, rng) -> Path:
    for i, pixels in enumerate(rng.integers(0, 256, size=(4, 12, 12), dtype=np.uint8)):
        folder = tmp_path / "photos" / ("cat" if i < 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "photos"


def noise(path: Path, size: tuple[int, int] = (12, 12)) -> bytes:
    """The bytes of an image of noise, which cannot be compressed: cut in half, half of its pixels are gone."""
    Image.fromarray(np.random.default_rng(1).integers(0, 256, size=size, dtype=np.uint8)).save(path)
    return path.read_bytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with no pixels in it."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    data = b"IDAT" + zlib.compress(b"")
    return start + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def broken_files(folder: Path) -> dict[str, bytes]:
    png, jpeg = noise(folder / "whole.png"), noise(folder / "whole.jpg")
    tiff, gif = noise(folder / "whole.tif"), noise(folder / "whole.gif")
    for suffix in ("png", "jpg", "tif", "gif"):
        (folder / f"whole.{suffix}").unlink()
    changed = bytearray(png)
    changed[60:70] = bytes(10)
    return {
        "empty.png": b"",
        "text.jpg": b"not an image at all",
        "cut.png": png[: len(png) // 2],
        "header.png": png[:40],
        "changed.png": bytes(changed),
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.tif": tiff[: len(tiff) // 2],
        "cut.gif": gif[: len(gif) // 2],
        "signature.webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
        "bomb.png": png_header(60_000, 60_000),
        "large.png": png_header(10_000, 10_000),
    }


BROKEN = [
    "empty.png",
    "text.jpg",
    "cut.png",
    "header.png",
    "changed.png",
    "cut.jpg",
    "cut.tif",
    "cut.gif",
    "signature.webp",
    "postscript.png",
    "bomb.png",
    "large.png",
]


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_image_is_named_and_left_out(photos, tmp_path, name):
    before = load(photos)
    (photos / "cat" / name).write_bytes(broken_files(tmp_path)[name])
    after = load(photos)
    assert len(after.skipped) == 1
    assert str(after.skipped[0]).startswith(f"cat/{name}: ")
    assert str(tmp_path) not in str(after.skipped[0])
    assert after.keys == before.keys
    np.testing.assert_array_equal(after.inputs, before.inputs)


@pytest.mark.parametrize("name", BROKEN)
def test_strict_refuses_a_damaged_image(photos, tmp_path, name):
    (photos / "dog" / name).write_bytes(broken_files(tmp_path)[name])
    with refused(f"dog/{name}", "1 of 5", "without strict"):
        load(photos, strict=True)


@pytest.mark.parametrize("kind", ["TGA", "PCX", "ICO", "EPS", "PDF"])
def test_formats_that_are_not_documented_are_not_tried(photos, kind):
    """Pillow reads more than is promised, and hands some of it to other programs."""
    Image.new("RGB", (16, 16)).save(photos / "cat" / "x.png", format=kind)
    data = load(photos)
    assert len(data) == 4
    assert data.skipped == (("cat/x.png", "no image, or a damaged one", True),)


def test_an_image_with_damaged_exif_is_read_without_a_word(photos):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03"
    Image.new("L", (12, 12), 9).save(photos / "cat" / "x.jpg", exif=exif)
    data = load(photos, strict=True)
    assert "cat/x.jpg" in data.keys


@pytest.mark.parametrize("name", ["bomb.png", "large.png"])
def test_an_image_that_would_fill_the_memory_is_said_to_be_too_large(photos, tmp_path, name):
    (photos / "cat" / name).write_bytes(broken_files(tmp_path)[name])
    assert f"more than {Image.MAX_IMAGE_PIXELS} pixels" in str(load(photos).skipped[0])


def test_a_damaged_image_has_no_say_in_the_common_size(photos):
    """Its header reads well and says that not all are alike: that is only found out when its pixels are decoded."""
    before = load(photos)
    colours = np.random.default_rng(1).integers(0, 256, size=(90, 50, 3), dtype=np.uint8)
    Image.fromarray(colours).save(photos / "cat" / "zz.jpg", quality=95)
    whole = (photos / "cat" / "zz.jpg").read_bytes()
    assert load(photos).inputs.shape == (5, 12, 12, 3)
    (photos / "cat" / "zz.jpg").write_bytes(whole[: len(whole) // 2])
    after = load(photos)
    np.testing.assert_array_equal(after.inputs, before.inputs)
    assert after.keys == before.keys
    assert len(after.skipped) == 1


def test_images_that_are_all_damaged_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"no")
    with refused("a/x.png", "b/x.png", "2 of 2"):
        load(tmp_path)


def test_a_class_of_damaged_images_only_is_no_class(photos):
    (photos / "emu").mkdir()
    (photos / "emu" / "x.png").write_bytes(b"no")
    assert load(photos).class_names == ("cat", "dog")


def test_other_files_are_named_and_hidden_ones_are_not(photos):
    (photos / "cat" / "notes.txt").write_text("-")
    (photos / "cat" / "Makefile").write_text("-")
    (photos / "cat" / ".DS_Store").write_text("-")
    (photos / "cat" / ".hidden").mkdir()
    (photos / "cat" / ".hidden" / "x.png").write_text("-")
    (photos / ".git").mkdir()
    (photos / ".git" / "x.png").write_text("-")
    (photos / "README.md").write_text("-")
    (photos / "emu").mkdir()
    assert {str(one) for one in load(photos, strict=True).skipped if not one.damaged} == {
        "cat/notes.txt: not an image",
        "cat/Makefile: not an image",
        "README.md: not in a class folder",
        "emu: no images in this folder",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(photos):
    os.mkfifo(photos / "cat" / "pipe.png")
    assert load(photos).skipped == (("cat/pipe.png", "a link to nothing, or no regular file", True),)


def test_a_folder_that_is_called_like_an_image_is_a_folder(photos):
    (photos / "cat" / "more.png").mkdir()
    Image.new("L", (12, 12)).save(photos / "cat" / "more.png" / "x.png")
    assert "cat/more.png/x.png" in load(photos).keys


def test_links_to_files_and_class_folders_are_followed(photos, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("L", (12, 12), 7).save(outside / "x.png")
    (photos / "cat" / "link.png").symlink_to(outside / "x.png")
    (photos / "emu").symlink_to(outside)
    data = load(photos)
    assert data.class_names == ("cat", "dog", "emu")
    assert {"cat/link.png", "emu/x.png"} <= set(data.keys)
    assert data.skipped == ()


def test_links_cannot_lead_in_circles_or_into_another_class(photos):
    (photos / "cat" / "up").symlink_to(photos)
    (photos / "cat" / "self").symlink_to(photos / "cat")
    (photos / "cat" / "dogs").symlink_to(photos / "dog")
    (photos / "cat" / "nowhere.png").symlink_to(photos / "missing.png")
    (photos / "cat" / "circle.png").symlink_to(photos / "cat" / "circle.png")
    data = load(photos)
    assert len(data) == 4
    assert sorted(s.path for s in data.skipped) == [
        "cat/circle.png",
        "cat/dogs",
        "cat/nowhere.png",
        "cat/self",
        "cat/up",
    ]


def test_a_class_folder_that_links_to_the_whole_is_read_once(photos):
    (photos / "all").symlink_to(photos)
    data = load(photos)
    assert data.class_names == ("all", "cat", "dog")
    assert len(data) == 8
    assert data.skipped == (("all/all", "a link to a folder, not followed", False),)


def test_warnings_of_pillow_and_its_settings_are_left_as_they_were(photos):
    limit, truncated, filters = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    load(photos)
    assert (limit, truncated) == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    assert filters == list(warnings.filters)


def test_a_file_damaged_anywhere_never_stops_the_reading(photos):
    whole = bytearray(noise(photos / "dog" / "x.png"))
    rng = np.random.default_rng(3)
    for _ in range(60):
        changed = bytearray(whole)
        for position in rng.integers(0, len(whole), size=4):
            changed[position] = rng.integers(0, 256)
        (photos / "dog" / "x.png").write_bytes(bytes(changed))
        data = load(photos)
        assert len(data) + len(data.skipped) == 5


def test_the_damaged_come_before_what_is_no_sample(photos):
    (photos / "__MACOSX" / "cat").mkdir(parents=True)
    (photos / "__MACOSX" / "cat" / "._x.png").write_bytes(b"-")
    for name in ("Thumbs.db", "desktop.ini"):
        (photos / "cat" / name).write_bytes(b"-")
    (photos / "cat" / "phone.HEIC").write_bytes(b"-")
    (photos / "dog" / "empty.png").write_bytes(b"")
    found = load(photos).skipped
    assert [(one.path, one.damaged) for one in found] == [
        ("dog/empty.png", True),
        ("cat/phone.HEIC", True),
        ("__MACOSX", False),
        ("cat/Thumbs.db", False),
        ("cat/desktop.ini", False),
    ]
    assert str(found[1]) == "cat/phone.HEIC: a picture in a format that is not read"
