"""The look of a sample in the page: a small picture, its text, or its values."""

import base64
import io
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gwa_attrib.datasets.content import Content
from gwa_attrib.reporting.wording import NOTHING, shortened, visible, visible_lines

if TYPE_CHECKING:
    import PIL.Image

LARGEST = 224
"""Pixels of the longer side of a picture; larger ones are made smaller. Sharp displays show it at half of that."""
PIXELATED = 96
"""Up to this many pixels a picture keeps each of them: it is shown enlarged, and a lossy format would blur it."""
CHARACTERS = 20_000
"""Most characters of a text: all of nearly every one."""
VALUES = 8
"""Most values of a row."""
PLAIN_UP_TO = 1e15
"""Whole numbers beyond have more digits than a float holds."""


@dataclass(frozen=True)
class Preview:
    """The parts of a sample that are shown: a picture with or without a text, a text, values, or why nothing is."""

    image: str | None = None
    """A data URI."""
    size: tuple[int, int] = (0, 0)
    pixelated: bool = False
    text: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    missing: str | None = None
    """Why there is nothing to see."""
    label: str | None = None
    """The label that the data has for the sample: a class name or number; None if it does not say."""
    number: int | None = None
    """The number of that class, where the data has one."""


def preview_of(content: Content, order: Sequence[str] | None = None) -> Preview:
    """Make the preview of a sample.

    Args:
        content: The sample.
        order: Of the columns of a row, those to show, the first first; by default the first ones.
    """
    if content.picture is not None:
        uri, size, pixelated = data_uri(content.picture)
        text = None if content.text is None else text_of(content.text)
        return Preview(image=uri, size=size, pixelated=pixelated, text=text, label=content.label, number=content.number)
    if content.text is not None:
        return Preview(text=text_of(content.text), label=content.label, number=content.number)
    if content.values is not None:
        return Preview(values=values_of(content.values, order), label=content.label, number=content.number)
    return Preview(missing=visible(content.missing or "nothing to see"), label=content.label, number=content.number)


def text_of(text: str, most: int = CHARACTERS) -> str:
    """A text with nothing hidden in it; of a longer one the beginning, and how much more there is."""
    shown = visible_lines(text[:most])
    return shown if len(text) <= most else f"{shown.rstrip()} … ({len(text) - most:,} more characters)"


def values_of(values: Mapping[str, object], order: Sequence[str] | None = None) -> tuple[tuple[str, str], ...]:
    """Pairs of a column's name and its value, as a person writes them."""
    names = list(values) if order is None else [name for name in order if name in values]
    pairs = [(column_name(name), value_text(values[name])) for name in names[:VALUES]]
    more = len(values) - len(pairs)
    return (*pairs, ("…", f"{more:,} more")) if more else tuple(pairs)


def column_name(name: object) -> str:
    """A column's name, short enough for a card."""
    return shortened(visible(name), 40)


def value_text(value: object) -> str:
    """A value of a row as a person writes it.

    >>> [value_text(value) for value in (30440.0, 2021, 0.123456, -1.5e-7, None, "red")]
    ['30,440', '2021', '0.1235', '−1.5 × 10⁻⁷', '–', 'red']
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return NOTHING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral) and abs(int(value)) >= PLAIN_UP_TO:
        return f"{value:,}".replace("-", "−")
    if isinstance(value, numbers.Real):
        return number_text(float(value))
    return shortened(visible(value), 80)


def number_text(value: float) -> str:
    """A number with up to four significant digits, whole ones whole; thousands are grouped from five digits on, so that
    a year stays a year.

    >>> [number_text(x) for x in (1797.0, 12345.678, 3.0, 0.00012, float("nan"), float("inf"))]
    ['1797', '12,346', '3', '0.00012', '–', '∞']
    """
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size and not 1e-4 <= size < PLAIN_UP_TO:
        digits, power = f"{value:.3e}".split("e")
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{_trimmed(digits)} × 10{raised}".replace("-", "−")
    decimals = 0 if value == round(value) else max(0, 3 - math.floor(math.log10(size)))
    text = _trimmed(f"{value + 0.0 if value else 0.0:,.{decimals}f}")
    return (text if size >= 10_000 else text.replace(",", "")).replace("-", "−")


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def data_uri(picture: "PIL.Image.Image") -> tuple[str, tuple[int, int], bool]:
    """A picture inside the page: its address, its size, and whether each of its pixels is meant to be seen."""
    pixelated = max(picture.size) <= PIXELATED
    small = picture if pixelated else reduced(picture, LARGEST)
    kind, content = encoded(small, lossless=pixelated)
    return uri_of(kind, content), small.size, pixelated


def uri_of(kind: str, content: bytes) -> str:
    """The data URI of a picture in the format `kind`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def reduced(picture: "PIL.Image.Image", side: int) -> "PIL.Image.Image":
    """A picture whose longer side has at most so many pixels, its proportions kept."""
    if max(picture.size) <= side:
        return picture
    small = picture.copy()
    small.thumbnail((side, side))
    return small


def encoded(picture: "PIL.Image.Image", *, lossless: bool, quality: int = 76) -> tuple[str, bytes]:
    """A picture as a file: PNG without loss, else WebP, or JPEG where Pillow was built without WebP."""
    from PIL import features

    file = io.BytesIO()
    if lossless:
        picture.save(file, "PNG", optimize=True)
        return "png", file.getvalue()
    if features.check("webp"):
        picture.convert("RGB").save(file, "WEBP", quality=quality, method=4)
        return "webp", file.getvalue()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return "jpeg", file.getvalue()
