"""Linear layers over one row of features or a sequence of them."""

from torch import Tensor, nn
from torch.nn import functional as F

from gwa_attrib.functional.outer_products import gram_is_less_work, outer_gradient, outer_squared_norm
from gwa_attrib.gradients.rules.rule import Gradients, Operands, Part, Parts, Rule, layer_rules, parts_of_gradients


def flat(operands: Operands) -> tuple[Tensor, Tensor]:
    """Return input and δ as ``[sample, position, feature]``."""
    return operands.x.flatten(1, -2), operands.delta.flatten(1, -2)


def gradient(module: nn.Linear, operands: Operands) -> Gradients:
    """Form the gradients of weight and bias."""
    x, delta = flat(operands)
    gradients = {"weight": outer_gradient(x, delta)} if module.weight.requires_grad else {}
    return gradients if module.bias is None else {**gradients, "bias": delta.sum(dim=1)}


def without_gradient(positions: int, module: nn.Linear) -> bool:
    """Tell whether the norm comes without forming the per-sample gradients."""
    return positions == 1 or gram_is_less_work(positions, module.in_features, module.out_features)


def needs_output(module: nn.Linear, x: Tensor, out: Tensor) -> bool:
    """Tell whether the product ⟨δ, out - bias⟩ = ⟨∂ℓ/∂x, x⟩ will be taken.

    Positions are guessed, because the number of samples is not known in the forward pass.
    """
    return without_gradient(x.shape[1:-1].numel(), module)


def norms(module: nn.Linear, operands: Operands, sums: Gradients | None = None) -> Parts:
    """Return products and norms without forming the gradients where that is less work, else from them."""
    x, delta = flat(operands)
    positions = x.shape[1]
    if not without_gradient(positions, module):
        return parts_of_gradients(RULE, module, operands, sums=sums)
    of_delta = delta.square().sum(dim=(1, 2)) if positions == 1 else None
    parts = {}
    if module.bias is not None:
        total = delta[:, 0] if positions == 1 else delta.sum(dim=1)
        of_total = total.square().sum(dim=1) if of_delta is None else of_delta
        parts["bias"] = Part(total @ module.bias.detach().to(x.dtype), of_total)
    squared_norm = outer_squared_norm(x, delta) if of_delta is None else of_delta * x.square().sum(dim=(1, 2))
    return {"weight": Part(_product(module, operands), squared_norm), **parts}


def _product(module: nn.Linear, operands: Operands) -> Tensor:
    """Return ⟨∂ℓ/∂W, W⟩ from what is at hand; exactly zero where W is."""
    if operands.x_grad is not None:
        return (operands.x * operands.x_grad).flatten(1).sum(dim=1)
    out, x = operands.out, operands.x
    if out is None:
        out = F.linear(x, module.weight.detach().to(x.dtype))
    elif module.bias is not None:
        out = out - module.bias.detach().to(out.dtype)
    return (operands.delta * out).flatten(1).sum(dim=1)


RULE = Rule(kinds=(nn.Linear,), gradient=gradient, norms=norms, needs_output=needs_output)


@layer_rules.register("linear", source="Goodfellow 2015, 1510.01799; Li et al. 2022, 2110.05679")
def linear_rule() -> Rule:
    """Norms from outer products; of sequences from Gram matrices of positions, or the gradient if that is smaller."""
    return RULE
