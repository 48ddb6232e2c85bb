"""Pictures for people: what an image is in a data set, as one that a browser shows."""

from typing import TYPE_CHECKING

import numpy as np

from gwa_attrib.value_types import Array

if TYPE_CHECKING:
    import PIL.Image


def picture_of(x: object) -> "PIL.Image.Image | None":
    """A PIL picture, grey or RGB with eight bits, with the pixels that it has; None of what is no picture.

    Args:
        x: A PIL image; or a tensor ``[channel, height, width]``, or an array ``[height, width]`` or
            ``[height, width, channel]``: floats in [0, 1], or anything else, which is stretched over its own range.
    """
    from PIL import Image

    if isinstance(x, Image.Image):
        return _eight_bit(x)
    numbers = as_numbers(x)
    pixels = None if numbers is None else _pixels(numbers, channels_first=not isinstance(x, np.ndarray))
    return None if pixels is None else Image.fromarray(pixels)


def as_numbers(x: object) -> Array | None:
    """A tensor or an array of numbers as an array; None of anything else."""
    import torch

    if isinstance(x, torch.Tensor):
        return np.asarray((x.detach().cpu().float() if x.is_floating_point() else x.detach().cpu()).numpy())
    return x if isinstance(x, np.ndarray) and (np.issubdtype(x.dtype, np.number) or x.dtype == bool) else None


def _pixels(x: Array, *, channels_first: bool) -> Array | None:
    """uint8 ``[height, width]`` or ``[height, width, 3]``; None if the array is no picture."""
    if x.ndim == 3 and (channels_first or (x.shape[2] > 4 and x.shape[0] <= 4)):
        x = np.moveaxis(x, 0, 2)
    if x.ndim not in (2, 3) or 0 in x.shape:
        return None
    if x.ndim == 3:
        x = x[:, :, :3] if x.shape[2] >= 3 else x[:, :, 0]
    return np.ascontiguousarray(x if x.dtype == np.uint8 else _stretched(x))


def _stretched(x: Array) -> Array:
    """Stretch to uint8: [0, 1] to 0..255; what goes beyond, such as normalised inputs, from its own range."""
    x = np.nan_to_num(x.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(x.min()), float(x.max())
    if low < 0.0 or high > 1.0:
        x = (x - low) / (high - low) if high > low else np.zeros_like(x)
    return np.asarray(np.round(x * 255).astype(np.uint8))


def _eight_bit(picture: "PIL.Image.Image") -> "PIL.Image.Image":
    """Grey or RGB with eight bits; what is transparent becomes white."""
    from PIL import Image

    if picture.mode in ("I", "I;16", "F"):
        return Image.fromarray(_stretched(np.asarray(picture)))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
