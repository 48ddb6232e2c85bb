"""Writers of cleaned copies: a registered function for each kind of source, named as its reader is.

So a new file format needs a second function beside its reader::

    @copies.register("tsv", source="IANA text/tab-separated-values")
    def copy_tsv(source: Source, target: Path) -> Copied: ...
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped

from gwa_attrib._registry import Registry
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.errors import DataError

copies = Registry("cleaned copy")


class Copied(NamedTuple):
    """The size of a cleaned copy."""

    written: int
    """Files of an image folder, rows of anything else."""
    damaged: int = 0
    """Files that could not be read, and were not copied."""


@dataclass(frozen=True, eq=False)
class Source:
    """The audited source and what becomes of it. Row i is sample i; what lies beyond the samples stays as it is."""

    data: LabeledData
    """The data as they were read, with the labels of the source."""
    location: Path
    label_column: str | None
    left: Bool[np.ndarray, " sample"]
    """Which samples are left."""
    labels: Int[np.ndarray, " sample"]
    """int64, the class of each sample from now on."""

    def rows_left(self, total: int) -> Int[np.ndarray, " row"]:
        """Choose the rows that the copy has, of a source of `total` rows, of which the first are the samples."""
        return np.flatnonzero(np.concatenate([self.left, np.ones(total - len(self.left), dtype=bool)]))

    def rewritten(self, column: Shaped[np.ndarray, " row"]) -> Shaped[np.ndarray, " row"]:
        """A label column of the source, with the new class in the rows that change, written as the source writes it.

        Raises:
            DataError: the column does not say what was audited.
        """
        given, count = self.data.labels, len(self.data)
        written: dict[int, object] = {}
        for label, value in zip(given.tolist(), column[:count].tolist(), strict=True):
            if written.setdefault(label, value) != value and not _same_number(written[label], value):
                raise self.changed(
                    f"class {self.data.class_names[label]!r} written as {written[label]!r} and {value!r}"
                )
        new = column.copy()
        for row in np.flatnonzero(self.labels != given):
            new[row] = written[int(self.labels[row])]
        return new

    def changed(self, found: str) -> DataError:
        """The error of a source that is not what was audited any more."""
        return DataError(
            expected=f"{self.location} as it was audited",
            found=found,
            todo="Restore the file, or audit it again.",
        )


def _same_number(one: Any, other: Any) -> bool:
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return False
