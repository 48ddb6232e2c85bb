"""The content of a sample, for whatever shows it: its picture, text or values, and its label in the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gwa_attrib.datasets.items import LABELS, Decode, Item, class_of, decoder, item_of, label_of
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.picture import as_numbers, picture_of
from gwa_attrib.datasets.readers.image_file import read_picture
from gwa_attrib.datasets.readers.image_folder import folder_of, image_file
from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True)
class Content:
    """A sample as the data have it. Nothing in it is escaped or shortened."""

    picture: "PIL.Image.Image | None" = None
    """A PIL image, grey or RGB with eight bits, in its full resolution."""
    text: str | None = None
    values: Mapping[str, object] | None = None
    """Raw values of a row by column name."""
    missing: str | None = None
    """Why there is nothing to see."""
    label: str | None = None
    """The label that the data say: the name of its class, else its number; None if they say nothing."""
    number: int | None = None
    """The number of the class, where the data have one: the names of a data set need not be those of a run."""


Reader = Callable[[int], Content]
Label = tuple[int | None, str | None]
"""Number and name of a class, as far as the data say them."""


def content_reader(data: object, *, tokenizer: object = None) -> Reader:
    """Make a function from sample id to content.

    Args:
        data: `LabeledData`; or a data set whose item i is sample i, as ``x``, ``(x, y, ...)`` or a dict. In a dict the
            picture is a PIL image or an array such as ``pixel_values``; the text is its string, or its strings by name,
            or else ``input_ids``, decoded; the label is under label, labels, label_ids, target or y, with the names of
            a ``ClassLabel``. What cannot be read says why in `missing`.
        tokenizer: Decodes token ids: a tokenizer of transformers, or one of tokenizers.
    """
    return _labeled(data) if isinstance(data, LabeledData) else _indexed(data, decoder(tokenizer))


def _labeled(data: LabeledData) -> Reader:
    look = _look(data)

    def read(sample_id: int) -> Content:
        number, name = _label_in(data, sample_id)
        return replace(look(sample_id), label=name, number=number)

    return read


def _label_in(data: LabeledData, sample_id: int) -> Label:
    number = int(data.labels[sample_id])
    return (number, data.class_names[number]) if number >= 0 else (None, None)  # -1: never seen in the run


def _look(data: LabeledData) -> Reader:
    inputs = data.inputs
    if isinstance(inputs, pd.DataFrame):
        return lambda i: Content(values={str(name): value for name, value in inputs.iloc[i].items()})
    if data.kind == "text":
        return lambda i: Content(text=str(inputs[i]))
    root = folder_of(data)
    return lambda i: Content(picture=_original(root, data.keys[i]) or _trained_on(inputs[i]))


def _original(root: Path | None, key: str) -> "PIL.Image.Image | None":
    """The picture in the file of a sample; None if there is no such file, or none that can be read any more."""
    file = None if root is None else image_file(root, key)
    try:
        return None if file is None else read_picture(file)
    except Exception:  # Pillow raises almost anything for damaged files; what was trained on can still be shown
        return None


def _trained_on(pixels: Array) -> "PIL.Image.Image | None":
    """Values of `LabeledData` reach to 255, whatever their type."""
    return picture_of(pixels if pixels.dtype == np.uint8 else pixels.round().clip(0, 255).astype(np.uint8))


def _indexed(data: Any, decode: Decode | None) -> Reader:
    features = _features(data)

    def read(sample_id: int) -> Content:
        try:
            item = data[int(sample_id)]
            number, name = _named(*label_of(item), features)
            return replace(_shown(item_of(item, decode)), label=name, number=number)
        except Exception as error:  # the user's code reads files: one that fails must not cost the whole report
            return Content(missing=f"could not be read: {type(error).__name__}")

    return read


def label_reader(data: Any) -> Callable[[int], Label]:
    """Make a function from sample id to the label that the data have for it, without the rest of the sample."""
    if isinstance(data, LabeledData):
        return lambda sample_id: _label_in(data, sample_id)
    features = _features(data)
    return lambda sample_id: _named(*label_of(data[int(sample_id)]), features)


def _named(y: object, column: str | None, features: Mapping[str, object] | None) -> Label:
    number, name = class_of(y)
    names = _names(features, column)
    if number is not None and names is not None:
        name = names[number] if number < len(names) else None
    return number, name


def _shown(item: Item) -> Content:
    """The picture is read now, where errors are caught: PIL's are read when they are first used."""
    x = item.x
    if isinstance(x, str):
        return Content(text=x)
    if isinstance(x, Mapping):
        return Content(values=x)
    if x is None and item.missing is not None:
        return Content(missing=item.missing)
    numbers = as_numbers(x)
    if numbers is not None and numbers.ndim == 1:
        return Content(values={str(i): value for i, value in enumerate(numbers, start=1)})
    picture = picture_of(x)
    if picture is not None:
        return Content(picture=picture, text=item.beside)
    return Content(
        missing=f"no picture or text, but a {type(x).__name__}"
        if numbers is None
        else f"an array of shape {list(numbers.shape)}"
    )


def _features(data: object) -> Mapping[str, object] | None:
    """The features of a Hugging Face data set, also of one inside another data set; None of anything else."""
    # Data sets are wrapped in each other, a few deep; and an object may be its own `dataset`.
    for _ in range(8):
        features = getattr(data, "features", None)
        if isinstance(features, Mapping):
            return features
        data = getattr(data, "dataset", None)
    return None


def class_names_of(data: object, label_column: str = "labels") -> list[str] | None:
    """The class names of a Hugging Face data set, if its labels are a ``ClassLabel``."""
    return _names(_features(data), label_column)


def _names(features: Mapping[str, object] | None, label_column: str | None) -> list[str] | None:
    """A transform may have renamed the column of the labels since."""
    if features is None or label_column is None:
        return None
    for column in (label_column, *LABELS):
        names = getattr(features.get(column), "names", None)
        if names:
            return [str(name) for name in names]
    return None
