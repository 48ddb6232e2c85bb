"""Curvature of one layer in the eigenbasis of a Kronecker product (EK-FAC, George et al. 2018, 1806.03884).

With ``A = E[Σ_t a aᵀ]`` of inputs and ``S = E[Σ_t δ δᵀ]`` of output gradients the Fisher matrix of a linear map is
about ``S ⊗ A`` (K-FAC, Martens, Grosse 2015, 1503.05671). EK-FAC keeps its eigenvectors and measures the eigenvalues:
``Λ = E[(Q_Sᵀ G Q_A)²]`` over per-sample gradients G.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class KroneckerBasis:
    """Eigenvectors as columns."""

    of_outputs: Float[Tensor, "output output"]
    of_inputs: Float[Tensor, "feature feature"]

    def to(self, dtype: torch.dtype) -> "KroneckerBasis":
        """In another precision."""
        return KroneckerBasis(self.of_outputs.to(dtype), self.of_inputs.to(dtype))


def kronecker_basis(
    outputs: Float[Tensor, "output output"], inputs: Float[Tensor, "feature feature"]
) -> KroneckerBasis:
    """Of the two second moments."""
    return KroneckerBasis(torch.linalg.eigh(outputs).eigenvectors, torch.linalg.eigh(inputs).eigenvectors)
