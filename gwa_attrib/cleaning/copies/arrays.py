"""Cleaned copies of arrays: of an .npz, and of the built-in data sets, which become one."""

from pathlib import Path
from typing import Any

import numpy as np

from gwa_attrib.cleaning.copies.registry import Copied, Source, copies


@copies.register("npz", source="numpy.savez")
def copy_npz(source: Source, target: Path) -> Copied:
    """The same arrays, of the samples that are left, with the new labels."""
    with np.load(source.location, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    label = "y" if source.label_column is None else source.label_column
    total = len(arrays[label])
    if total < len(source.data):
        raise source.changed(f"{total} rows instead of {len(source.data)}")
    arrays[label] = source.rewritten(arrays[label])
    rows = source.rows_left(total)
    _save(target, {name: array[rows] for name, array in arrays.items()})
    return Copied(len(rows))


@copies.register("digits", source="scikit-learn load_digits")
@copies.register("fashion-mnist", source="Xiao et al. 2017, arXiv 1708.07747")
def copy_built_in(source: Source, target: Path) -> Copied:
    """An .npz with the images as X and the class names as y."""
    names = np.asarray(source.data.class_names)
    names = names.astype(np.int64) if all(name.isdecimal() for name in source.data.class_names) else names
    rows = np.flatnonzero(source.left)
    images = np.asarray(source.data.inputs)[rows]
    _save(target, {"X": images[..., 0] if images.shape[-1] == 1 else images, "y": names[source.labels[rows]]})
    return Copied(len(rows))


def _save(target: Path, arrays: dict[str, Any]) -> None:
    with target.open("wb") as file:
        np.savez_compressed(file, **arrays)
