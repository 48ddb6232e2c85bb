"""From pieces of a parameter's per-sample gradients to its product with the parameter and its norm."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gwa_attrib.functional.chunking import chunks
from gwa_attrib.functional.outer_products import outer_gradient, outer_squared_norm
from gwa_attrib.gradients.autograd.taps import Piece, Rows, Spread
from gwa_attrib.gradients.rules.rule import Part


def part_of_pieces(parameter: Tensor, pieces: Sequence[Piece], samples: int) -> Part:
    """Exact also where several uses share entries: then the gradients are formed, a few samples at a time."""
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
    """Whether an entry of the parameter appears twice."""
    if len(indices) == 1 and indices[0].numel() == size and indices[0].is_contiguous():
        return False
    everything = torch.cat([index.flatten() for index in indices])
    return len(torch.unique(everything)) != len(everything)


def gradient_of_pieces(parameter: Tensor, pieces: Sequence[Piece], part: slice) -> Tensor:
    """Per-sample gradients ``[sample, *parameter.shape]`` of some samples."""
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
