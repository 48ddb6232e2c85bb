"""Per-sample gradients of a tensor that all samples share, taken in pieces from the operations where it meets them; and
from the pieces its product with the gradient, and the gradient's norm."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import LayerError
from gwa_attrib.functional.chunking import chunks
from gwa_attrib.functional.outer_products import outer_gradient, outer_squared_norm
from gwa_attrib.functional.targets import full_precision
from gwa_attrib.gradients.autograd.graph import Meeting, spread_dimensions
from gwa_attrib.gradients.autograd.views import Node
from gwa_attrib.gradients.layout import Known, Layout
from gwa_attrib.gradients.rules.rule import Part


class Owner(NamedTuple):
    """The tensor that is tapped, the size of the batch, and what is known of where the samples are."""

    name: str
    samples: int
    known: Known
    time_major: bool = False
    """True where rows and the first two dimensions are ``[time, sample]``, as inside nn.MultiheadAttention."""

    def layout(self, choices: Sequence[Layout]) -> Layout | None:
        """Choose a layout out of those that fit, the likeliest first; None if there is none."""
        if self.time_major and Layout.SECOND in choices:
            return Layout.SECOND
        known = self.known.layouts.get(self.name)
        if known is not None:
            return known if known in choices else None
        chosen = self.known.hint if self.known.hint in choices else next(iter(choices), None)
        if chosen is not None:
            self.known.learn(self.name, chosen, self.samples)
        return chosen


class Spread(NamedTuple):
    """Per-sample gradient of the `entries` of the tensor: ``[sample, *entries.shape]``."""

    gradient: Tensor
    entries: Tensor


class Rows(NamedTuple):
    """A use as the matrix of a linear map: its gradient is ``Σ_t left_t rightᵀ_t`` in the shape of `entries`."""

    left: Tensor
    """``[sample, position, entries.shape[0]]``"""
    right: Tensor
    """``[sample, position, entries.shape[1]]``"""
    entries: Tensor


Piece = Spread | Rows
Take = Callable[[Piece], None]


def listen(meeting: Meeting, owner: Owner, take: Take) -> RemovableHandle:
    """Hand the pieces of this use to `take` when the backward pass comes by; returns the handle of the hook.

    Raises:
        LayerError: an operation that is not understood.
    """
    kind = meeting.node.name()
    if kind in ("AddmmBackward0", "MmBackward0") and meeting.slot == (2 if kind == "AddmmBackward0" else 1):
        rows: RemovableHandle = meeting.node.register_prehook(lambda grads: take(_rows(meeting, owner, grads[0])))
        return rows
    if kind in FACTORS or (kind == "AddmmBackward0" and meeting.slot == 0):
        factor = FACTORS.get(kind, _plain)
        spread: RemovableHandle = meeting.node.register_prehook(
            lambda grads: take(_spread(meeting, owner, factor(meeting, owner, grads[0])))
        )
        return spread
    raise not_understood(owner.name, meeting.node)


def not_understood(name: str, node: Node) -> LayerError:
    """Return the error of an operation for which there is no rule."""
    return LayerError(
        expected=f"to know how the per-sample gradient of {name!r} comes about",
        found=f"a use in {node.name()}, which is not one of the operations understood",
        todo="Compute it in a layer of torch.nn, or leave it out: layers=[...] names what to record.",
    )


def _plain(meeting: Meeting, owner: Owner, grad: Tensor) -> Tensor:
    return grad


def _scaled(meeting: Meeting, owner: Owner, grad: Tensor) -> Tensor:
    return full_precision(grad) * (meeting.node._saved_alpha if meeting.slot == 1 else 1)


def _subtracted(meeting: Meeting, owner: Owner, grad: Tensor) -> Tensor:
    return full_precision(grad) * (-meeting.node._saved_alpha if meeting.slot == 1 else 1)


def _times_other(meeting: Meeting, owner: Owner, grad: Tensor) -> Tensor:
    other = saved(meeting.node, "other" if meeting.slot == 0 else "self", owner.name)
    return full_precision(grad) * full_precision(other)


FACTORS: dict[str, Callable[[Meeting, Owner, Tensor], Tensor]] = {
    "AddBackward0": _scaled,
    "SubBackward0": _subtracted,
    "MulBackward0": _times_other,
    "ExpandBackward0": _plain,
    "RepeatBackward0": _plain,
}
"""Operations that broadcast: what the gradient of their result has to be multiplied with."""


def saved(node: Node, name: str, owner: str) -> Tensor:
    """Read a tensor that the node keeps for its own backward pass.

    Raises:
        LayerError: it is kept through hooks (checkpointing), which allow it to be read only once.
    """
    raw = getattr(node, f"_raw_saved_{name}")
    if getattr(raw, "unpack_hook", None) is not None:
        raise LayerError(
            expected=f"to read what the operation {node.name()} on {owner!r} keeps for the backward pass",
            found="activation checkpointing, or other hooks on saved tensors, around it",
            todo="Leave the parameter out with layers=[...], or take its block out of the checkpoint.",
        )
    value: Tensor = getattr(node, f"_saved_{name}")
    return value.detach()


def _spread(meeting: Meeting, owner: Owner, grad: Tensor) -> Spread:
    grad = full_precision(grad.detach())
    operand, n = meeting.entries.shape, owner.samples
    if meeting.node.name() == "AddmmBackward0":
        grad = rows_first(grad, owner).sum(dim=1)
        return Spread(grad.reshape(n, *operand), meeting.entries)
    spread = spread_dimensions(operand, grad.shape)
    fits = [layout for d, layout in ((0, Layout.FIRST), (1, Layout.SECOND)) if spread.get(d) == n]
    if not fits and spread.get(0, 1) % n == 0:
        fits = [Layout.FIRST]  # folded: [sample·position, ...]
    layout = owner.layout(fits)
    if layout is None:
        raise LayerError(
            expected=f"{owner.name!r} to meet the {n} samples along the first or second dimension",
            found=f"{list(operand)} against {list(grad.shape)} in {meeting.node.name()}",
            todo="Leave it out: layers=[...] names what to record.",
        )
    if layout is Layout.SECOND:
        grad = grad.transpose(0, 1)
        spread = {{0: 1, 1: 0}.get(d, d): size for d, size in spread.items()}
    grad = grad.reshape(n, -1, *grad.shape[1:])
    grad = grad.sum(dim=[1, *(d + 1 for d in spread if d != 0)])
    return Spread(grad.reshape(n, *operand), meeting.entries)


def rows_first(rows: Tensor, owner: Owner) -> Tensor:
    """Turn flattened rows ``[sample·position, feature]`` into ``[sample, position, feature]``."""
    if len(rows) % owner.samples:
        raise LayerError(
            expected=f"the rows at {owner.name!r} to be {owner.samples} samples times positions",
            found=f"{len(rows)} rows",
            todo="Layers that see the samples mixed or packed cannot be measured: name others with layers=[...].",
        )
    if owner.layout((Layout.FIRST, Layout.SECOND)) is Layout.SECOND:
        return rows.view(-1, owner.samples, rows.shape[-1]).transpose(0, 1)
    return rows.view(owner.samples, -1, rows.shape[-1])


def _rows(meeting: Meeting, owner: Owner, grad: Tensor) -> Rows:
    x = saved(meeting.node, "mat1" if meeting.node.name() == "AddmmBackward0" else "self", owner.name)
    return Rows(rows_first(full_precision(x), owner), rows_first(full_precision(grad.detach()), owner), meeting.entries)


def part_of_pieces(parameter: Tensor, pieces: Sequence[Piece], samples: int) -> Part:
    """Return product and norm of a parameter from the pieces of its gradient.

    Exact also where several uses share entries: then the gradients are formed, a few samples at a time.
    """
    if not overlapping([piece.entries for piece in pieces], parameter.numel()):
        parts = [_apart(parameter.detach(), piece) for piece in pieces]
        return Part(sum(p.dot for p in parts), sum(p.squared_norm for p in parts))  # type: ignore[arg-type]
    dot, norm = [], []
    for part in chunks(samples, parameter.numel(), parameter.device):
        gradient = gradient_of_pieces(parameter, pieces, part).flatten(1)
        dot.append(gradient @ parameter.detach().to(gradient.dtype).flatten())
        norm.append(gradient.square().sum(dim=1))
    return Part(torch.cat(dot), torch.cat(norm))


def overlapping(indices: Sequence[Tensor], size: int) -> bool:
    """Tell whether an entry of the parameter appears twice."""
    if len(indices) == 1 and indices[0].numel() == size and indices[0].is_contiguous():
        return False
    everything = torch.cat([index.flatten() for index in indices])
    return len(torch.unique(everything)) != len(everything)


def gradient_of_pieces(parameter: Tensor, pieces: Sequence[Piece], part: slice) -> Tensor:
    """Return the per-sample gradients ``[sample, *parameter.shape]`` of some samples."""
    values = [_gradient(piece, part) for piece in pieces]
    total = values[0].new_zeros(len(values[0]), parameter.numel())
    for piece, value in zip(pieces, values, strict=True):
        total.index_add_(1, piece.entries.flatten().to(value.device), value.reshape(len(value), -1))
    return total.view(len(total), *parameter.shape)


def _gradient(piece: Piece, part: slice) -> Tensor:
    if isinstance(piece, Spread):
        return piece.gradient[part]
    return outer_gradient(piece.right[part], piece.left[part])


def _apart(parameter: Tensor, piece: Piece) -> Part:
    values = parameter.flatten()[piece.entries.to(parameter.device)]
    if isinstance(piece, Rows):
        values = values.to(piece.left.dtype)
        dot = ((piece.left @ values) * piece.right).sum(dim=(1, 2))
        return Part(dot, outer_squared_norm(piece.left, piece.right))
    rows = piece.gradient.reshape(len(piece.gradient), -1)
    return Part(rows @ values.to(rows.dtype).flatten(), rows.square().sum(dim=1))
