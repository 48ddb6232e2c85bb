"""Influence functions with EK-FAC: the Fisher matrix of each linear layer and convolution in a Kronecker eigenbasis.

With ``A = E[Σ_t a aᵀ]`` of inputs and ``S = E[Σ_t δ δᵀ]`` of output gradients the Fisher matrix of a linear map is
about ``S ⊗ A`` (K-FAC, Martens, Grosse 2015, 1503.05671). EK-FAC (George et al. 2018, 1806.03884) keeps its
eigenvectors and measures the eigenvalues: ``Λ = E[(Q_Sᵀ G Q_A)²]`` over per-sample gradients G.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gwa_attrib.attribution.data import Loss
from gwa_attrib.attribution.registry import attributors
from gwa_attrib.attribution.task import Task
from gwa_attrib.errors import InputError, LayerError
from gwa_attrib.gradients.autograd.shared_weights import SharedUse

DAMPING = 0.1
"""The share of the mean eigenvalue of each layer that is added."""
FISHERS = ("true", "empirical")


@dataclass(frozen=True)
class KroneckerBasis:
    """The eigenvectors of one layer's Kronecker factors, as columns."""

    of_outputs: Float[Tensor, "output output"]
    of_inputs: Float[Tensor, "feature feature"]

    def to(self, dtype: torch.dtype) -> "KroneckerBasis":
        """Return the same basis in another precision."""
        return KroneckerBasis(self.of_outputs.to(dtype), self.of_inputs.to(dtype))


def kronecker_basis(
    outputs: Float[Tensor, "output output"], inputs: Float[Tensor, "feature feature"]
) -> KroneckerBasis:
    """Return the eigenvectors of the two second moments of a layer."""
    return KroneckerBasis(torch.linalg.eigh(outputs).eigenvectors, torch.linalg.eigh(inputs).eigenvectors)


@attributors.register("ekfac", suspect="high", source="Grosse et al. 2023, arXiv 2308.03296")
def ekfac_attributor(task: Task, *, damping: float | None = None, fisher: str = "true") -> "Ekfac":
    """Influence with eigenvalue-corrected Kronecker factors, of linear layers and convolutions.

    damping: None for a tenth of each layer's mean eigenvalue. fisher: "true" draws one label a sample from the model's
    own prediction (the loss is then a cross-entropy of it), "empirical" takes the given labels.
    """
    return Ekfac(task, damping, fisher)


