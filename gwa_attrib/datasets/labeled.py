"""LabeledData: what every reader of data sets gives, what it left out, and all that `audit` needs to know about one."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from gwa_attrib.value_types import Array

NAMED = 20
"""Damaged files that are named one by one."""


class Skipped(NamedTuple):
    """A file or folder that was left out; as text "path: reason"."""

    path: str
    """Within the data set, printable."""
    reason: str
    damaged: bool
    """True if it was to be a sample and could not be read; False for what is no sample at all, or lies elsewhere."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def ordered(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    """The damaged first, each kind in its order."""
    return tuple(sorted(skipped, key=lambda one: not one.damaged))


def sentences(damaged: Sequence[str], others: Sequence[str], whole_list: str) -> list[str]:
    """Name each damaged file with its reason, up to `NAMED` of them; count the others that were passed over.

    Args:
        damaged: "path: reason" each.
        others: Likewise, of what is no sample.
        whole_list: Where all of it can be read.
    """
    said = [f"Could not be read and was left out: {one}." for one in damaged[:NAMED]]
    if len(damaged) > NAMED:
        said.append(
            f"{len(damaged) - NAMED} more could not be read and were left out; the whole list is in {whole_list}."
        )
    if others:
        reasons = Counter(one.rpartition(": ")[2] for one in others)
        counts = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(5))
        what = (
            "1 other entry is no sample and was"
            if len(others) == 1
            else f"{len(others)} other entries are no samples and were"
        )
        said.append(f"{what} passed over: {counts}.")
    return said


@dataclass(frozen=True, eq=False)
class LabeledData:
    """Samples with given labels, in the order of their ids: sample i is row i everywhere."""

    name: str
    """For people: "digits", "photos/"."""
    source: str
    """The argument of `load` that reads it again."""
    kind: Literal["image", "table", "text"]
    inputs: Array | pd.DataFrame
    """image: uint8 or float32 ``[sample, height, width, channel]``, 1 or 3 channels. table: a frame of numeric and
    categorical columns. text: an object array of str ``[sample]``."""
    labels: Array
    """int64 ``[sample]``, contiguous: positions in `class_names`."""
    class_names: tuple[str, ...]
    """Names as they were in the source: "3", "cat", "1.5"; numbers in numeric order, else alphabetically."""
    keys: tuple[str, ...]
    """A name for each sample that its owner recognises: relative path, or row number."""
    columns: Mapping[str, Array] = field(default_factory=dict)
    """Further facts per sample. Never an input of the model, never part of the ranking."""
    skipped: tuple[Skipped, ...] = ()
    """Files that were left out: first what could not be read, then what is no sample."""
    roles: tuple[str, ...] = ()
    """The role that each column of a table was taken for, a sentence each; a person has to be able to object."""

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """Short hash of the inputs, keys and class names, but not of the labels: they are what gets corrected."""
        digest = hashlib.sha256(repr((self.kind, self.keys, self.class_names)).encode())
        if isinstance(self.inputs, pd.DataFrame):
            digest.update(pd.util.hash_pandas_object(self.inputs, index=False).to_numpy().tobytes())
        elif self.kind == "text":
            digest.update("\0".join(self.inputs).encode("utf-8", "surrogatepass"))
        else:
            digest.update(np.ascontiguousarray(self.inputs).tobytes())
        return digest.hexdigest()[:16]
