"""The processes that train together, and what they tell each other: when recording begins, and when an epoch ends.

Never in between. They use a process group of their own, over gloo, so that nothing mixes with the training's.

Of the observations of an epoch each tells the others what has to be known of all; a sample that several have seen is
counted by the one of lowest rank.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch.distributed as dist
from jaxtyping import Bool

from gwa_attrib.errors import RecordingError
from gwa_attrib.store.run_files import joined

Result = TypeVar("Result")
Told = TypeVar("Told")
OBSERVED = ("sample_id", "step", "label", "pred", "p_label")
"""The columns of the others' observations that every process knows."""
LOOKED_AT = ("sample_id", "step", "label", "pred")
"""The columns of the others' probes that every process knows."""


class Processes:
    """All processes of the default group. Each of them calls the same methods in the same order."""

    def __init__(self) -> None:
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self.rank = dist.get_rank() if several else 0
        self.size = dist.get_world_size() if several else 1
        self._group = dist.new_group(backend="gloo") if several else None

    def each(self, work: Callable[[], Result], tell: Callable[[Result], Told]) -> tuple[Result, list[Told]]:
        """Return what `work` gives here, and, of all processes by rank, what `tell` makes of it.

        Raises:
            RecordingError: it failed in another process; where it failed here, its own error.
        """
        if self._group is None:
            result = work()
            return result, [tell(result)]
        (result, mine), failure = _attempt(lambda: (made := work(), tell(made)), (None, None))
        told: list[Any] = [None] * self.size
        dist.all_gather_object(told, (mine, failure and _text(failure)), group=self._group)
        if failure is not None:
            raise failure
        for rank, (_, text) in enumerate(told):
            _raise_if(rank, text)
        return result, [theirs for theirs, _ in told]

    def first(self, work: Callable[[], Result]) -> Result:
        """Return what `work` gives in the process of rank 0, which alone does it.

        Raises:
            RecordingError: it failed there; in that process its own error.
        """
        if self._group is None:
            return work()
        result, failure = _attempt(work, None) if self.rank == 0 else (None, None)
        told: list[Any] = [(result, failure and _text(failure))]
        dist.broadcast_object_list(told, src=0, group=self._group)
        if failure is not None:
            raise failure
        _raise_if(0, told[0][1])
        return told[0][0]  # type: ignore[no-any-return]


def _attempt(work: Callable[[], Any], nothing: object) -> tuple[Any, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # the other processes are waiting to hear of it
        return nothing, error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _raise_if(rank: int, text: str | None) -> None:
    if text is not None:
        raise RecordingError(
            expected="all processes that train together to record",
            found=f"an error in the process of rank {rank}: {text.rstrip('.')}",
            todo="What holds for that process holds for all; what was recorded before is whole.",
        )


def told(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return the columns of a table that a process tells the others."""
    return table.select(list(columns))


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """Join the rows of all processes in the order in which they were made; those of one step by rank."""
    rows = joined(tables)
    return rows if len(tables) == 1 else rows.take(np.argsort(rows["step"].to_numpy(), kind="stable"))


def own_rows(tables: Sequence[pa.Table], rank: int) -> Bool[np.ndarray, " row"]:
    """Mark the rows of the table of `rank` whose sample no process of lower rank has."""
    lower = [table["sample_id"].to_numpy() for table in tables[:rank]]
    known = np.concatenate([np.empty(0, dtype=np.int64), *lower])
    return ~np.isin(tables[rank]["sample_id"].to_numpy(), known)


def own_samples(tables: Sequence[pa.Table], rank: int) -> int:
    """Count the samples of the process of `rank` that none of lower rank has."""
    return len(np.unique(tables[rank]["sample_id"].to_numpy()[own_rows(tables, rank)]))