class Ekfac:
    """The products ``Σ_layers ⟨G_i, G_q⟩`` in the eigenbasis, each entry divided by its damped eigenvalue.

    Means over checkpoints. Inputs and output gradients are turned into the basis before their products are formed.
    """

    def __init__(self, task: Task, damping: float | None, fisher: str) -> None:
        if fisher not in FISHERS:
            raise InputError(
                expected=f"fisher={' or '.join(map(repr, FISHERS))}", found=repr(fisher), todo="Choose one."
            )
        self._task, self._damping, self._fisher = task, damping, fisher
        self._layers = layers_of(task)

    def pairs(self, query: object) -> Tensor:
        task, samples = self._task, self._task.samples(query)
        result = torch.zeros(len(task.train), len(samples), dtype=torch.float64)
        for _ in task.checkpoints():
            bases = self._fit_bases()
            damped = self._damped(bases)
            for columns, batch in task.passes(samples, "query gradients"):
                of_query = {layer: g / damped[layer] for layer, g in self._turned(bases, batch)}
                for rows, train_batch in task.passes(task.train, "training gradients"):
                    for layer, g in self._turned(bases, train_batch):
                        result[rows, columns] += (g.flatten(1) @ of_query[layer].flatten(1).T).double().cpu()
        return result / task.number_of_checkpoints

    def self_influence(self) -> Tensor:
        task = self._task
        result = torch.zeros(len(task.train), dtype=torch.float64)
        for _ in task.checkpoints():
            bases = self._fit_bases()
            damped = self._damped(bases)
            for rows, batch in task.passes(task.train, "training gradients"):
                for layer, g in self._turned(bases, batch):
                    result[rows] += (g.square_() / damped[layer]).sum(dim=(1, 2)).double().cpu()
        return result / task.number_of_checkpoints

    def _rows(self, batch: object, loss: Loss | None) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield inputs ``[sample, position, feature (+ 1)]`` and output gradients of each layer."""
        uses, _, _ = self._task.per_sample.uses(batch, loss)
        for layer, (weight, bias) in self._layers.items():
            a, delta = rows_of(uses[weight])
            yield layer, torch.cat([a, a.new_ones(*a.shape[:2], 1)], dim=2) if bias else a, delta

    def _turned(
        self, bases: Mapping[str, KroneckerBasis], batch: object, loss: Loss | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield per-sample gradients in the basis, ``[sample, output, feature (+ 1)]``, one layer after the other."""
        for layer, a, delta in self._rows(batch, loss):
            basis = bases[layer]
            yield layer, torch.bmm((delta @ basis.of_outputs).transpose(1, 2), a @ basis.of_inputs)

    def _fit_bases(self) -> dict[str, KroneckerBasis]:
        moments: dict[str, list[Tensor]] = {}
        loss, task = self._loss(), self._task
        for _, batch in task.passes(task.train, "Kronecker factors"):
            for layer, a, delta in self._rows(batch, loss):
                new = [_second_moment(delta), _second_moment(a)]
                old = moments.get(layer)
                moments[layer] = new if old is None else [x + y for x, y in zip(old, new, strict=True)]
        dtype = next(iter(task.per_sample.parameters.values())).dtype
        return {layer: kronecker_basis(*both).to(dtype) for layer, both in moments.items()}

    def _damped(self, bases: Mapping[str, KroneckerBasis]) -> dict[str, Tensor]:
        """Return eigenvalues plus damping, from the same draws as the factors."""
        totals: dict[str, Tensor] = {}
        loss, task = self._loss(), self._task
        for _, batch in task.passes(task.train, "eigenvalues"):
            for layer, g in self._turned(bases, batch, loss):
                squared = g.square_().sum(dim=0)
                totals[layer] = totals[layer] + squared if layer in totals else squared
        means = {layer: total / len(task.train) for layer, total in totals.items()}
        tiny = torch.finfo(torch.float32).tiny
        return {
            layer: (value + (DAMPING * value.mean() if self._damping is None else self._damping)).clamp_min(tiny)
            for layer, value in means.items()
        }

    def _loss(self) -> Loss | None:
        """Make the loss of labels drawn from the prediction, the same ones each time; None for the task's own."""
        if self._fisher == "empirical":
            return None
        generator = torch.Generator().manual_seed(self._task.seed)

        def loss(outputs: Tensor, _: Tensor) -> Tensor:
            # On the CPU: the draws are the same on every device.
            probabilities = outputs.detach().double().softmax(dim=1).cpu()
            drawn = torch.multinomial(probabilities, 1, generator=generator).squeeze(1).to(outputs.device)
            return nn.functional.cross_entropy(outputs, drawn, reduction="sum")

        return loss


def _second_moment(rows: Tensor) -> Tensor:
    flat = rows.flatten(0, 1)
    return (flat.T @ flat).double()


def rows_of(uses: list[SharedUse]) -> tuple[Tensor, Tensor]:
    """Return inputs ``[sample, position, feature]`` and output gradients of a layer, the positions of all its uses."""
    if len(uses) > 1:
        parts = [rows_of([use]) for use in uses]
        return torch.cat([a for a, _ in parts], dim=1), torch.cat([delta for _, delta in parts], dim=1)
    module, operands = uses[0].module, uses[0].operands
    if not isinstance(module, nn.Conv2d):
        return operands.x.flatten(1, -2), operands.delta.flatten(1, -2)
    x, delta = operands.x.flatten(0, 1), operands.delta.flatten(0, 1)
    padding = (0, 0) if isinstance(module.padding, str) else module.padding
    patches = nn.functional.unfold(x, module.kernel_size, module.dilation, padding, module.stride)
    return patches.transpose(1, 2), delta.flatten(2).transpose(1, 2)


def layers_of(task: Task) -> dict[str, tuple[str, bool]]:
    """Map every layer to the name of its weight, and whether its bias counts too.

    Raises:
        LayerError: one is neither linear nor a plain convolution.
    """
    found: dict[str, tuple[str, bool]] = {}
    left = set(task.per_sample.parameters)
    for layer, module in task.per_sample.capture.plan.layers.items():
        names = {own: name for name, own in task.per_sample.capture.plan.parameters_of(layer).items()}
        if "weight" in names and covers(module):
            found[layer] = names["weight"], "bias" in names
            left -= set(names.values())
    if left:
        raise LayerError(
            expected="linear layers, and 2-D convolutions without groups and with zeros as padding, for EK-FAC",
            found=f"parameters of others: {', '.join(sorted(left)[:5])}",
            todo="Name the layers that count: layers='head', or layers=[...].",
        )
    return found


def covers(module: nn.Module) -> bool:
    """Tell whether the layer is a linear map of patches."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return isinstance(module, nn.Linear)
