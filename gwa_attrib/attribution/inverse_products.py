"""Attributors of the form ``⟨g_i, (C + λ)⁻¹ g_q⟩``: gradients, and a curvature C to divide by."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from gwa_attrib.attribution.sample_gradients import CHUNK_BYTES
from gwa_attrib.attribution.task import Task

Inverse = Callable[[Tensor], Tensor]
"""Each row times the inverse of the damped curvature, ``[vector, size] -> [vector, size]``."""
Fit = Callable[[Task], Inverse]
DAMPING = 0.1
"""Of the mean diagonal of the curvature, unless the user says otherwise (Grosse et al. 2023, 2308.03296)."""


class InverseProducts:
    """Of influence functions (Koh, Liang 2017, 1703.04730), however the inverse is found.

    The values are those of a mean curvature: removing a sample from n changes the loss of the query by about the value
    divided by n. With several checkpoints it is the mean over them.
    """

    def __init__(self, task: Task, fit: Fit) -> None:
        self._task, self._fit = task, fit

    def pairs(self, query: Any) -> Tensor:
        task, samples = self._task, self._task.samples(query)
        result = torch.zeros(len(task.train), len(samples), dtype=torch.float64)
        for _ in task.checkpoints():
            inverse = self._fit(task)
            for columns, vectors in _flat(task, samples, "query gradients"):
                solved = inverse(vectors)
                for rows, gradients in _flat(task, task.train, "training gradients"):
                    result[rows, columns] += (gradients.to(solved.dtype) @ solved.T).double().cpu()
        return result / task.number_of_checkpoints

    def self_influence(self) -> Tensor:
        task = self._task
        result = torch.zeros(len(task.train), dtype=torch.float64)
        for _ in task.checkpoints():
            inverse = self._fit(task)
            for rows, gradients in _flat(task, task.train, "training gradients"):
                solved = inverse(gradients)
                result[rows] += (gradients.to(solved.dtype) * solved).sum(dim=1).double().cpu()
        return result / task.number_of_checkpoints


def _flat(task: Task, samples: Any, what: str) -> Iterator[tuple[slice, Tensor]]:
    """Gradients of consecutive samples, of several batches if they fit: an inverse may cost a pass over the data."""
    held: list[Tensor] = []
    start = 0
    for _, batch in task.passes(samples, what):
        for _, flat in task.per_sample.gradients(batch).flat_parts():
            if held and sum(map(_bytes, held)) + _bytes(flat) > CHUNK_BYTES:
                yield _rows(start, held)
                start, held = start + sum(map(len, held)), []
            held.append(flat)
    if held:
        yield _rows(start, held)


def _rows(start: int, held: list[Tensor]) -> tuple[slice, Tensor]:
    together = torch.cat(held)
    return slice(start, start + len(together)), together


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def mean_squared_gradient(task: Task) -> float:
    """Of an entry of the gradients of the training samples: the mean diagonal of the empirical Fisher matrix."""
    total = sum(float(task.per_sample.squared_norms(batch).sum()) for _, batch in task.passes(task.train, "damping"))
    return total / len(task.train) / task.per_sample.size


def default_damping(task: Task, damping: float | None) -> float:
    """The user's, or a tenth of `mean_squared_gradient`."""
    return DAMPING * mean_squared_gradient(task) if damping is None else damping
