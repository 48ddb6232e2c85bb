"""Working through a batch a few samples at a time, so that what is formed per sample stays in the cache, and small."""

from collections.abc import Iterator

import torch

CACHE_ELEMENTS = 600_000
"""Numbers that a chunk may form on a CPU: measured, about what the second-level cache holds."""
DEVICE_ELEMENTS = 1 << 26
"""The same on an accelerator, where a launch costs more than a cache miss."""


def chunks(samples: int, elements: int, device: torch.device, *, most: int = 1 << 20) -> Iterator[slice]:
    """Yield slices that cover `samples`, each forming about as many numbers as is good: `elements` for one sample.

    `most` limits the samples of a slice on a CPU.
    """
    if device.type == "cpu":
        size = min(most, max(2, CACHE_ELEMENTS // max(1, elements)))
    else:
        size = max(1, DEVICE_ELEMENTS // max(1, elements))
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))
