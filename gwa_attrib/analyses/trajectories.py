"""What a training said of its samples, kept in memory instead of on disk: the part of a run that finds wrong labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from gwa_attrib.store.run import Run

Columns = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Columns of every epoch, as `Run.by_epoch` gives them."""

    labels: Int[np.ndarray, " sample"]
    """Given labels, numbers of classes."""
    class_names: Sequence[Any]
    epochs: Sequence[Columns]
    """`p_label`, `alignment` ``[sample]``; `top_class`, `top_prob` ``[sample, top]``."""

    @property
    def epoch_numbers(self) -> tuple[int, ...]:
        """Numbers of the epochs, ascending."""
        return tuple(range(len(self.epochs)))

    def by_epoch(self, *names: str, rows: slice = slice(None)) -> Iterator[tuple[int, Columns]]:
        """Epoch after epoch, those columns of those samples; nothing is copied."""
        for number, columns in enumerate(self.epochs):
            yield number, {name: columns[name][rows] for name in names}


Recorded = Run | Trajectories
"""Either: what finds wrong labels reads both alike."""
