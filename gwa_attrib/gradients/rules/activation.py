"""Activations with a trainable slope."""

from torch import nn

from gwa_attrib.gradients.rules.rule import Gradients, Operands, Rule, layer_rules


def gradient(module: nn.PReLU, operands: Operands) -> Gradients:
    """Form the gradient of the slopes: one for all channels, or one a channel."""
    product = operands.delta * operands.x.clamp_max(0.0)
    if module.num_parameters == 1 or product.dim() < 3:
        return {"weight": product.flatten(1).sum(dim=1, keepdim=True)}
    return {"weight": product.sum(dim=(1, *range(3, product.dim())))}


@layer_rules.register("PReLU", source="exact")
def prelu_rule() -> Rule:
    """Sums over the positions of the gradient times the negative part of the input."""
    return Rule(kinds=(nn.PReLU,), gradient=gradient, event=lambda module, x: x.dim() - 1)
