"""What a sample looks like: a small picture, its text, or its values."""

import base64
import io
import itertools
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.picture import as_numbers, picture_of
from gwa_attrib.errors import InputError
from gwa_attrib.report.wording import shortened, visible, visible_lines

LARGEST = 160
"""Pixels of the longer side; larger pictures are made smaller, to be shown at half of it on a sharp display."""
CHARACTERS = 700
VALUES = 10


@dataclass(frozen=True)
class Preview:
    """One of `image`, `text`, `values` and `missing` is set."""

    image: str | None = None
    """A data URI."""
    size: tuple[int, int] = (0, 0)
    text: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    missing: str | None = None
    """Why there is nothing to see."""
    label: str | None = None
    """The label that the data has for the sample: a class name or number; None if it does not say."""


Column = np.ndarray[Any, np.dtype[Any]]
Previewer = Callable[[int], Preview]


def previewer(data: Any, sample_ids: Iterable[int]) -> Previewer:
    """A function from sample id to preview.

    Raises:
        InputError: the data has fewer samples than the run has ids.
    """
    if data is None:
        return lambda _: Preview(missing="no data given")
    largest = max(sample_ids, default=-1)
    if isinstance(data, (LabeledData, Sized)) and largest >= len(data):
        raise InputError(
            expected=f"the data set of the run, with a sample {largest}",
            found=f"one of {len(data)} samples",
            todo="Pass the data that the run was recorded on, in the same order, or data=None.",
        )
    return _labeled(data) if isinstance(data, LabeledData) else _indexed(data)


def _labeled(data: LabeledData) -> Previewer:
    def preview(sample_id: int) -> Preview:
        label = data.class_names[int(data.labels[sample_id])]
        if isinstance(data.inputs, pd.DataFrame):
            return _of_row(data.inputs.iloc[sample_id].items(), len(data.inputs.columns), label)
        return _of_input(data.inputs[sample_id], label)

    return preview


def _indexed(data: Any) -> Previewer:
    def preview(sample_id: int) -> Preview:
        try:
            item = data[sample_id]
        except Exception as error:  # the user's code reads files: one that fails must not cost the whole report
            return Preview(missing=f"could not be read: {type(error).__name__}")
        pair = isinstance(item, (tuple, list)) and len(item) > 1
        return _of_input(item[0] if pair else item, _label(item[1]) if pair else None)

    return preview


def _label(y: Any) -> str | None:
    """A class number or name as text; None for anything else (soft targets, boxes...)."""
    if isinstance(y, (torch.Tensor, np.ndarray)) and y.ndim == 0:
        y = y.item()
    return str(y) if isinstance(y, (int, str, np.integer)) else None


def _of_input(x: Any, label: str | None) -> Preview:
    from PIL import Image

    if isinstance(x, str):
        return Preview(text=visible_lines(shortened(x, CHARACTERS)), label=label)
    if isinstance(x, Image.Image):
        return _of_picture(x, label)
    numbers = as_numbers(x)
    if numbers is None:
        return Preview(missing=f"no picture or text, but a {type(x).__name__}", label=label)
    if numbers.ndim == 1:
        return _of_row(enumerate(numbers, start=1), len(numbers), label)
    picture = picture_of(x)
    return (
        Preview(missing=f"an array of shape {list(numbers.shape)}", label=label)
        if picture is None
        else _of_picture(picture, label)
    )


def _of_row(items: Iterable[tuple[Any, Any]], size: int, label: str | None) -> Preview:
    values = [(shortened(visible(name), 40), _value(value)) for name, value in itertools.islice(items, VALUES)]
    if size > VALUES:
        values.append(("…", f"{size - VALUES} more"))
    return Preview(values=tuple(values), label=label)


def _value(value: Any) -> str:
    return (
        f"{value:.4g}".replace("-", "−") if isinstance(value, (float, np.floating)) else shortened(visible(value), 80)
    )


def _of_picture(picture: Any, label: str | None) -> Preview:
    """PNG for small pictures, which keeps their pixels; JPEG for photographs."""
    picture = picture_of(picture)
    large = max(picture.size) > LARGEST // 2
    picture.thumbnail((LARGEST, LARGEST))
    file = io.BytesIO()
    if large:
        picture.save(file, "JPEG", quality=82, optimize=True)
    else:
        picture.save(file, "PNG", optimize=True)
    kind = "jpeg" if large else "png"
    uri = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return Preview(image=uri, size=picture.size, label=label)
