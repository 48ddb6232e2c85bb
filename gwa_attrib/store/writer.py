"""Writing a run: one file per epoch, process and attempt, each of which appears whole or not at all."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from gwa_attrib.errors import InputError
from gwa_attrib.files.frames import columns_with_bounds
from gwa_attrib.files.places import Place, place
from gwa_attrib.files.whole import whole_file, write_text
from gwa_attrib.store.checked import marked
from gwa_attrib.store.claim import make_room
from gwa_attrib.store.resumed import check_same
from gwa_attrib.store.run_json import RunInfo, processes_of, read_info
from gwa_attrib.store.schema import (
    EPOCH_SCHEMA,
    EPOCHS,
    LAYERS,
    OBSERVATIONS,
    PROBE,
    RUN_FILE,
    SAMPLES_FILE,
    PartName,
)

ROW_GROUP = 1 << 16


class RunWriter:
    """A run that is being recorded. Not thread-safe.

    Each process writes only its own files; what stands once for all, run.json and samples.parquet, that of rank 0.
    """

    def __init__(self, path: Place, info: RunInfo, rank: int = 0) -> None:
        self.path = path
        self.info: RunInfo = {**info}
        self.rank = rank

    @classmethod
    def create(cls, path: str | Place, info: RunInfo, *, overwrite: bool = False) -> "RunWriter":
        """Start a new run in an empty or new folder.

        Raises:
            RunExistsError: the folder holds something. `overwrite` replaces a run, and never anything else.
        """
        root = place(path)
        # Before an earlier run is deleted: what is no JSON would be noticed only when it has gone.
        as_json(info)
        make_room(root, overwrite=overwrite)
        writer = cls(root, info)
        writer.update_info({})
        return writer

    @classmethod
    def go_on(cls, path: str | Place, info: RunInfo) -> "RunWriter":
        """Write on to the run that is in the folder, whose run.json changes with the next update; a new one where there
        is none.

        Raises:
            InputError: the run was begun with other settings than `info` says.
            RunExistsError: the folder holds something else.
        """
        root = place(path)
        if not (root / RUN_FILE).is_file():
            return cls.create(root, info)
        found = read_info(root)
        check_same(found, info)
        attempts = found.get("attempts", 1)
        # A new attempt has new file names: nothing that is there is touched, and of an epoch the highest attempt
        # counts.
        again: RunInfo = {
            "status": "recording",
            "attempts": attempts + 1,
            "world_size": info["world_size"],
            "earlier_world_sizes": [processes_of(found, attempt) for attempt in range(attempts)],
        }
        return cls(root, {**found, **again, "config": info["config"] or found["config"]})

    @property
    def attempt(self) -> int:
        """Number of earlier beginnings of the recording: in the names of the files that are written."""
        return int(self.info.get("attempts", 1)) - 1

    def part(self, epoch: int) -> PartName:
        """Name this process' files of an epoch."""
        return PartName(epoch, self.rank, self.attempt)

    def update_info(self, changes: RunInfo) -> None:
        """Change facts in run.json."""
        self.info.update(changes)
        # One run.json stands for all processes; of two writers the last would win.
        if self.rank:
            return
        text = as_json(self.info)
        write_text(self.path / RUN_FILE, text, within=self.path)

    def write_samples(self, frame: pd.DataFrame) -> None:
        """Write one row per sample: sample_id, key, label and further columns. Comes before the observations."""
        self._write(SAMPLES_FILE, pa.Table.from_pandas(frame, preserve_index=False))

    def write_observations(self, part: PartName, table: pa.Table) -> None:
        """Write all observations of one epoch."""
        self._write_by_sample(OBSERVATIONS, part, table)

    def write_probe(self, part: PartName, table: pa.Table) -> None:
        """Write the measures in evaluation mode after one epoch. Comes before the observations."""
        self._write_by_sample(PROBE, part, table)

    def _write_by_sample(self, folder: str, part: PartName, table: pa.Table) -> None:
        rows = by_sample(table["sample_id"].to_numpy(), table["step"].to_numpy())
        self._write(f"{folder}/{part}", table.take(rows))

    def write_layers(self, part: PartName, table: pa.Table) -> None:
        """Write the observations of the layers in one epoch. Comes before those of the head."""
        self._write(f"{LAYERS}/{part}", table)

    def write_epoch(self, part: PartName, row: Mapping[str, object]) -> None:
        """Write the summary of one epoch."""
        self._write(f"{EPOCHS}/{part}", pa.Table.from_pylist([dict(row)], schema=EPOCH_SCHEMA))

    def _write(self, name: str, table: pa.Table) -> None:
        # The note goes in before the file appears, so that a file in the wrong place is refused when it is read.
        noted = marked(table, self.info["run_id"], name)
        with whole_file(self.path / name, within=self.path) as half:
            pq.write_table(noted, half, row_group_size=ROW_GROUP, **encoding(noted.schema))


def by_sample(ids: Int[np.ndarray, " row"], steps: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
    """Order rows by sample, then by step; equals stay as they are.

    Rows that are in the order of their steps, with ids below 2³¹, are the usual case: id and row number fit in one
    integer, and these sort twenty times as fast.
    """
    small = len(ids) < 1 << 31 and ids.min(initial=0) >= 0 and ids.max(initial=0) < 1 << 31
    if not small or (np.diff(steps) < 0).any():
        return np.lexsort((steps, ids))
    keys = ids << 32 | np.arange(len(ids))
    keys.sort()
    return np.asarray(keys & 0xFFFFFFFF)


def as_json(info: RunInfo) -> str:
    """Write the text of run.json.

    Raises:
        InputError: something in it is no JSON.
    """
    try:
        return json.dumps(info, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            expected="class names and config made of text, finite numbers, lists and dicts",
            found=str(error),
            todo="Leave out what JSON cannot hold, or turn it into text.",
        ) from error


def encoding(schema: pa.Schema) -> dict[str, str | bool | list[str] | dict[str, str]]:
    """Choose how columns are packed: zstd; float32 byte-stream-split; integers by a dictionary, ids as differences.

    float16 stays plain: DuckDB cannot read it byte-stream-split.
    """
    dictionary: list[str] = []
    split: dict[str, str] = {}
    for field in schema:
        value = field.type.value_type if pa.types.is_fixed_size_list(field.type) else field.type
        leaf = f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
        if pa.types.is_float32(value):
            split[leaf] = "BYTE_STREAM_SPLIT"
        elif field.name == "sample_id":
            split[leaf] = "DELTA_BINARY_PACKED"
        elif not pa.types.is_floating(value):
            dictionary.append(leaf)
    return {
        "compression": "zstd",
        "use_dictionary": dictionary,
        "column_encoding": split,
        "write_statistics": columns_with_bounds(schema),
        # With checksums a flipped bit is an error when it is read, and not another number.
        "write_page_checksum": True,
    }
