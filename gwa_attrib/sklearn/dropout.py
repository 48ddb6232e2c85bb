"""Dropout whose random numbers cost less than the layers beside it."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

LEVELS = 256
"""One random byte decides over a number, so shares are multiples of 1/256."""


class Dropout(nn.Module):
    """Zeroes about that share of the numbers and scales the rest up, as ``nn.Dropout`` does while training.

    torch draws its numbers one by one on one core, which takes longer than a layer's matrix product; here a word of
    64 random bits serves eight of them.
    """

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self._below = round(share * LEVELS)
        self._random = np.random.SFC64(seed)

    def forward(self, x: Float[Tensor, "row unit"]) -> Float[Tensor, "row unit"]:
        words = self._random.random_raw(-(-x.numel() // 8))
        kept = words.view(np.uint8)[: x.numel()].reshape(x.shape) >= self._below
        dropped: Tensor = x * torch.from_numpy(kept) * (LEVELS / (LEVELS - self._below))
        return dropped
