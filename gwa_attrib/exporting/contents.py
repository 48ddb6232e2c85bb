"""The contents of samples, for tools that show them: a picture, a text, or a row of values."""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from gwa_attrib.datasets import LabeledData
from gwa_attrib.datasets.content import Content, content_reader
from gwa_attrib.datasets.messages import storable
from gwa_attrib.datasets.readers.image_folder import folder_of, image_files
from gwa_attrib.errors import InputError

COLUMNS = 100
"""Columns of a row that are exported; the rest of a wider one is counted."""
if TYPE_CHECKING:
    import PIL.Image

Kind = Literal["image", "text", "table"]


@dataclass(frozen=True, eq=False)
class Contents:
    """The samples of a data set, by sample id."""

    kind: Kind
    read: Callable[[int], Any]
    """A PIL picture, a text, or ``{column: text}``."""
    root: Path | None = None
    """The image folder, if it is one."""
    files: Mapping[int, Path] = field(default_factory=dict)
    """The file of each sample of an image folder."""

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


def contents_of(data: object, sample_ids: Sequence[int], *, tokenizer: object = None) -> Contents:
    """The contents of these samples.

    Args:
        data: As `content_reader` takes it.
        sample_ids: At least one; the first one says what all of them are.
        tokenizer: As `content_reader` takes it.

    Raises:
        InputError: samples that are no pictures, texts or rows of numbers, or that cannot be read.
    """
    if isinstance(data, LabeledData) and data.kind == "image":
        return _images(data)
    look = content_reader(data, tokenizer=tokenizer)
    kind = _kind(look(sample_ids[0]), sample_ids[0])

    def read(sample_id: int) -> Any:
        content = look(sample_id)
        if _kind(content, sample_id) != kind:
            raise InputError(
                expected=f"samples of one kind: sample {sample_ids[0]} is of the kind {kind}",
                found=f"sample {sample_id} of the kind {_kind(content, sample_id)}",
                todo="Export them apart.",
            )
        return _exported(content)

    return Contents(kind, read)


def plain(text: str) -> str:
    """A text that any database stores: without zero bytes and lone surrogates."""
    return storable(text).replace("\0", "\ufffd")


def _images(data: LabeledData) -> Contents:
    root = folder_of(data)
    look = content_reader(data)
    return Contents("image", lambda i: look(i).picture, root, {} if root is None else _files(data, root))


def _files(data: LabeledData, root: Path) -> dict[int, Path]:
    found = image_files(root)
    missing = [key for key in data.keys if key not in found]
    if missing:
        raise InputError(
            expected=f"the files of the run in {root}", found=f"no {missing[0]!r}", todo="Restore them, or audit again."
        )
    return {i: found[key] for i, key in enumerate(data.keys)}


def _kind(content: Content, sample_id: int) -> Kind:
    if content.picture is not None:
        return "image"
    if content.text is not None:
        return "text"
    if content.values is not None:
        return "table"
    raise InputError(
        expected="samples that are pictures, texts or rows of numbers",
        found=f"sample {sample_id}: {content.missing}",
        todo="Pass a data set whose items are (x, y) or dicts, with one of these; or export to csv or parquet.",
    )


def _exported(content: Content) -> "PIL.Image.Image | str | dict[str, str]":
    if content.picture is not None:
        return content.picture
    return plain(content.text) if content.text is not None else _row(content.values or {})


def _row(values: Mapping[str, Any]) -> dict[str, str]:
    texts = {plain(str(name)): "" if pd.isna(value) else plain(str(value)) for name, value in values.items()}
    more = len(texts) - COLUMNS
    return texts if more <= 0 else {**dict(list(texts.items())[:COLUMNS]), "…": f"{more} more columns"}
