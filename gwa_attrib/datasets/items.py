"""An item of somebody's data set: what of it is the sample, and what its label."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gwa_attrib.datasets.messages import listed
from gwa_attrib.datasets.picture import as_numbers, picture_of

LABELS = ("label", "labels", "label_ids", "target", "y")
"""Names of the label in a dict; the first that is there."""
PICTURES = ("pixel_values", "image", "images", "img", "picture", "pixels")
"""Names under which an array, or a list of lists, is a picture."""
CHANNELS_FIRST = "pixel_values"
TOKENS, MASK = "input_ids", "attention_mask"
NOT_SHOWN = frozenset((TOKENS, MASK, "token_type_ids", "position_ids", "special_tokens_mask", "sample_id"))
"""Numbers in a dict that say nothing to people."""
UNDECODED = "token ids; pass tokenizer= to read them as text"

Decode = Callable[[list[int]], str]


@dataclass(frozen=True)
class Item:
    """The part of an item that is to be seen."""

    x: object
    """A picture, a text, numbers, or a dict of values; anything else is not understood."""
    beside: str | None = None
    """Text that goes with a picture."""
    missing: str | None = None
    """Why `x` is None."""


def decoder(tokenizer: Any) -> Decode | None:
    """Make a function from token ids to text, without special tokens."""
    return None if tokenizer is None else lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True))


def label_of(item: object) -> tuple[object, str | None]:
    """The label of ``(x, y, ...)`` or of a dict, and its name in the dict; None if there is none.

    A number goes before a text: of ``{"label": "cat", "labels": 3}`` it is what is trained on.
    """
    if isinstance(item, Mapping):
        there = [name for name in LABELS if name in item]
        name = next((name for name in there if class_of(item[name])[0] is not None), next(iter(there), None))
        return (None, None) if name is None else (item[name], name)
    return (item[1] if isinstance(item, tuple | list) and len(item) > 1 else None), None


def class_of(y: object) -> tuple[int | None, str | None]:
    """Class number and text of a label; None for what is no class (soft targets, boxes, labels that are missing)."""
    numbers = as_numbers(_array(y))
    if numbers is not None and numbers.size == 1:
        y = numbers.item()
    if isinstance(y, str):
        return None, str(y)
    if isinstance(y, bool | int | float) and float(y).is_integer() and y >= 0:
        return int(y), str(int(y))
    return None, None


def item_of(item: object, decode: Decode | None) -> Item:
    """Take ``x``, ``(x, y, ...)`` or a dict apart."""
    if isinstance(item, tuple | list) and len(item) > 1:
        item = item[0]
    if not isinstance(item, Mapping):
        return Item(_decoded(item, decode))
    _, label = label_of(item)
    return _of_dict({str(name): value for name, value in item.items() if name != label}, decode)


def _decoded(x: object, decode: Decode | None) -> object:
    """A row of whole numbers is a text for those who have given a tokenizer."""
    numbers = as_numbers(x)
    if decode is None or numbers is None or numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        return x
    return decode([int(i) for i in numbers])


def _of_dict(item: Mapping[str, object], decode: Decode | None) -> Item:
    text, picture = _text(item), _picture(item)
    if picture is not None:
        return Item(picture, beside=text)
    if text is not None:
        return Item(text)
    if TOKENS in item:
        return Item(None, missing=UNDECODED) if decode is None else Item(decode(_tokens(item)))
    x = _values(item)
    return Item(x, missing=None if x is not None else f"no picture or text, but a dict with {listed(item)}")


def _text(item: Mapping[str, object]) -> str | None:
    texts = {name: value for name, value in item.items() if isinstance(value, str)}
    if len(texts) < 2:
        return next(iter(texts.values()), None)
    return "\n".join(f"{name}: {text}" for name, text in texts.items())


def _picture(item: Mapping[str, object]) -> object:
    from PIL import Image

    for value in item.values():
        if isinstance(value, Image.Image):
            return value
    for name in PICTURES:
        array = _array(item.get(name))
        if name == CHANNELS_FIRST and isinstance(array, np.ndarray):
            array = torch.from_numpy(array)
        numbers = as_numbers(array)
        if numbers is not None and numbers.ndim in (2, 3) and picture_of(array) is not None:
            return array
    return None


def _tokens(item: Mapping[str, object]) -> list[int]:
    ids = np.asarray(item[TOKENS]).reshape(-1)
    # As an array first: numpy's size() of a tensor is the tensor's method, which equals no number.
    mask = np.asarray(item[MASK]).reshape(-1) if item.get(MASK) is not None else None
    if mask is not None and mask.size == ids.size:
        ids = ids[mask != 0]
    return [int(i) for i in ids if i >= 0]


def _values(item: Mapping[str, object]) -> object:
    """The one array that is there, or the numbers by their names; None if there are neither."""
    found = {name: _array(value) for name, value in item.items() if name not in NOT_SHOWN}
    numbers = {name: as_numbers(value) for name, value in found.items()}
    single = {name: item[name] for name, value in numbers.items() if value is not None and value.ndim == 0}
    arrays = [found[name] for name, value in numbers.items() if value is not None and value.ndim > 0]
    return single or (arrays[0] if len(arrays) == 1 else None)


def _array(value: object) -> object:
    """Lists and numbers as arrays; anything else, and lists of unlike lists, as they are."""
    if not isinstance(value, list | bool | int | float | np.generic):
        return value
    try:
        return np.asarray(value)
    except ValueError:
        return value
