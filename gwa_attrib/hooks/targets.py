"""The targets of a batch, in the forms that batches usually have."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from gwa_attrib.errors import InputError

Targets = Callable[[Any], Tensor]
"""Gives the targets of a batch: class indices ``[sample]`` or distributions ``[sample, class]``."""


def targets_of(batch: Any) -> Tensor:
    """Of ``(inputs, targets)``, and of dicts with "labels".

    Raises:
        InputError: another kind of batch.
    """
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if isinstance(labels, Tensor):
        return labels
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[1]
    found = f"a dict with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else type(batch).__name__
    raise InputError(
        expected="batches (inputs, targets), or dicts with 'labels'",
        found=found,
        todo="Pass targets=, a function that gives the targets of a batch.",
    )
