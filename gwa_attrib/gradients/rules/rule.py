"""The form of a layer rule: how the per-sample gradients of one kind of layer come out of its input and the gradient of
its output. The rules are functions of tensors; none of them knows about hooks.

Everything a rule gets has the samples first and, second, the positions at which the layer was applied to one sample:
tokens of a sequence, images of a set, time steps. One position is the usual case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gwa_attrib._registry import Registry
from gwa_attrib.functional.chunking import chunks


@dataclass(frozen=True)
class Operands:
    """One use of a layer, samples first."""

    x: Tensor
    """Input, ``[sample, position, *event]``; for tables of embeddings the row numbers."""
    delta: Tensor
    """∂ℓ/∂out up to a factor of the whole batch, ``[sample, position, *event]``."""
    out: Tensor | None = None
    """Output; None where it was not kept or has been overwritten."""
    coefficient: Tensor | None = None
    """Factor of each lookup in a bag of embeddings, ``[sample, position]``."""
    x_grad: Tensor | None = None
    """∂ℓ/∂x that this use contributes, in the shape of `x`; None where it is not at hand."""
    statistics: tuple[Tensor, ...] = ()
    """The statistics that the forward pass computed, ``[sample, position, ...]``; () where they are not at hand."""

    def rows(self, part: slice) -> "Operands":
        """Return the operands of some samples."""
        out, coefficient, x_grad = (None if t is None else t[part] for t in (self.out, self.coefficient, self.x_grad))
        statistics = tuple(t[part] for t in self.statistics)
        return Operands(self.x[part], self.delta[part], out, coefficient, x_grad, statistics)


class Part(NamedTuple):
    """The contribution of one parameter to the alignment of each sample."""

    dot: Tensor
    """⟨∂ℓ/∂θ, θ⟩, ``[sample]``."""
    squared_norm: Tensor
    """‖∂ℓ/∂θ‖², ``[sample]``."""


Gradients = dict[str, Tensor]
Parts = dict[str, Part]


def event_of_last_dimension(module: nn.Module, x: Tensor) -> int:
    """Count one dimension: a row of features."""
    return 1


@dataclass(frozen=True)
class Rule:
    """The rule of one kind of layer."""

    kinds: tuple[type[nn.Module], ...]
    gradient: Callable[[Any, Operands], Gradients]
    """Per-sample gradients of the layer's own parameters by name, ``[sample, *shape]``."""
    norms: Callable[[Any, Operands, Gradients | None], Parts] | None = None
    """The same as products and norms without forming the gradients; None: they are formed, a few samples at a time.

    Where it does form them it adds their sums to its last argument.
    """
    event: Callable[[Any, Tensor], int] = event_of_last_dimension
    """Counts the trailing dimensions of the input that belong to one application."""
    needs_output: Callable[[Any, Tensor, Tensor], bool] = lambda module, x, out: False
    """Tells whether `norms` is cheaper with the layer's output at hand, or with the gradient of its input."""
    statistics: Callable[[Any], tuple[Tensor, ...]] = lambda node: ()
    """Reads statistics from the node of the layer's output in the graph: leading dimensions as of the input."""
    refuses: Callable[[Any], str | None] = lambda module: None
    """Tells why this very layer cannot be measured, if it cannot."""
    unpack: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], tuple[Tensor, ...]] | None = None
    """Tensors to keep from the arguments of the forward pass; None: the first argument."""


layer_rules = Registry("layer rule")


def rule_of(module: nn.Module) -> tuple[str, Rule] | None:
    """Find the rule for a layer by its class; a subclass counts only if it computes what its base does."""
    for entry in layer_rules:
        rule: Rule = entry()
        for kind in rule.kinds:
            if isinstance(module, kind) and _same_computation(type(module), kind):
                return entry.name, rule
    return None


def _same_computation(own: type, kind: type) -> bool:
    return all(getattr(own, name, None) is getattr(kind, name, None) for name in ("forward", "_conv_forward"))


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trainable parameters that the layer itself holds, by their name in it."""
    return {name: p for name, p in module._parameters.items() if p is not None and p.requires_grad}


def parts_of_gradients(
    rule: Rule, module: nn.Module, operands: Operands, *, most: int = 1 << 20, sums: Gradients | None = None
) -> Parts:
    """Return products and norms from the per-sample gradients, formed a few samples at a time: at most `most`.

    Adds the gradients' sums over the samples to `sums`.
    """
    parameters = own_parameters(module)
    elements = max(sum(p.numel() for p in parameters.values()), operands.x[:1].numel())
    pieces: dict[str, list[Part]] = {name: [] for name in parameters}
    for part in chunks(len(operands.x), elements, operands.delta.device, most=most):
        for name, gradient in rule.gradient(module, operands.rows(part)).items():
            if name not in pieces:
                continue
            pieces[name].append(reduce_gradient(gradient, parameters[name]))
            if sums is not None:
                total = gradient.sum(dim=0)
                sums[name] = sums[name].add_(total) if name in sums else total
    return {name: Part(*map(torch.cat, zip(*found, strict=True))) for name, found in pieces.items() if found}


def reduce_gradient(gradient: Tensor, parameter: Tensor) -> Part:
    """Return product with the parameter and squared norm of each sample's gradient ``[sample, *shape]``."""
    rows = gradient.reshape(len(gradient), -1)
    return Part(rows @ parameter.detach().to(rows.dtype).flatten(), torch.linalg.vector_norm(rows, dim=1).square())


def parts_of(rule: Rule, module: nn.Module, operands: Operands, sums: Gradients | None = None) -> Parts:
    """Return products and norms of a layer's parameters, in the cheapest way its rule knows.

    Where per-sample gradients are formed, `sums` gets their sums over the samples.
    """
    if rule.norms is None:
        return parts_of_gradients(rule, module, operands, sums=sums)
    wanted = own_parameters(module)
    return {name: part for name, part in rule.norms(module, operands, sums).items() if name in wanted}
