"""Observations of the open epoch, of the head and of layers: packed on the device, brought over in one transfer, laid
out as tables."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gwa_attrib.errors import StepOrderError
from gwa_attrib.functional.layer_alignment import GroupGradient
from gwa_attrib.functional.observation import Observation
from gwa_attrib.store.schema import FLOAT_SIGNALS, LAYER_SCHEMA, LAYER_SIGNALS, observation_schema
from gwa_attrib.value_types import Array

OBSERVATIONS = 1 << 18
"""Observations that may wait on the device."""
COLUMNS = ("label", "pred", *FLOAT_SIGNALS)
NUMBERS = 1 << 22
"""Numbers of layers that may wait on the device."""


class DeviceRows:
    """Rows that are made on the device and brought over a few at a time, so that nothing waits for it at each step.

    At most about `most` wait on the device. Reading it changes nothing.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[Tensor] = []
        self._here: list[Array] = []
        self._on_device = 0

    def append(self, rows: Tensor) -> None:
        self._waiting.append(rows)
        self._on_device += len(rows)
        if self._on_device >= self._most:
            self._flush()

    def _flush(self) -> None:
        """Bring what waits on the device over, in one transfer."""
        if self._waiting:
            self._here.append(torch.cat(self._waiting).cpu().numpy())
        self._waiting, self._on_device = [], 0

    def array(self) -> Array:
        """Return all rows, in the order they were made."""
        self._flush()
        return np.concatenate(self._here)


def pack(observation: Observation) -> Tensor:
    """Pack an observation as one float32 matrix ``[sample, column]``, so that it is one transfer."""
    # Class indices are exact in float32 below 2²⁴; sample ids may be larger, and are kept apart.
    columns = [getattr(observation, name).unsqueeze(1) for name in COLUMNS]
    wide = [*columns, observation.top_class, observation.top_prob]
    return torch.cat([part.to(torch.float32) for part in wide], dim=1)


class EpochBuffer:
    """The head's observations of an epoch. Reading changes nothing, so that a failed write can be repeated."""

    def __init__(self) -> None:
        self._rows = DeviceRows(OBSERVATIONS)
        self._ids: list[Tensor] = []
        self._steps: list[tuple[int, float]] = []

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._ids)

    def append(self, observation: Observation, sample_ids: Tensor, step: int, learning_rate: float) -> None:
        self._rows.append(pack(observation))
        self._ids.append(sample_ids)
        self._steps.append((step, learning_rate))

    def table(self, epoch: int, signals: tuple[str, ...]) -> pa.Table:
        """Return the buffered observations in the order they were made, with the columns of the run.

        Raises:
            StepOrderError: there are none.
        """
        if not len(self):
            raise StepOrderError(
                expected="at least one recorder.step() in the epoch",
                found="none",
                todo="Call recorder.step(targets) after each loss.backward().",
            )
        values = self._rows.array()
        lengths = [len(ids) for ids in self._ids]
        top = (values.shape[1] - len(COLUMNS)) // 2
        data: dict[str, Array] = {
            "sample_id": torch.cat(self._ids).cpu().numpy(),
            "epoch": np.full(len(values), epoch, dtype=np.int32),
            "step": np.repeat([step for step, _ in self._steps], lengths),
            "learning_rate": np.repeat(np.array([lr for _, lr in self._steps], dtype=np.float32), lengths),
        }
        for i, name in enumerate(COLUMNS):
            data[name] = values[:, i]
        tops = {"top_class": values[:, len(COLUMNS) :][:, :top], "top_prob": values[:, len(COLUMNS) + top :]}
        schema = observation_schema(signals, top)
        columns = [_column(field, {**data, **tops}[field.name]) for field in schema]
        return pa.table(columns, schema=schema)


def _column(field: pa.Field, values: Array) -> pa.Array:
    if not pa.types.is_fixed_size_list(field.type):
        return pa.array(values.astype(field.type.to_pandas_dtype()))
    flat = np.ascontiguousarray(values).reshape(-1).astype(field.type.value_type.to_pandas_dtype())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), field.type.list_size)


class LayerBuffer:
    """The observations of layers of an epoch, batch after batch; reading changes nothing."""

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = tuple(groups)
        self._rows = DeviceRows(max(1, NUMBERS // (len(self._groups) * len(LAYER_SIGNALS))))
        self._ids: list[Tensor] = []
        self._steps: list[int] = []

    def append(self, observed: GroupGradient, sample_ids: Tensor, step: int) -> None:
        packed = torch.stack([observed.alignment, observed.dot, observed.norm], dim=2).to(torch.float32)
        self._rows.append(packed)
        self._ids.append(sample_ids)
        self._steps.append(step)

    def table(self, epoch: int) -> pa.Table:
        """Return one row per observation and group, group after group, in each by sample."""
        values = self._rows.array()  # [observation, group, signal]
        ids = torch.cat(self._ids).cpu().numpy()
        steps = np.repeat(np.array(self._steps, dtype=np.int64), [len(part) for part in self._ids])
        order = np.lexsort((steps, ids))
        groups, n = len(self._groups), len(ids)
        numbers = np.repeat(np.arange(groups, dtype=np.int32), n)
        columns: dict[str, Array | pa.Array] = {
            "sample_id": np.tile(ids[order], groups),
            "epoch": np.full(groups * n, epoch, dtype=np.int32),
            "step": np.tile(steps[order], groups),
            "layer": pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(self._groups, pa.string())),
        }
        for i, name in enumerate(LAYER_SIGNALS):
            columns[name] = values[order, :, i].T.reshape(-1)
        return pa.table([pa.array(columns[field.name], field.type) for field in LAYER_SCHEMA], schema=LAYER_SCHEMA)
