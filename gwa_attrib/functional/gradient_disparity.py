"""Gradient disparity: how far the gradients of batches lie apart (Badola, Javadi, Grossglauser 2021, 2107.06665)."""

import torch
from jaxtyping import Float
from torch import Tensor


def gradient_disparity(gradients: Float[Tensor, "batch parameter"]) -> Float[Tensor, ""]:
    """Mean Euclidean distance over all pairs of batch gradients; high is bad. NaN for fewer than two."""
    return torch.pdist(gradients.double()).mean()


def rescaled_loss(losses: Float[Tensor, " sample"]) -> Float[Tensor, ""]:
    """Mean of the losses divided by their standard deviation (unbiased, part of the graph), as in the authors' code."""
    return (losses / losses.std()).mean()
