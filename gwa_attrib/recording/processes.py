"""The processes that train together, and what they tell each other: when recording begins, and when an epoch ends.

Never in between. They use a process group of their own, over gloo, so that nothing mixes with the training's.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gwa_attrib.errors import InputError, RecordingError

Result = TypeVar("Result")
Told = TypeVar("Told")


class Processes:
    """All processes of the default group. Each of them calls the same methods in the same order."""

    def __init__(self) -> None:
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self.rank = dist.get_rank() if several else 0
        self.size = dist.get_world_size() if several else 1
        self._group = dist.new_group(backend="gloo") if several else None

    def each(self, work: Callable[[], Result], tell: Callable[[Result], Told]) -> tuple[Result, list[Told]]:
        """What `work` gives here; and of all processes, by rank, what `tell` makes of it.

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
        """What `work` gives in the process of rank 0, which alone does it.

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


def is_sharded(parameter: Tensor) -> bool:
    """Whether a process holds only a part of it."""
    if not (dist.is_available() and dist.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor  # takes most of a second

    return isinstance(parameter, DTensor)


def in_forward(module: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias as they are in a forward pass; copies where they may be sharded, and whole in the pass alone."""
    several = dist.is_available() and dist.is_initialized()
    weight, bias = (
        p if p is None else p.detach().clone() if several else p.detach() for p in (module.weight, module.bias)
    )
    return weight, bias


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, where it was wrapped to train on several processes.

    Raises:
        InputError: it was wrapped in a way in which its layers cannot be read.
    """
    if isinstance(model, DistributedDataParallel):
        return model.module  # type: ignore[no-any-return]
    unreadable: tuple[type, ...] = (nn.DataParallel,)
    if dist.is_available() and dist.is_initialized():
        from torch.distributed.fsdp import FullyShardedDataParallel  # takes most of a second

        unreadable += (FullyShardedDataParallel,)
    for module in model.modules():
        if isinstance(module, unreadable):
            raise InputError(
                expected="a model for DistributedDataParallel, or sharded by torch.distributed.fsdp.fully_shard",
                found=f"one wrapped in {type(module).__name__}",
                todo="Train with one of these.",
            )
    return model


def check_sharded(model: nn.Module, layers: str | Sequence[str], measures: Sequence[str]) -> None:
    """Raise InputError for what cannot be measured of sharded parameters."""
    if (layers != "head" or measures) and any(map(is_sharded, model.parameters())):
        raise InputError(
            expected="layers='head' and no measures, where fully_shard has sharded the parameters",
            found=f"measures {', '.join(measures)}" if measures else f"layers={layers!r}",
            todo="Leave them out, or train with DistributedDataParallel.",
        )


def _attempt(work: Callable[[], Any], nothing: Any) -> tuple[Any, Exception | None]:
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
