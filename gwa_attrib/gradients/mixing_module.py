"""Which module mixes the samples of a batch: asked only once a deviation has been found."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from gwa_attrib.gradients.rules.normalization import BATCH_NORMS
from gwa_attrib.gradients.single_samples import Inputs
from gwa_attrib.hooks.undisturbed import undisturbed

Seen = list[tuple[str, list[Tensor], list[Tensor]]]
"""Of each call of a module, in the order of their ends: its name, its inputs and outputs without the first sample."""


def mixing_module(model: nn.Module, inputs: Inputs, size: int) -> str | None:
    """Name of the first module in which other samples notice that the first was exchanged; None if none does.

    Two forward passes of the model as it trains, over the same random numbers.
    """
    if size < 2 or inputs.samples < size:
        return None
    rows = list(range(size))
    before, after = (_seen(model, inputs, order, size) for order in (rows, [1, *rows[1:]]))
    for (name, given, made), (_, given_again, made_again) in zip(before, after, strict=False):
        if _same(given, given_again) and not _same(made, made_again):
            return name
    return None


def _seen(model: nn.Module, inputs: Inputs, order: list[int], size: int) -> Seen:
    seen: Seen = []
    args, kwargs = inputs.pick(order)
    with undisturbed(model, training=None), torch.no_grad():
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        handles: list[RemovableHandle] = []
        for name, module in model.named_modules():
            if isinstance(module, BATCH_NORMS):
                module.training = False
            handles.append(module.register_forward_hook(_note(name, seen, size), with_kwargs=True))
        try:
            model(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
    return seen


def _note(name: str, seen: Seen, size: int) -> Callable[..., None]:
    def others(values: Any) -> list[Tensor]:
        tensors = (t for t in tree_leaves(values) if isinstance(t, Tensor) and t.dim() and t.shape[0] == size)
        return [t[1:].clone() for t in tensors]

    def went_forward(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        seen.append((name, others((args, kwargs)), others(output)))

    return went_forward


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    """Up to the rounding of another order of sums."""
    return len(some) == len(others) and all(
        a.shape == b.shape and bool(torch.isclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True).all())
        for a, b in zip(some, others, strict=True)
    )
