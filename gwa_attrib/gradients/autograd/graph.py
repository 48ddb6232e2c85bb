"""The places where a tensor that is the same for every sample meets the samples, found in the autograd graph.

A class token, position embeddings, a layer scale, the projections inside `nn.MultiheadAttention`: their gradient
arrives summed over the batch. One node earlier it is still apart. This module finds that node for each parameter (or
other tensor) by following its views upwards in the graph, and listens to the gradient there.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor

from gwa_attrib.gradients.autograd.views import VIEWS, Node, shape_of

Parents = dict[Node, list[tuple[Node, int, int]]]


class Meeting(NamedTuple):
    """One use of the tensor: the operation where it meets the samples."""

    node: Node
    slot: int
    """The number of the operand that it is."""
    entries: Tensor
    """Entries of the tensor that arrive there, in the shape of the operand."""


def parents_of(roots: Iterable[torch.autograd.graph.Node | None]) -> Parents:
    """Map each node of the graph below `roots` to the nodes that use it, with the operand and the output they use."""
    parents: Parents = {}
    # A list, not recursion: graphs are deeper than Python's stack.
    waiting = [cast(Node, root) for root in roots if root is not None]
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        for slot, (child, output) in enumerate(node.next_functions):
            if child is not None:
                parents.setdefault(child, []).append((node, slot, output))
                waiting.append(child)
    return parents


def parameter_nodes(parents: Parents) -> dict[int, Node]:
    """Map the id of each parameter in the graph to its node."""
    return {id(node.variable): node for node in parents if hasattr(node, "variable")}


def numbered(parents: Parents, number: int) -> Node | None:
    """Find the node with this sequence number, if it is in the graph."""
    return next((node for node in parents if not hasattr(node, "variable") and node._sequence_nr() == number), None)


def meetings(
    parents: Parents, node: Node, shape: torch.Size, samples: int, known: frozenset[str] | None = None
) -> Iterator[Meeting]:
    """Yield all uses of the tensor that `node` stands for, followed through its views.

    Where the copies of a tensor are as many as the samples, but may be those of positions, `known` decides: the names
    of the operations in which it has met the samples before.
    """
    start = torch.arange(shape.numel()).view(shape)
    waiting = [(node, 0, start)]
    while waiting:
        below, which, index = waiting.pop()
        for parent, slot, used in parents.get(below, ()):
            if used != which:
                continue
            name = parent.name()
            if name not in VIEWS or (spreads(parent, index, samples) and (known is None or name in known)):
                yield Meeting(parent, slot, index)
                continue
            view = VIEWS[name]
            waiting += [(parent, out, view(index, parent, out)) for out in range(len(parent._input_metadata))]


MIXING = ("NativeBatchNormBackward0", "CudnnBatchNormBackward0", "MiopenBatchNormBackward0")


def mixed_parameters(parents: Parents) -> set[int]:
    """Return the ids of the parameters whose gradients pass through a batch norm that used its batch's statistics.

    Instance norms are batch norms of a batch of one to torch, and mix nothing.
    """
    waiting: list[Node | None] = [
        node
        for node in {parent for uses in parents.values() for parent, _, _ in uses}
        if node.name() in MIXING and getattr(node, "_saved_training", True) and shape_of(node)[0] != 1
    ]
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [child for child, _ in node.next_functions]
    return {id(node.variable) for node in seen if hasattr(node, "variable")}


def spreads(node: Node, index: Tensor, samples: int) -> bool:
    """Tell whether the node copies the tensor once for each sample."""
    if node.name() not in ("ExpandBackward0", "RepeatBackward0"):
        return False
    return samples in spread_dimensions(index.shape, shape_of(node)).values()


def spread_dimensions(operand: torch.Size, result: torch.Size) -> dict[int, int]:
    """Return the dimensions of `result` along which `operand` is repeated by broadcasting, with their sizes."""
    missing = len(result) - len(operand)
    return {d: size for d, size in enumerate(result) if d < missing or (operand[d - missing] == 1 and size != 1)}
