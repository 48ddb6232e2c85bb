"""The first epochs of a run once more, for a recorder that goes on after them."""

from collections.abc import Iterator

import pyarrow as pa

from gwa_attrib.files.places import Place
from gwa_attrib.recording.shared_rows import in_order
from gwa_attrib.store.run import Run
from gwa_attrib.store.run_files import parts, read_table
from gwa_attrib.store.schema import EPOCH_SCHEMA, EPOCHS, OBSERVATION_SCHEMA, OBSERVATIONS, PROBE
from gwa_attrib.store.summaries import Row


class Replay:
    """The tables of the epochs before `end`, one epoch in memory at a time; may be gone through again."""

    def __init__(self, run: Run, end: int) -> None:
        self._run_id = run.run_id
        self._files = {
            folder: {epoch: paths for epoch, paths in parts(run.path / folder).items() if epoch < end}
            for folder in (OBSERVATIONS, PROBE, EPOCHS)
        }

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Of each epoch what was observed, and what was looked at in evaluation mode, if anything was."""
        for epoch, paths in self._files[OBSERVATIONS].items():
            looked = self._files[PROBE].get(epoch)
            yield self._joined(paths, epoch), None if looked is None else self._joined(looked, epoch)

    def rows(self) -> dict[int, list[Row]]:
        """The summaries of the epochs, by their number."""
        files = self._files[EPOCHS]
        return {
            epoch: [
                row for path in paths for row in read_table(path, self._run_id, EPOCH_SCHEMA, epoch=epoch).to_pylist()
            ]
            for epoch, paths in files.items()
        }

    def steps(self) -> int:
        """How many steps the epochs took."""
        files = self._files[OBSERVATIONS]
        if not files:
            return 0
        last = self._joined(files[max(files)], max(files), ["step"])
        return 1 + int(last["step"].to_numpy().max())

    def _joined(self, paths: list[Place], epoch: int, columns: list[str] | None = None) -> pa.Table:
        read = [read_table(path, self._run_id, OBSERVATION_SCHEMA, columns=columns, epoch=epoch) for path in paths]
        return in_order(read)
