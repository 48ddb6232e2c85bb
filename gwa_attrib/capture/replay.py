"""The first epochs of a run once more, for a recorder that goes on after them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from gwa_attrib.store.files import parts, read_table
from gwa_attrib.store.run import Run
from gwa_attrib.store.schema import EPOCHS, OBSERVATIONS, PROBE
from gwa_attrib.store.summaries import Row


class Replay:
    """The tables of the epochs before `end`, one epoch in memory at a time; may be gone through again."""

    def __init__(self, run: Run, end: int) -> None:
        self._files = {
            folder: {epoch: paths for epoch, paths in parts(run.path / folder).items() if epoch < end}
            for folder in (OBSERVATIONS, PROBE, EPOCHS)
        }

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Of each epoch what was observed, and what was looked at in evaluation mode, if anything was."""
        for epoch, paths in self._files[OBSERVATIONS].items():
            looked = self._files[PROBE].get(epoch)
            yield _joined(paths), None if looked is None else _joined(looked)

    def rows(self) -> dict[int, list[Row]]:
        """The summaries of the epochs, by their number."""
        files = self._files[EPOCHS]
        return {epoch: [read_table(path).to_pylist()[0] for path in paths] for epoch, paths in files.items()}

    def steps(self) -> int:
        """How many steps the epochs took."""
        files = self._files[OBSERVATIONS]
        if not files:
            return 0
        last = pa.concat_tables([read_table(path, ["step"]) for path in files[max(files)]])
        return 1 + int(last["step"].to_numpy().max())


def _joined(paths: list[Path]) -> pa.Table:
    return pa.concat_tables([read_table(path) for path in paths])
