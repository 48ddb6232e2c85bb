"""A model that trains on several processes: parameters of which each process holds a part, and wrappers around it."""

from collections.abc import Sequence

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gwa_attrib.errors import InputError


def is_sharded(parameter: Tensor) -> bool:
    """Tell whether a process holds only a part of a parameter."""
    if not (dist.is_available() and dist.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor  # takes most of a second

    return isinstance(parameter, DTensor)


def in_forward(module: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of a layer as they are in its forward pass.

    Copies where they may be sharded: such parameters are whole in the pass alone.
    """
    several = dist.is_available() and dist.is_initialized()
    weight, bias = (
        p if p is None else p.detach().clone() if several else p.detach() for p in (module.weight, module.bias)
    )
    return weight, bias


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model itself, where it was wrapped to train on several processes.

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
