"""Influence functions with EK-FAC: the Fisher matrix of each linear layer and convolution in a Kronecker eigenbasis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gwa_attrib.attributors.inverse_products import Inverse, InverseProducts
from gwa_attrib.attributors.loss import Loss
from gwa_attrib.attributors.registry import attributors
from gwa_attrib.attributors.task import Task
from gwa_attrib.capture.layers.shared_weights import SharedUse
from gwa_attrib.errors import LayerError
from gwa_attrib.functional.kronecker import KroneckerBasis, kronecker_basis

DAMPING = 0.1
"""Of the mean eigenvalue of each layer."""
Fisher = Literal["true", "empirical"]


@attributors.register("ekfac", suspect="high", source="Grosse et al. 2023, arXiv 2308.03296")
def ekfac(task: Task, *, damping: float | None = None, fisher: Fisher = "true") -> InverseProducts:
    """Influence with eigenvalue-corrected Kronecker factors, of linear layers and convolutions.

    damping: None for a tenth of each layer's mean eigenvalue. fisher: "true" draws one label a sample from the model's
    own prediction (the loss is then a cross-entropy of it), "empirical" takes the given labels.
    """

    def fit(task: Task) -> Inverse:
        return Ekfac(task, damping, fisher).inverse

    return InverseProducts(task, fit)


@dataclass(frozen=True)
class Slot:
    """Where a layer's weight and bias are in the flat vector."""

    weight: slice
    bias: slice | None
    outputs: int
    features: int
    """Without the one that stands for the bias."""

    def gradient(self, flat: Tensor) -> Tensor:
        """``[sample, output, feature (+ 1)]``."""
        weight = flat[:, self.weight].reshape(len(flat), self.outputs, self.features)
        return weight if self.bias is None else torch.cat([weight, flat[:, self.bias].unsqueeze(2)], dim=2)

    def put(self, flat: Tensor, gradient: Tensor) -> None:
        flat[:, self.weight] = gradient[..., : self.features].flatten(1)
        if self.bias is not None:
            flat[:, self.bias] = gradient[..., -1]


class Ekfac:
    """Fitted in two passes: second moments, then eigenvalues."""

    def __init__(self, task: Task, damping: float | None, fisher: Fisher) -> None:
        self._task, self._fisher = task, fisher
        self._slots = slots(task)
        self._bases = self._fit_bases()
        self._eigenvalues = self._fit_eigenvalues()
        self._damping = {
            layer: DAMPING * float(values.mean()) if damping is None else damping
            for layer, values in self._eigenvalues.items()
        }

    def _loss(self, generator: torch.Generator) -> Loss | None:
        if self._fisher == "empirical":
            return None

        def loss(outputs: Tensor, _: Tensor) -> Tensor:
            logits = outputs.detach().double().softmax(dim=1).cpu()
            drawn = torch.multinomial(logits, 1, generator=generator).squeeze(1).to(outputs.device)
            return nn.functional.cross_entropy(outputs, drawn, reduction="sum")

        return loss

    def _fit_bases(self) -> dict[str, KroneckerBasis]:
        task, moments = self._task, dict[str, list[Tensor]]()
        loss = self._loss(torch.Generator().manual_seed(task.seed))
        for _, batch in task.passes(task.train, "Kronecker factors"):
            uses, _, _ = task.per_sample.uses(batch, loss)
            for layer, slot in self._slots.items():
                a, delta = rows_of(uses[f"{layer}.weight".lstrip(".")])
                if slot.bias is not None:
                    a = torch.cat([a, a.new_ones(*a.shape[:2], 1)], dim=2)
                new = [_second_moment(delta), _second_moment(a)]
                old = moments.get(layer)
                moments[layer] = new if old is None else [x + y for x, y in zip(old, new, strict=True)]
        return {layer: kronecker_basis(*both) for layer, both in moments.items()}

    def _fit_eigenvalues(self) -> dict[str, Tensor]:
        task, totals = self._task, dict[str, Tensor]()
        loss = self._loss(torch.Generator().manual_seed(task.seed))  # the same draws as for the factors
        for _, batch in task.passes(task.train, "eigenvalues"):
            for _, flat in task.per_sample.gradients(batch, loss).flat_parts():
                for layer, slot in self._slots.items():
                    squared = self._bases[layer].turned(slot.gradient(flat).double()).square().sum(dim=0)
                    totals[layer] = totals[layer] + squared if layer in totals else squared
        return {layer: total / len(task.train) for layer, total in totals.items()}

    def inverse(self, b: Tensor) -> Tensor:
        """Each row divided by the damped curvature."""
        result = torch.zeros_like(b, dtype=torch.float64)
        for layer, slot in self._slots.items():
            basis = self._bases[layer]
            turned = basis.turned(slot.gradient(b.double()))
            slot.put(result, basis.back(turned / (self._eigenvalues[layer] + self._damping[layer])))
        return result.to(b.dtype)


def _second_moment(rows: Tensor) -> Tensor:
    flat = rows.flatten(0, 1).double()
    return flat.T @ flat


def rows_of(uses: list[SharedUse]) -> tuple[Tensor, Tensor]:
    """Inputs ``[sample, position, feature]`` and output gradients of a layer that was used once."""
    module, operands = uses[0].module, uses[0].operands
    if isinstance(module, nn.Linear):
        return operands.x.flatten(1, -2), operands.delta.flatten(1, -2)
    assert isinstance(module, nn.Conv2d)
    x, delta = operands.x.flatten(0, 1), operands.delta.flatten(0, 1)
    padding = (0, 0) if isinstance(module.padding, str) else module.padding
    patches = nn.functional.unfold(x, module.kernel_size, module.dilation, padding, module.stride)
    return patches.transpose(1, 2), delta.flatten(2).transpose(1, 2)


def slots(task: Task) -> dict[str, Slot]:
    """Of every layer of the task.

    Raises:
        LayerError: one is neither linear nor a plain convolution, or is used more than once.
    """
    places, start = {}, 0
    for name, parameter in task.per_sample.parameters.items():
        places[name] = slice(start, start + parameter.numel())
        start += parameter.numel()
    found: dict[str, Slot] = {}
    left = set(places)
    for layer, module in task.per_sample.capture.plan.layers.items():
        names: Mapping[str, str] = {
            own: name for name, own in task.per_sample.capture.plan.parameters_of(layer).items()
        }
        if "weight" not in names or not covers(module):
            continue
        bias = places[names["bias"]] if "bias" in names else None
        weight = task.per_sample.parameters[names["weight"]]
        found[layer] = Slot(places[names["weight"]], bias, weight.shape[0], weight[0].numel())
        left -= set(names.values())
    if left:
        raise LayerError(
            expected="linear layers, and 2-D convolutions without groups and with zeros as padding, for EK-FAC",
            found=f"parameters of others: {', '.join(sorted(left)[:5])}",
            todo="Name the layers that count: layers='head', or layers=[...].",
        )
    return found


def covers(module: nn.Module) -> bool:
    """Whether the layer is a linear map of patches."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return isinstance(module, nn.Linear)
