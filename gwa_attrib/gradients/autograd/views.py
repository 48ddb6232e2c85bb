"""Views in the autograd graph as gathers: which entries of a tensor a chain of views hands on, and in what shape."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:

    class Node(torch.autograd.graph.Node):
        """A node of the autograd graph: ``tensor.grad_fn`` and what its ``next_functions`` lead to.

        Its kind has attributes of its own, such as ``_saved_self``.
        """

        @property
        def next_functions(self) -> tuple[tuple["Node | None", int], ...]: ...

        def __getattr__(self, name: str) -> Any: ...
else:
    Node = torch.autograd.graph.Node


def signed(value: int) -> int:
    """Return the signed number behind an unsigned one: nodes store negative dimensions so."""
    return value - (1 << 64) if value >= 1 << 63 else value


def shape_of(node: Node, output: int = 0) -> torch.Size:
    """Return the shape of what the forward pass of the node put out."""
    return torch.Size(node._input_metadata[output].shape)


def _split(index: Tensor, node: Node, output: int) -> Tensor:
    sizes = getattr(node, "_saved_split_sizes", None) or node._saved_split_size
    sizes = list(sizes) if isinstance(sizes, tuple) else sizes
    return torch.split(index, sizes, dim=signed(node._saved_dim))[output]


def _slice(index: Tensor, node: Node, output: int) -> Tensor:
    dim = signed(node._saved_dim)
    start, end, step = (signed(v) for v in (node._saved_start, node._saved_end, node._saved_step))
    where = [slice(None)] * index.dim()
    where[dim] = slice(start, end, step)
    return index[tuple(where)]


def _same_order(index: Tensor, node: Node, output: int) -> Tensor:
    return index.reshape(shape_of(node, output))


VIEWS: dict[str, Callable[[Tensor, Node, int], Tensor]] = {
    "TBackward0": lambda index, node, output: index.t(),
    "TransposeBackward0": lambda index, node, output: index.transpose(
        signed(node._saved_dim0), signed(node._saved_dim1)
    ),
    "PermuteBackward0": lambda index, node, output: index.permute([signed(d) for d in node._saved_dims]),
    "SelectBackward0": lambda index, node, output: index.select(signed(node._saved_dim), signed(node._saved_index)),
    "UnbindBackward0": lambda index, node, output: index.unbind(signed(node._saved_dim))[output],
    "SplitBackward0": _split,
    "SplitWithSizesBackward0": _split,
    "SliceBackward0": _slice,
    **dict.fromkeys(
        (
            "ViewBackward0",
            "UnsafeViewBackward0",
            "ReshapeAliasBackward0",
            "UnsqueezeBackward0",
            "SqueezeBackward0",
            "SqueezeBackward1",
            "SqueezeBackward2",
            "AliasBackward0",
            "CloneBackward0",
            "ToCopyBackward0",
        ),
        _same_order,
    ),
    "RepeatBackward0": lambda index, node, output: index.repeat(tuple(node._saved_repeats)),
    "ExpandBackward0": lambda index, node, output: index.expand(shape_of(node, output)),
}
"""The forward pass of each view by the name of its node, to be applied to the numbers of the entries."""
