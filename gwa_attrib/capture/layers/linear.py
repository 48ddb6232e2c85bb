"""Linear layers over one row of features or a sequence of them."""

from torch import Tensor, nn
from torch.nn import functional as F

from gwa_attrib.capture.layers.rule import (
    Gradients,
    Operands,
    Part,
    Parts,
    Rule,
    layer_rules,
    parts_of_gradients,
    reduce_gradient,
)
from gwa_attrib.functional.outer_products import gram_is_less_work, outer_gradient, outer_squared_norm


def flat(operands: Operands) -> tuple[Tensor, Tensor]:
    """Input and δ as ``[sample, position, feature]``."""
    return operands.x.flatten(1, -2), operands.delta.flatten(1, -2)


def gradient(module: nn.Linear, operands: Operands) -> Gradients:
    """Of weight and bias, formed."""
    x, delta = flat(operands)
    gradients = {"weight": outer_gradient(x, delta)} if module.weight.requires_grad else {}
    return gradients if module.bias is None else {**gradients, "bias": delta.sum(dim=1)}


def without_gradient(positions: int, module: nn.Linear) -> bool:
    """Whether the norm comes without forming the per-sample gradients."""
    return positions == 1 or gram_is_less_work(positions, module.in_features, module.out_features)


def needs_output(module: nn.Linear, x: Tensor, out: Tensor) -> bool:
    """For the product; positions are guessed, as the number of samples is not known in the forward pass."""
    return without_gradient(x.shape[1:-1].numel(), module)


def norms(module: nn.Linear, operands: Operands, sums: Gradients | None = None) -> Parts:
    """From outer products or Gram matrices where that is less work, else from the formed gradients."""
    x, delta = flat(operands)
    if not without_gradient(x.shape[1], module):
        return parts_of_gradients(RULE, module, operands, sums=sums)
    parts = {}
    bias = None if module.bias is None else module.bias.detach().to(x.dtype)
    of_bias = None if bias is None else reduce_gradient(delta.sum(dim=1), bias)
    if module.weight.requires_grad:
        out = operands.out
        if out is None:
            out = F.linear(x, module.weight.detach().to(x.dtype), bias)
        dot = (delta * out.view_as(delta)).sum(dim=(1, 2))
        if of_bias is not None:
            dot = dot - of_bias.dot
        parts["weight"] = Part(dot, outer_squared_norm(x, delta))
    if of_bias is not None:
        parts["bias"] = of_bias
    return parts


RULE = Rule(kinds=(nn.Linear,), gradient=gradient, norms=norms, needs_output=needs_output)


@layer_rules.register("linear", source="Goodfellow 2015, 1510.01799; Li et al. 2022, 2110.05679")
def linear() -> Rule:
    """Norms from outer products; of sequences from Gram matrices of positions, or the gradient if that is smaller."""
    return RULE
