"""What a sample is, for tools that show it: a picture, a text, or a row of values."""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gwa_attrib.datasets import LabeledData
from gwa_attrib.datasets.class_folders import find_images
from gwa_attrib.datasets.load import choose_reader
from gwa_attrib.datasets.picture import as_numbers, picture_of
from gwa_attrib.datasets.wording import storable
from gwa_attrib.errors import DataError, InputError

COLUMNS = 100
"""Of a row; the rest of a wider one is counted."""
Kind = Literal["image", "text", "table"]


@dataclass(frozen=True, eq=False)
class Contents:
    """The samples of a data set, by sample id."""

    kind: Kind
    read: Callable[[int], Any]
    """A PIL picture, a text, or ``{column: text}``."""
    root: Path | None = None
    """Of an image folder."""
    files: Mapping[int, Path] = field(default_factory=dict)
    """Of an image folder: the file of each sample."""

    def png(self, sample_id: int) -> bytes:
        """The picture, with its pixels as they are."""
        file = io.BytesIO()
        self.read(sample_id).save(file, "PNG")
        return file.getvalue()

    def address(self, sample_id: int) -> bytes:
        """The path of the file within its folder, as the file system has it."""
        if self.root is None:
            raise InputError(
                expected="pictures that are files", found="pictures out of arrays", todo="Write them beside the export."
            )
        return os.fsencode(self.files[sample_id].relative_to(self.root).as_posix())


def contents_of(data: Any, sample_ids: Sequence[int]) -> Contents:
    """The contents of these samples.

    Args:
        data: `LabeledData`, or a data set whose item i is sample i, as ``(x, y)`` or ``x``, with ``x`` a picture (a
            tensor ``[channel, height, width]``, an array, a PIL image), a string, or a row of numbers.
        sample_ids: At least one; the first one says what all of them are.

    Raises:
        InputError: items that are none of these.
    """
    if isinstance(data, LabeledData):
        return _labeled(data)
    kind = _kind(_x(data[sample_ids[0]]))

    def read(sample_id: int) -> Any:
        x = _x(data[sample_id])
        if _kind(x) != kind:
            raise InputError(
                expected=f"samples of one kind: sample {sample_ids[0]} is of the kind {kind}",
                found=f"sample {sample_id} of the kind {_kind(x)}",
                todo="Export them apart.",
            )
        return _READ[kind](x)

    return Contents(kind, read)


def plain(text: str) -> str:
    """A text that any database stores: without zero bytes and lone surrogates."""
    return storable(text).replace("\0", "\ufffd")


def _labeled(data: LabeledData) -> Contents:
    if isinstance(data.inputs, pd.DataFrame):
        frame = data.inputs
        return Contents("table", lambda i: _row(dict(frame.iloc[i].items())))
    if data.kind == "text":
        return Contents("text", lambda i: plain(str(data.inputs[i])))
    root = _image_folder(data)
    files = {} if root is None else _files(data, root)
    return Contents("image", lambda i: _picture(data.inputs[i]), root, files)


def _image_folder(data: LabeledData) -> Path | None:
    try:
        reader, location = choose_reader(data.source)
    except DataError:
        return None  # made by hand
    return Path(location) if reader.name == "image-folder" else None


def _files(data: LabeledData, root: Path) -> dict[int, Path]:
    found = {storable(path.relative_to(root).as_posix()): path for path in find_images(root).files}
    missing = [key for key in data.keys if key not in found]
    if missing:
        raise InputError(
            expected=f"the files of the run in {root}", found=f"no {missing[0]!r}", todo="Restore them, or audit again."
        )
    return {i: found[key] for i, key in enumerate(data.keys)}


def _x(item: Any) -> Any:
    return item[0] if isinstance(item, tuple | list) and len(item) > 1 else item


def _kind(x: Any) -> Kind:
    if isinstance(x, str):
        return "text"
    numbers = as_numbers(x)
    if numbers is not None and numbers.ndim == 1:
        return "table"
    if picture_of(x) is not None:
        return "image"
    raise InputError(
        expected="samples that are pictures, texts or rows of numbers",
        found=f"a {type(x).__name__}" + ("" if numbers is None else f" of shape {list(numbers.shape)}"),
        todo="Pass a data set whose items are (x, y), with x one of these; or export to csv or parquet.",
    )


def _picture(x: Any) -> Any:
    """Values of `LabeledData` reach to 255, whatever their type."""
    return picture_of(x if x.dtype == "uint8" else x.round().clip(0, 255).astype("uint8"))


def _row(values: Mapping[Any, Any]) -> dict[str, str]:
    texts = {plain(str(name)): "" if pd.isna(value) else plain(str(value)) for name, value in values.items()}
    more = len(texts) - COLUMNS
    return texts if more <= 0 else {**dict(list(texts.items())[:COLUMNS]), "…": f"{more} more columns"}


_READ: dict[Kind, Callable[[Any], Any]] = {
    "image": picture_of,
    "text": plain,
    "table": lambda x: _row(dict(enumerate(as_numbers(x), start=1))),  # type: ignore[arg-type]
}
