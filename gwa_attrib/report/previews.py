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
    channels_first = isinstance(x, torch.Tensor)
    if channels_first:
        x = x.detach().cpu().float().numpy() if x.is_floating_point() else x.detach().cpu().numpy()
    if not isinstance(x, np.ndarray) or not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        return Preview(missing=f"no picture or text, but a {type(x).__name__}", label=label)
    if x.ndim == 1:
        return _of_row(enumerate(x, start=1), len(x), label)
    pixels = _pixels(x, channels_first=channels_first)
    return (
        Preview(missing=f"an array of shape {list(x.shape)}", label=label)
        if pixels is None
        else _of_picture(Image.fromarray(pixels), label)
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


def _pixels(x: Column, *, channels_first: bool) -> Column | None:
    """uint8 ``[height, width]`` or ``[height, width, 3]``; None if the array is no picture."""
    if x.ndim == 3 and (channels_first or (x.shape[2] > 4 and x.shape[0] <= 4)):
        x = np.moveaxis(x, 0, 2)
    if x.ndim not in (2, 3) or 0 in x.shape:
        return None
    if x.ndim == 3:
        x = x[:, :, :3] if x.shape[2] >= 3 else x[:, :, 0]
    return np.ascontiguousarray(x if x.dtype == np.uint8 else _stretched(x))


def _stretched(x: Column) -> Column:
    """As uint8: [0, 1] to 0..255; what goes beyond, such as inputs normalised for training, from its own range."""
    x = np.nan_to_num(x.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(x.min()), float(x.max())
    if low < 0.0 or high > 1.0:
        x = (x - low) / (high - low) if high > low else np.zeros_like(x)
    return np.asarray(np.round(x * 255).astype(np.uint8))


def _of_picture(picture: Any, label: str | None) -> Preview:
    """PNG for small pictures, which keeps their pixels; JPEG for photographs."""
    picture = _eight_bit(picture)
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


def _eight_bit(picture: Any) -> Any:
    """Grey or RGB with eight bits; what is transparent becomes white."""
    from PIL import Image

    if picture.mode in ("I", "I;16", "F"):
        return Image.fromarray(_stretched(np.asarray(picture)))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
