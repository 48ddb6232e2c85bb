"""Layer observations of the open epoch: packed on the device, brought over in one transfer, laid out as a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gwa_attrib.functional.layer_alignment import GroupGradient
from gwa_attrib.recording.device_rows import DeviceRows
from gwa_attrib.store.schema import LAYER_SCHEMA, LAYER_SIGNALS

FLUSH_EVERY = 1 << 22
"""Numbers that may wait on the device."""


class LayerBuffer:
    """Grows by one batch at a time; reading it changes nothing."""

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = tuple(groups)
        self._rows = DeviceRows(max(1, FLUSH_EVERY // (len(self._groups) * len(LAYER_SIGNALS))))
        self._ids: list[Tensor] = []
        self._steps: list[int] = []

    def append(self, observed: GroupGradient, sample_ids: Tensor, step: int) -> None:
        packed = torch.stack([observed.alignment, observed.dot, observed.norm], dim=2).to(torch.float32)
        self._rows.append(packed)
        self._ids.append(sample_ids)
        self._steps.append(step)

    def table(self, epoch: int) -> pa.Table:
        """One row per observation and group, group after group, in each by sample."""
        values = self._rows.array()  # [observation, group, signal]
        ids = torch.cat(self._ids).cpu().numpy()
        steps = np.repeat(np.array(self._steps, dtype=np.int64), [len(part) for part in self._ids])
        order = np.lexsort((steps, ids))
        groups, n = len(self._groups), len(ids)
        numbers = np.repeat(np.arange(groups, dtype=np.int32), n)
        columns: dict[str, Any] = {
            "sample_id": np.tile(ids[order], groups),
            "epoch": np.full(groups * n, epoch, dtype=np.int32),
            "step": np.tile(steps[order], groups),
            "layer": pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(self._groups, pa.string())),
        }
        for i, name in enumerate(LAYER_SIGNALS):
            columns[name] = values[order, :, i].T.reshape(-1)
        return pa.table([pa.array(columns[field.name], field.type) for field in LAYER_SCHEMA], schema=LAYER_SCHEMA)
