"""How the variance of features is spread over directions, from their singular values.

Source: Chen et al., "Understanding and Mitigating the Label Noise in Pre-training on Downstream Tasks", ICLR 2024,
arXiv 2309.17002. With ``s = σ / Σσ``: SVE ``= -Σ s log s`` and LSVR ``= -log s₁``.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Centre = Literal["row", "column"] | None


class Spectrum(NamedTuple):
    """Of a matrix of features."""

    sve: float
    """Entropy of the normalised singular values, in nats: log(rank) if all are equal, 0 for one direction."""
    lsvr: float
    """Minus the logarithm of the largest one's share: 0 for one direction; low is dominated by it."""


def spectrum(features: Float[Tensor, "sample feature"], *, centre: Centre = None) -> Spectrum:
    """Singular value entropy and largest singular value ratio; NaN where all features are zero.

    Args:
        centre: "row" takes unit rows and subtracts from each the mean of its own entries, as the authors' code does;
            "column" takes unit rows and subtracts their mean, which is probably what was meant; None takes them as they
            are.
    """
    x = features.double()
    if centre is not None:
        x = torch.nn.functional.normalize(x, dim=1)
        x = x - x.mean(dim=1 if centre == "row" else 0, keepdim=True)
    values = torch.linalg.svdvals(x)
    share = values / values.sum()
    return Spectrum(float(-torch.xlogy(share, share).sum()), float(-share.max().log()) if len(share) else float("nan"))
