"""The user's loss, as a sum over the batch, whatever its reduction."""

from collections.abc import Callable

import torch
from torch import Tensor

from gwa_attrib.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of outputs ``[sample, ...]`` and targets: one value per sample, or their mean or sum."""
TRIED = 4
TOLERANCE = 1e-3


def summed(loss: Loss, outputs: Tensor, targets: Tensor) -> Loss:
    """`loss` turned into a sum over samples; its reduction is found by trying it on a few of these targets.

    Raises:
        InputError: it is neither a mean, nor a sum, nor one value per sample.
    """
    few = torch.arange(TRIED) % len(targets)
    y = targets.detach()[few.to(targets.device)]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((TRIED, *outputs.shape[1:]), generator=generator)
    z = noise.to(outputs.device, outputs.dtype)
    together = loss(z, y)
    if together.dim():
        if together.shape[0] != TRIED:
            raise _unknown(f"a result of shape {list(together.shape)} for {TRIED} samples")
        return lambda outputs, targets: loss(outputs, targets).sum()
    alone = torch.stack([loss(z[i : i + 1], y[i : i + 1]) for i in range(TRIED)])
    scale = TOLERANCE * alone.abs().sum()
    if (together - alone.sum()).abs() <= scale:
        return loss
    if (together - alone.mean()).abs() <= scale / TRIED:
        return lambda outputs, targets: loss(outputs, targets) * len(outputs)
    raise _unknown(f"{float(together):.4g} for {TRIED} samples whose losses are {alone.tolist()}")


def _unknown(found: str) -> InputError:
    return InputError(
        expected="a loss that is the mean, the sum, or one value per sample",
        found=found,
        todo="Pass a loss with reduction='none'; class weights with a weighted mean have no loss of a single sample.",
    )
