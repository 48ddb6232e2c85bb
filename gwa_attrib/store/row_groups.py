"""Which parts of a file hold some of the samples: rows are stored by sample, so that most of it need not be read."""

from collections.abc import Sequence

import pyarrow.parquet as pq

from gwa_attrib.files.places import Place

Between = tuple[int, int]
"""Lowest and highest sample id."""


class IdRanges:
    """The lowest and highest id of each row group of the files that were asked for, read once.

    From the column itself: what a damaged file says of it in its statistics ends the process in pyarrow.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Between] = {}

    def overlapping(self, path: Place, file: pq.ParquetFile, groups: Sequence[int], between: Between) -> list[int]:
        """Those of the groups with an id in the range, bounds included."""
        lowest, highest = between
        found = []
        for group in groups:
            low, high = self._range(path, file, group)
            if low <= highest and high >= lowest:
                found.append(group)
        return found

    def _range(self, path: Place, file: pq.ParquetFile, group: int) -> Between:
        key = str(path), group
        if key not in self._known:
            ids = file.read_row_group(group, columns=["sample_id"])["sample_id"].to_numpy()
            self._known[key] = (int(ids.min()), int(ids.max())) if len(ids) else (0, -1)
        return self._known[key]
