"""Random projections of gradients: products are kept on average (Johnson, Lindenstrauss 1984)."""

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 1 << 14
"""Parameters whose part of the projection is drawn at a time: it is never held as a whole."""


class Projection:
    """To `dimensions` numbers, by a matrix of random signs that depends on the seed alone."""

    def __init__(self, size: int, dimensions: int, seed: int) -> None:
        self.size, self.dimensions, self._seed = size, dimensions, seed

    def __call__(self, flat: Float[Tensor, "sample size"]) -> Float[Tensor, "sample dimension"]:
        result = flat.new_zeros(len(flat), self.dimensions)
        for number, part in enumerate(torch.split(flat, BLOCK, dim=1)):
            result += part @ self._signs(number, part.shape[1]).to(flat)
        return result.div_(self.dimensions**0.5)

    def _signs(self, number: int, size: int) -> Tensor:
        generator = torch.Generator().manual_seed((self._seed << 20) + number)
        drawn = torch.randint(0, 2, (size, self.dimensions), generator=generator, dtype=torch.int8)
        return drawn.mul_(2).sub_(1)
