"""Observations of the open epoch: packed on the device, brought over in one transfer, laid out as a table."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gwa_attrib.errors import StepOrderError
from gwa_attrib.functional.observation import Observation
from gwa_attrib.recording.device_rows import DeviceRows
from gwa_attrib.store.schema import FLOAT_SIGNALS, observation_schema

FLUSH_EVERY = 1 << 18
"""Observations that may wait on the device."""
COLUMNS = ("label", "pred", *FLOAT_SIGNALS)


def pack(observation: Observation) -> Tensor:
    """One float32 matrix ``[sample, column]``: one transfer. Class indices are exact in float32 below 2²⁴."""
    columns = [getattr(observation, name).unsqueeze(1) for name in COLUMNS]
    wide = [*columns, observation.top_class, observation.top_prob]
    return torch.cat([part.to(torch.float32) for part in wide], dim=1)


class EpochBuffer:
    """Grows by one batch at a time. Reading it changes nothing, so that a failed write can be repeated."""

    def __init__(self) -> None:
        self._rows = DeviceRows(FLUSH_EVERY)
        self._ids: list[Tensor] = []
        self._steps: list[tuple[int, float]] = []

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._ids)

    def append(self, observation: Observation, sample_ids: Tensor, step: int, learning_rate: float) -> None:
        self._rows.append(pack(observation))
        self._ids.append(sample_ids)
        self._steps.append((step, learning_rate))

    def table(self, epoch: int, signals: tuple[str, ...]) -> pa.Table:
        """The buffered observations in the order they were made, with the columns of the run.

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
        data: dict[str, Any] = {
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


def _column(field: pa.Field, values: np.ndarray[Any, np.dtype[Any]]) -> pa.Array:
    if not pa.types.is_fixed_size_list(field.type):
        return pa.array(values.astype(field.type.to_pandas_dtype()))
    flat = np.ascontiguousarray(values).reshape(-1).astype(field.type.value_type.to_pandas_dtype())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), field.type.list_size)
