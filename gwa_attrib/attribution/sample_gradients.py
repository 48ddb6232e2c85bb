"""The gradients of some samples with respect to some parameters, factored where a layer saw one row a sample.

Of a linear layer that saw one row of features per sample the gradient is ``δ xᵀ``, and the product of two of them is
``(δ·δ')(x·x')``: two small matrix products for all pairs instead of matrices of the size of the weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK_BYTES = 1 << 28
"""The bytes that are formed at a time, at most, unless one sample is larger."""


class Outer(NamedTuple):
    """The gradient ``δ xᵀ`` of each sample, factored."""

    delta: Float[Tensor, "sample output"]
    x: Float[Tensor, "sample feature"]

    def formed(self) -> Float[Tensor, "sample output feature"]:
        return self.delta.unsqueeze(2) * self.x.unsqueeze(1)


Block = Outer | Tensor
"""The gradients of one parameter: factored, or formed ``[sample, *shape]``."""


class SampleGradients:
    """The gradients of `samples` samples; `blocks` by parameter, in the order of the flat vector."""

    def __init__(self, blocks: Mapping[str, Block], samples: int) -> None:
        self.blocks, self.samples = dict(blocks), samples

    def __len__(self) -> int:
        return self.samples

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(_size(block) for block in self.blocks.values())

    @property
    def bytes(self) -> int:
        """The bytes that it takes as it is."""
        tensors = [t for block in self.blocks.values() for t in (block if isinstance(block, Outer) else (block,))]
        return sum(t.numel() * t.element_size() for t in tensors)

    def rows(self, part: slice | Tensor) -> "SampleGradients":
        """Return the gradients of some of the samples."""
        blocks = {name: _each(block, lambda t: t[part]) for name, block in self.blocks.items()}
        count = len(range(*part.indices(self.samples))) if isinstance(part, slice) else len(part)
        return SampleGradients(blocks, count)

    def flat(self) -> Float[Tensor, "sample parameter"]:
        """Form the gradients, side by side."""
        blocks = [block.formed() if isinstance(block, Outer) else block for block in self.blocks.values()]
        return torch.cat([block.reshape(self.samples, -1) for block in blocks], dim=1)

    def flat_parts(self) -> Iterator[tuple[slice, Float[Tensor, "part parameter"]]]:
        """Yield `flat`, a few samples at a time."""
        step = max(1, CHUNK_BYTES // (8 * max(1, self.size)))
        for start in range(0, self.samples, step):
            part = slice(start, min(start + step, self.samples))
            yield part, self.rows(part).flat()

    def products(self, other: "SampleGradients") -> Float[Tensor, "sample other"]:
        """Return ⟨g_i, g_j⟩ of all pairs."""
        return sum((_products(self.blocks[name], other.blocks[name]) for name in self.blocks), start=torch.tensor(0.0))

    def squared_norms(self) -> Float[Tensor, " sample"]:
        """Return ‖g_i‖² of each sample."""
        return torch.stack([_squared_norm(block) for block in self.blocks.values()]).sum(dim=0)


def stacked(parts: Sequence[SampleGradients]) -> SampleGradients:
    """Join the gradients of several sets of samples."""
    first = parts[0]
    blocks = {name: _cat([part.blocks[name] for part in parts]) for name in first.blocks}
    return SampleGradients(blocks, sum(part.samples for part in parts))


def _size(block: Block) -> int:
    if isinstance(block, Outer):
        return block.delta.shape[1] * block.x.shape[1]
    return block[:1].numel() if len(block) else block.shape[1:].numel()


def _each(block: Block, function: Callable[[Tensor], Tensor]) -> Block:
    return Outer(*map(function, block)) if isinstance(block, Outer) else function(block)


def _cat(blocks: Sequence[Block]) -> Block:
    if all(isinstance(block, Outer) for block in blocks):
        return Outer(*(torch.cat(tensors) for tensors in zip(*blocks, strict=True)))
    return torch.cat([block.formed() if isinstance(block, Outer) else block for block in blocks])


def _products(a: Block, b: Block) -> Tensor:
    if isinstance(a, Outer) and isinstance(b, Outer):
        return (a.delta @ b.delta.T) * (a.x @ b.x.T)
    formed = [block.formed() if isinstance(block, Outer) else block for block in (a, b)]
    return formed[0].flatten(1) @ formed[1].flatten(1).T


def _squared_norm(block: Block) -> Tensor:
    if isinstance(block, Outer):
        return block.delta.square().sum(dim=1) * block.x.square().sum(dim=1)
    return block.flatten(1).square().sum(dim=1)
