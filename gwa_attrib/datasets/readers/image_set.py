"""Many image files as one array: what they are all made to be, and which of them cannot be read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from gwa_attrib.datasets.messages import printable
from gwa_attrib.datasets.readers.image_file import ImageFacts, image_facts, quiet_pillow, read_pixels
from gwa_attrib.display.progress import bar
from gwa_attrib.value_types import Array

LARGEST, SMALLEST = 64, 8
"""Limits of the common size, in pixels a side."""


class ImageSet(NamedTuple):
    """Images of one size, and the files that they came from."""

    pixels: Array
    """``[sample, height, width, channel]``, 1 or 3 channels, 0..255: uint8, or float32 if an image has 16 bits."""
    files: list[Path]
    refused: dict[Path, str]
    """Why a file could not be read."""


def read_images(files: Sequence[Path]) -> ImageSet:
    """All images that can be decoded, alike in size and colours.

    Images of one size of at most 64 pixels stay as they are. Otherwise all are resized to a square, proportions not
    kept, whose side is the median of their longer sides within 8..64. All become grey if all are stored as grey, else
    RGB. Only images that can be decoded count for this, so a damaged one may call for another round.
    """
    with quiet_pillow():
        facts, refused = _facts(files)
        while facts:
            common = Common.of(facts.values())
            pixels, broken = _decode(list(facts), common)
            refused |= broken
            facts = {path: fact for path, fact in facts.items() if path not in broken}
            if facts and Common.of(facts.values()) == common:
                return ImageSet(pixels, list(facts), refused)
    return ImageSet(np.empty((0, SMALLEST, SMALLEST, 1), dtype=np.uint8), [], refused)


@dataclass(frozen=True)
class Common:
    """The size and colours that all images are brought to."""

    width: int
    height: int
    resize: bool
    grey: bool
    deep: bool

    @classmethod
    def of(cls, facts: Iterable[ImageFacts]) -> "Common":
        facts = list(facts)
        grey, deep = all(f.grey for f in facts), any(f.deep for f in facts)
        width, height = facts[0].width, facts[0].height
        if max(width, height) <= LARGEST and all((f.width, f.height) == (width, height) for f in facts):
            return cls(width, height, resize=False, grey=grey, deep=deep)
        side = round(min(max(median(max(f.width, f.height) for f in facts), SMALLEST), LARGEST))
        return cls(side, side, resize=True, grey=grey, deep=deep)


def _facts(files: Sequence[Path]) -> tuple[dict[Path, ImageFacts], dict[Path, str]]:
    facts: dict[Path, ImageFacts] = {}
    refused: dict[Path, str] = {}
    for path in _progress(files, "looking at images"):
        try:
            facts[path] = image_facts(path)
        except Exception as error:  # Pillow raises almost anything for damaged files
            refused[path] = _reason(error)
    return facts, refused


def _decode(files: Sequence[Path], common: Common) -> tuple[Array, dict[Path, str]]:
    """The pixels of the files that can be decoded, in their order; why the others cannot."""
    shape = (common.height, common.width, 1 if common.grey else 3)
    pixels = np.empty((len(files), *shape), dtype=np.float32 if common.deep else np.uint8)
    size = (common.width, common.height) if common.resize else None
    refused: dict[Path, str] = {}
    row = 0
    for path in _progress(files, "reading images"):
        try:
            image = read_pixels(path, grey=common.grey, resize_to=size)
            if image.shape != shape:
                raise ValueError("its size is not the one in its header")
        except Exception as error:
            refused[path] = _reason(error)
        else:
            pixels[row] = image
            row += 1
    return pixels[:row], refused


def _progress(files: Sequence[Path], what: str) -> Iterable[Path]:
    found: Iterable[Path] = bar(files, what, unit="file")
    return found


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no image, or a damaged one"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(f"damaged ({type(error).__name__}: {error})")
