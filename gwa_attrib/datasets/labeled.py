"""LabeledData: what every reader of data sets gives, and all that `audit` needs to know about one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from gwa_attrib.datasets.skipped import Skipped

Column = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class LabeledData:
    """Samples with given labels, in the order of their ids: sample i is row i everywhere."""

    name: str
    """For people: "digits", "photos/"."""
    source: str
    """The argument of `load` that reads it again."""
    kind: Literal["image", "table", "text"]
    inputs: Column | pd.DataFrame
    """image: uint8 or float32 ``[sample, height, width, channel]``, 1 or 3 channels. table: a frame of numeric and
    categorical columns. text: an object array of str ``[sample]``."""
    labels: Column
    """int64 ``[sample]``, contiguous: positions in `class_names`."""
    class_names: tuple[str, ...]
    """Names as they were in the source: "3", "cat", "1.5"; numbers in numeric order, else alphabetically."""
    keys: tuple[str, ...]
    """A name for each sample that its owner recognises: relative path, or row number."""
    columns: Mapping[str, Column] = field(default_factory=dict)
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
