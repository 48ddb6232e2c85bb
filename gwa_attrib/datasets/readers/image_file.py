"""One image file: what it is, and its pixels. Pillow does the decoding; nothing it does not need is tried."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    import PIL.Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""Formats by content, whatever the suffix; those for which Pillow would start another program (EPS) are left out."""

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
)

OTHER_PICTURES = frozenset(
    (".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".eps", ".tga", ".ico", ".dcm", ".exr")
) | frozenset((".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"))
"""Suffixes of pictures that are not read: who has such files expects them among the samples."""

GREY = frozenset(("1", "L", "LA", "La"))
DEEP = frozenset(("I;16", "I;16L", "I;16B", "I;16N", "I"))
"""Grey with 16 bits; 16-bit PGM comes as 32 bits ("I")."""

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


@dataclass(frozen=True)
class ImageFacts:
    """Facts that have to be known of every image before the first one is converted."""

    width: int
    height: int
    grey: bool
    deep: bool
    """More than 8 bits a channel."""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Pillow's warnings off, but for the one of an image that would fill the memory: that one is an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: Path) -> "Iterator[PIL.Image.Image]":
    """Opened as a stream: given a path, Pillow 13 maps an uncompressed TIFF into memory and turns it wrongly."""
    from PIL import Image

    with path.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
        yield image


def image_facts(path: Path) -> ImageFacts:
    """Size as it is shown (EXIF orientation applied) and depth, from the header where that says it.

    Raises:
        Exception: whatever Pillow raises for a file that is damaged or no image.
    """
    from PIL import ExifTags

    with _opened(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
        if turned and image.format == "TIFF":
            image.load()  # which turns it; whether `size` says so before depends on Pillow's version
            turned = False
        width, height = reversed(image.size) if turned else image.size
        return ImageFacts(width, height, grey=image.mode in GREY | DEEP, deep=image.mode in DEEP)


def read_pixels(
    path: Path, *, grey: bool, resize_to: tuple[int, int] | None
) -> UInt8[np.ndarray, "height width channel"] | Float32[np.ndarray, "height width channel"]:
    """The first frame, turned as EXIF says, in 0..255: uint8, or float32 of a 16-bit image (value / 257).

    Args:
        path: The file.
        grey: One channel instead of three. Colours become luma (ITU-R 601); transparent parts become white.
        resize_to: (width, height) to bring it to, with antialiasing and without regard to its proportions; None leaves
            every pixel as it is.

    Raises:
        Exception: whatever Pillow raises for a file that is damaged; ValueError for pixels of more than 16 bits.
    """
    from PIL import Image, ImageOps

    with _opened(path) as file:
        if resize_to is not None:  # of a JPEG: decode no more than twice the pixels needed each way
            file.draft(None, (2 * resize_to[0], 2 * resize_to[1]))
        image: PIL.Image.Image = ImageOps.exif_transpose(file)
        image = _deep(image) if image.mode in DEEP else _eight_bits(image, "L" if grey else "RGB")
        if resize_to is not None:
            image = image.resize(resize_to, Image.Resampling.BILINEAR)
    pixels: Array = np.array(image)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return pixels if grey or pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def read_picture(path: Path) -> "PIL.Image.Image":
    """The first frame with all its pixels, turned as EXIF says, grey or RGB with eight bits; transparent parts white.

    Raises:
        Exception: see `read_pixels`.
    """
    from PIL import Image

    with quiet_pillow():
        pixels = read_pixels(path, grey=image_facts(path).grey, resize_to=None)
    pixels = pixels if pixels.dtype == np.uint8 else pixels.round().astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _eight_bits(image: "PIL.Image.Image", mode: str) -> "PIL.Image.Image":
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels, of which black and white are not known")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _deep(image: "PIL.Image.Image") -> "PIL.Image.Image":
    from PIL import Image

    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels of more than 16 bits, of which black and white are not known")
    return Image.fromarray(values.astype(np.float32) / 257)
