"""Tensors kept from the forward to the backward pass the way autograd keeps its own.

So they take part in what a user does with saved tensors: under activation checkpointing they are thrown away and
computed again, under `save_on_cpu` they move, and one that was overwritten in place is noticed.
"""

from typing import Any

import torch
from torch import Tensor


class _Keeper(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return anchor.new_empty(())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError("kept tensors are no part of the loss")


def packs() -> bool:
    """Whether hooks on saved tensors (checkpointing, `save_on_cpu`) are in force."""
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(False) is not None


class Kept:
    """Some tensors, detached; `read` gives them back once, or None if one was overwritten meanwhile.

    A node of autograd's keeps them only where hooks on saved tensors are in force: it costs more than the reference.
    """

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = tuple(tensor.detach() for tensor in tensors)
        self._node: Any = None
        if packs():
            with torch.enable_grad():
                anchor = torch.empty((), requires_grad=True)
                self._node = _Keeper.apply(anchor, *self._tensors).grad_fn  # type: ignore[no-untyped-call]
            self._tensors = ()
        self._versions = [tensor._version for tensor in self._tensors]

    def read(self) -> tuple[Tensor, ...] | None:
        if self._node is None:
            return self._tensors if [tensor._version for tensor in self._tensors] == self._versions else None
        try:
            return tuple(self._node.saved_tensors)
        except RuntimeError as error:
            if "inplace" in str(error) or "in-place" in str(error):
                return None
            raise
