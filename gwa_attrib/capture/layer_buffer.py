"""Layer observations of the open epoch: packed on the device, brought over in one transfer, laid out as a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gwa_attrib.functional.layer_alignment import GroupGradient
from gwa_attrib.store.schema import LAYER_SCHEMA, LAYER_SIGNALS

FLUSH_EVERY = 1 << 22
"""Numbers that may wait on the device."""


class LayerBuffer:
    """Grows by one batch at a time; reading it changes nothing."""

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = tuple(groups)
        self._waiting: list[Tensor] = []
        self._values: list[np.ndarray[Any, np.dtype[Any]]] = []
        self._ids: list[Tensor] = []
        self._steps: list[int] = []
        self._on_device = 0

    def append(self, observed: GroupGradient, sample_ids: Tensor, step: int) -> None:
        packed = torch.stack([observed.alignment, observed.dot, observed.norm], dim=2).to(torch.float32)
        self._waiting.append(packed)
        self._ids.append(sample_ids)
        self._steps.append(step)
        self._on_device += packed.numel()
        if self._on_device >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Bring what waits on the device over, in one transfer."""
        if self._waiting:
            self._values.append(torch.cat(self._waiting).cpu().numpy())
        self._waiting, self._on_device = [], 0

    def table(self, epoch: int) -> pa.Table:
        """One row per observation and group, group after group, in each by sample."""
        self.flush()
        values = np.concatenate(self._values)  # [observation, group, signal]
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
