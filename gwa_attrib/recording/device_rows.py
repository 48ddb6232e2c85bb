"""Rows that are made on the device and brought over a few at a time, so that nothing waits for it at each step."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class DeviceRows:
    """Grows by some rows at a time; at most about `most` wait on the device. Reading it changes nothing."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[Tensor] = []
        self._here: list[np.ndarray[Any, np.dtype[Any]]] = []
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

    def array(self) -> np.ndarray[Any, np.dtype[Any]]:
        """All rows, in the order they were made."""
        self._flush()
        return np.concatenate(self._here)
