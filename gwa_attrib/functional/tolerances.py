"""The distances up to which a check takes two numbers, found in two ways, for one.

Each check has a number for a model that computes in full precision (float32, float64) and one for half precision
(bfloat16, float16). Nearly all are relative, and all leave a wide margin over rounding: a check that is wrong once in a
thousand trainings is worse than one that misses a small deviation, because it ends the training.
"""

from typing import NamedTuple

import torch

HALF_TYPES = (torch.bfloat16, torch.float16)


class Tolerance(NamedTuple):
    """The largest deviation that a check lets pass."""

    full: float
    half: float

    def at(self, half: bool) -> float:
        """Return the number for half precision, or for full."""
        return self.half if half else self.full


HEAD_IS_LINEAR = Tolerance(
    full=1e-3,  # a linear layer is off by about 1e-6; one that scales its output by 1.01 is off by 1e-2
    half=1e-1,  # a linear layer in bfloat16 is off by about 1e-2, and the tests have to allow it 5e-2
)
"""The distance of a head's output from ``W h + b``, relative to the largest logit."""

DIRECTION = Tolerance(
    full=1e-2,  # autograd's p - y is off by some 1e-7 of 1: by 1e-3 of the shortest residual that is looked at, 1e-4
    half=1e-1,  # bfloat16 has eight bits, in the gradient that arrives and in the logits that it was made of
)
"""The distance between the unit vectors along a sample's residual and along the gradient of its logits."""

SHORTEST_RESIDUAL = 1e-4  # at a tenth of it, what rounding leaves of p - y would reach DIRECTION by itself
SHORTEST_SHARE = 1e-2  # of the longest in the batch: in float16 what is far below it is the first to underflow
"""Samples with shorter residuals do not count when directions are compared."""

COMMON_FACTOR = Tolerance(
    full=1e-5,  # plus FACTOR_ROUNDING over the length of the residual
    half=1e-2,  # one unit in the last place of bfloat16 is 4e-3 to 8e-3
)
"""The distance of a sample's factor from that of its batch; by more than this the loss has weighted the sample."""
FACTOR_ROUNDING = 1e-6  # what rounding leaves of p - y, in absolute terms: the shorter a residual, the less is known

CAPTURED = Tolerance(
    full=1e-2,  # residual networks and vision transformers are off by 1e-6; a wrong rule is off by tenths
    half=1.5e-1,  # one sample's own gradient in bfloat16 has been seen an eighth away from itself
)
"""The distance of captured products and norms from those of single samples, relative to the gradient's norm."""

TOTALS = Tolerance(
    full=1e-3,  # sums of some thousand products in float32; a use that was missed is a whole summand
    half=5e-2,  # the samples' gradients are rounded one by one, and their sum once more
)
"""The distance of the samples' sum from the gradient that autograd accumulates, relative to the sum of their sizes."""

ZERO_BY_NATURE = 1e-3
"""The share of the largest gradient below which one holds rounding alone: of a bias before a norm, say, or of a layer
whose weights start at zero. Deviations are measured against at least so much."""

SAME_OUTPUT = {"rtol": 1e-4, "atol": 1e-5}
"""The distance of a module's outputs for a sample before and after another one of its batch was exchanged.

Only rounding in another order of sums may lie in it; what mixes samples moves it by far more.
"""

REDUCTION = 1e-3
"""The distance of a loss over four samples from the sum, or the mean, of its values: the two differ fourfold."""
