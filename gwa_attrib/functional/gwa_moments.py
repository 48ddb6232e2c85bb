"""Moments of a set of alignments, and gradient-weight alignment (GWA) as the corrected mean over the set.

GWA = mean / (excess kurtosis + 1.2), with the biased (population) Fisher kurtosis, as in Hölzl et al. 2025, 2510.25480.
The quotient has a pole where a set has two modes (an excess kurtosis near -1.2), so it always comes with a flag that
says whether it can be relied on. Sets merge exactly (Pébay 2008, SAND2008-6212), in any order.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

RELIABLE_ABOVE = -1.0
"""Excess kurtosis below which GWA is too near its pole at -1.2 to be used."""


@dataclass(frozen=True)
class Moments:
    """Number, mean and sums of the central powers (x-mean)², (x-mean)³, (x-mean)⁴ of the finite values of a set."""

    n: int = 0
    mean: float = math.nan
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @property
    def excess_kurtosis(self) -> float:
        """n·Σd⁴/(Σd²)² - 3; NaN for fewer than two values, or where all are equal."""
        # Of values that are all equal rounding leaves a spread, whose kurtosis would be any number.
        if self.n < 2 or self.m4 <= 0 or self.m2 <= self.n * (np.finfo(np.float64).resolution * self.mean) ** 2:
            return math.nan
        # Divided twice: m2² leaves the range before the quotient does.
        return self.n * (self.m4 / self.m2) / self.m2 - 3.0

    @property
    def gwa(self) -> float:
        """mean / (excess kurtosis + 1.2); NaN where the kurtosis is. Read `gwa_reliable` beside it."""
        denominator = self.excess_kurtosis + 1.2
        return self.mean / denominator if denominator != 0 else math.nan

    @property
    def gwa_reliable(self) -> bool:
        """False near the pole of the quotient: excess kurtosis below -1.0, or none."""
        # Asked this way round, a kurtosis of NaN is not reliable.
        return self.excess_kurtosis >= RELIABLE_ABOVE

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of the union of two disjoint sets."""
        if not self.n or not other.n:
            return self if self.n else other
        na, nb, n = self.n, other.n, self.n + other.n
        d = other.mean - self.mean
        m2 = self.m2 + other.m2 + d**2 * na * nb / n
        m3 = self.m3 + other.m3 + d**3 * na * nb * (na - nb) / n**2
        m3 += 3 * d * (na * other.m2 - nb * self.m2) / n
        m4 = self.m4 + other.m4 + d**4 * na * nb * (na**2 - na * nb + nb**2) / n**3
        m4 += 6 * d**2 * (na**2 * other.m2 + nb**2 * self.m2) / n**2 + 4 * d * (na * other.m3 - nb * self.m3) / n
        return Moments(n, self.mean + d * nb / n, m2, m3, m4)


def moments(values: Float[Tensor, "..."]) -> Moments:
    """Return the moments of the finite values, in float64 and two passes.

    >>> import torch
    >>> moments(torch.tensor([1.0, 2.0, 3.0, float("nan")]))
    Moments(n=3, mean=2.0, m2=2.0, m3=0.0, m4=2.0)
    """
    x = values.detach().double().flatten()
    x = x[x.isfinite()]
    if not x.numel():
        return Moments()
    mean = x.mean()
    d = x - mean
    square = d * d
    sums = (square.sum(), (square * d).sum(), (square * square).sum())
    return Moments(x.numel(), float(mean), *(float(s) for s in sums))


def gwa(values: Float[Tensor, "..."]) -> float:
    """Return the GWA of a set of alignments; NaN where all are equal. See `Moments.gwa_reliable`."""
    return moments(values).gwa
