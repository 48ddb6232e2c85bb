"""A model looked at while it trains, and left as it was found: modes, buffers, random numbers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def left_undisturbed(model: nn.Module, *, training: bool | None) -> Iterator[None]:
    """Put `model` in training or evaluation mode inside the block, or with None leave it in the modes it is in.

    Afterwards the mode of each module, all buffers and the random numbers of torch, numpy and Python are as before.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    # A module may write into a buffer, or put another in its place: both are undone.
    places = [(module, dict(module._buffers)) for module in model.modules()]
    drawn = random.getstate(), np.random.get_state()
    # Only the model's: of all devices torch would warn where there are several.
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        if training is not None:
            model.train(training)
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            for module, held in places:
                module._buffers.update(held)
            with torch.no_grad():
                for buffer, before in buffers:
                    # Writing what is there already would still raise its version, which autograd checks.
                    if not torch.equal(buffer, before):
                        buffer.copy_(before)
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])
